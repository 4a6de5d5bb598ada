"""What a spec names must be there, fit the model and belong to the caller, before a row is written."""

from collections.abc import Mapping

import numpy as np

from api.errors import about
from api.service import service
from api.upload import DECODERS
from storage.errors import InvalidInput, MaskUnchanged
from storage.mask_operations import apply_operations, check_operations, copied_masks
from storage.masks import Mask, check_mask, check_size, decode_mask, resolve_parts
from storage.records import Image, Job, Model, ObjectRef, Status
from storage.specs import EditSpec, InvertSpec, JobSpec
from storage.stores import Stores

FIRST_MASK = {"invert": "mask.png", "sample": "mask_000.png", "edit": "edited_mask.png"}


def check_spec(spec: JobSpec, tenant_id: str, stores: Stores) -> None:
    """Raises an EditqError that names the member at fault."""
    with about("model", "the name of a model listed at /v1/models"):
        model = stores.library.get_model(tenant_id, spec.model)
    if isinstance(spec, InvertSpec):
        _check_image(spec.image, "image", "picture", tenant_id, stores)
    elif isinstance(spec, EditSpec):
        _check_edit(spec, model, tenant_id, stores)


def _check_edit(spec: EditSpec, model: Model, tenant_id: str, stores: Stores) -> None:
    resolve_parts(spec.q_edit, model.parts, model.groups, field="q_edit")
    check_operations(spec.mask_operations, model.parts, model.groups)
    if spec.image is not None:
        _check_image(spec.image, "image", "picture", tenant_id, stores)
    inversion = None
    if spec.inversion is not None:
        inversion = _check_inversion(spec.inversion, model, tenant_id, stores)
    wanted = _read_mask(spec.mask, "mask", model, tenant_id, stores) if spec.mask is not None else None
    copied = {
        image_id: _read_mask(image_id, field, model, tenant_id, stores)
        for image_id, field in copied_masks(spec.mask_operations).items()
    }
    if inversion is not None:
        _check_changed(spec, inversion, wanted, copied, model, stores)


def _check_image(image_id: str, field: str, role: str, tenant_id: str, stores: Stores) -> Image:
    with about(field, f"the id of a {role} that you uploaded"):
        image = stores.library.get_image(tenant_id, image_id)
        if image.role != role:
            raise InvalidInput(f"Image {image_id} was uploaded as a {image.role}.")
    return image


def _read_mask(image_id: str, field: str, model: Model, tenant_id: str, stores: Stores) -> Mask:
    image = _check_image(image_id, field, "mask", tenant_id, stores)
    with about(field):
        # before anything is read
        check_size(image.width_px, image.height_px, model.resolution_px, field=field)
        mask = _decode(image.object, stores)
        check_mask(mask, model.resolution_px, model.parts, field=field)
    return mask


def _decode(ref: ObjectRef, stores: Stores) -> Mask:
    data = stores.objects.get(ref)
    with DECODERS:
        return decode_mask(data, service().settings.max_picture_pixels)


def _check_inversion(job_id: str, model: Model, tenant_id: str, stores: Stores) -> Job:
    """The job whose code the edit starts from."""
    with about("inversion", f"the id of a succeeded job of model {model.name}"):
        job = stores.jobs.get(tenant_id, job_id)
        if job.status is not Status.SUCCEEDED:
            raise InvalidInput(f"Job {job_id} has not succeeded: it is {job.status.value}.")
        if job.spec.get("model") != model.name or job.result.get("model_digest") != model.digest:
            raise InvalidInput(f"Job {job_id} was made with another model, or another version of it.")
        if job.kind not in FIRST_MASK or FIRST_MASK[job.kind] not in job.outputs:
            raise InvalidInput(f"Job {job_id} left no code to edit.")
    return job


def _check_changed(
    spec: EditSpec,
    inversion: Job,
    wanted: Mask | None,
    copied: Mapping[str, Mask],
    model: Model,
    stores: Stores,
) -> None:
    """Raises MaskUnchanged when the mask asked for is the one that the inversion has already."""
    with about("inversion"):
        found = _decode(inversion.outputs[FIRST_MASK[inversion.kind]], stores)
    field = "mask" if wanted is not None else "mask_operations"
    if wanted is None:
        wanted = apply_operations(found, spec.mask_operations, model.parts, model.groups, copied)
    if np.array_equal(found, wanted):
        raise MaskUnchanged(
            "The mask asked for is the mask that is there already.",
            field=field,
            expected="a mask that differs from the inversion's in at least one pixel",
        )
