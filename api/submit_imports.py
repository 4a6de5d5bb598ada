"""What a spec of an import names."""

from api.named import named_file
from storage.errors import DigestMismatch, InvalidInput
from storage.import_specs import ImportIdentitySpec, ImportModelSpec
from storage.library_records import Model
from storage.specs import JobSpec
from storage.stores import Stores


def check_import(spec: JobSpec, model: Model, tenant_id: str, stores: Stores) -> None:
    """Raises an EditqError that names the member at fault. Specs of other kinds pass."""
    if isinstance(spec, ImportModelSpec):
        for index, each in enumerate(spec.files):
            named_file(each.file, f"files.{index}.file", tenant_id, stores)
        if "perceptual" not in model.files:
            raise InvalidInput(f"The model {model.name} has no perceptual backbone.", field="model")
    elif isinstance(spec, ImportIdentitySpec):
        found = named_file(spec.file, "file", tenant_id, stores).object.sha256
        if found != spec.sha256:
            detail = f"The file {spec.file} has the SHA-256 {found}."
            raise DigestMismatch(detail, field="sha256", expected="the digest of the file that you mean")
