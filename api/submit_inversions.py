"""What a spec says of inversions and photographs: it must fit the model and the picture."""

from api.errors import about
from storage.errors import ModelIncomplete
from storage.inversion_specs import Inverting
from storage.library_records import Model
from storage.photographs import check_pasted
from storage.specs import EditSpec, JobSpec
from storage.stores import Stores
from storage.vector_specs import ApplyPoint


def check_start(spec: JobSpec, model: Model) -> None:
    """Raises ModelIncomplete where an inversion is to start from an encoder that the model lacks."""
    own = isinstance(spec, Inverting)
    how = spec if own else getattr(spec, "inverting", None)
    if isinstance(how, Inverting) and how.start == "encoder" and "encoder" not in model.files:
        raise ModelIncomplete(
            f"The model {model.name} has no encoder.",
            field="start" if own else "inverting.start",
            expected="w_avg; or a model that a train_encoder job has left",
        )


def check_photograph(
    spec: EditSpec | ApplyPoint, tenant_id: str, stores: Stores, field: str = "photo"
) -> None:
    """Raises InvalidInput naming a member of `field`, ImageNotFound."""
    with about(field):
        check_pasted(spec, tenant_id, stores, field)
