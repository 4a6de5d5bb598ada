"""What an edit starts from and is to become: the job that left a code, and masks that fit the model."""

from api.errors import about
from api.named import decoded, named_image
from storage.errors import InvalidInput
from storage.library_records import Model
from storage.masks import Mask, check_mask, check_size
from storage.records import Job, Status
from storage.stores import Stores

FIRST_MASK = {
    "invert": "mask.png",
    "sample": "mask_000.png",
    "edit": "edited_mask.png",
    "learn_vector": "mask.png",
    "apply": "mask_000_00.png",
}
"""By kind, the output that is the mask of the code that a job left: its first, if there are several."""


def named_mask(image_id: str, field: str, model: Model, tenant_id: str, stores: Stores) -> Mask:
    """Raises ImageNotFound, InvalidInput, MaskMismatch, naming the field."""
    image = named_image(image_id, field, "mask", tenant_id, stores)
    with about(field):
        # before anything is read
        check_size(image.width_px, image.height_px, model.resolution_px, field=field)
        mask = decoded(image.object, stores)
        check_mask(mask, model.resolution_px, model.parts, field=field)
    return mask


def named_code(job_id: str, field: str, model: Model, tenant_id: str, stores: Stores) -> Job:
    """The job whose code is to be started from. Raises JobNotFound, InvalidInput, naming the field."""
    with about(field, f"the id of a succeeded job of model {model.name}"):
        job = stores.jobs.get(tenant_id, job_id)
        if job.status is not Status.SUCCEEDED:
            raise InvalidInput(f"Job {job_id} has not succeeded: it is {job.status.value}.")
        if job.spec.get("model") != model.name or job.result.get("model_digest") != model.digest:
            raise InvalidInput(f"Job {job_id} was made with another model, or another version of it.")
        if job.kind not in FIRST_MASK or FIRST_MASK[job.kind] not in job.outputs:
            raise InvalidInput(f"Job {job_id} left no code to edit.")
    return job
