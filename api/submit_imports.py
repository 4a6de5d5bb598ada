"""What a spec of an import names."""

from api.named import named_file
from storage.errors import InvalidInput
from storage.import_specs import ImportModelSpec
from storage.records import Model
from storage.specs import JobSpec
from storage.stores import Stores


def check_import(spec: JobSpec, model: Model, tenant_id: str, stores: Stores) -> None:
    """Raises an EditqError that names the member at fault. Specs of other kinds pass."""
    if not isinstance(spec, ImportModelSpec):
        return
    for index, each in enumerate(spec.files):
        named_file(each.file, f"files.{index}.file", tenant_id, stores)
    if "perceptual" not in model.files:
        raise InvalidInput(f"The model {model.name} has no perceptual backbone.", field="model")
