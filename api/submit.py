"""What a spec names must be there, fit the model and belong to the caller, before a row is written."""

from collections.abc import Mapping

import numpy as np

from api.errors import about
from api.named import decoded, named_image
from api.starting import FIRST_MASK, named_code, named_mask
from api.submit_dataset import check_dataset
from api.submit_imports import check_import
from api.submit_inversions import check_photograph, check_start
from api.submit_training import check_training
from api.submit_vectors import check_vectors
from storage.annotations import check_annotated
from storage.dataset_specs import GenerateDatasetSpec
from storage.errors import MaskUnchanged
from storage.library_records import Model
from storage.mask_operations import apply_operations, check_operations, copied_masks
from storage.masks import Mask, resolve_parts
from storage.photographs import check_box
from storage.records import Job
from storage.specs import EditSpec, InvertSpec, JobSpec
from storage.stores import Stores
from storage.vector_specs import ApplySpec, LearnVectorSpec


def check_spec(spec: JobSpec, tenant_id: str, stores: Stores) -> None:
    """Raises an EditqError that names the member at fault."""
    with about("model", "the name of a model listed at /v1/models"):
        model = stores.library.get_model(tenant_id, spec.model)
    check_annotated(model, spec.kind)
    check_start(spec, model)
    check_training(spec, model, tenant_id, stores)
    check_import(spec, model, tenant_id, stores)
    if isinstance(spec, InvertSpec):
        check_box(spec.box, named_image(spec.image, "image", "picture", tenant_id, stores), "box")
    elif isinstance(spec, EditSpec):
        _check_edit(spec, model, tenant_id, stores)
    elif isinstance(spec, LearnVectorSpec | ApplySpec):
        check_vectors(spec, model, tenant_id, stores)
    elif isinstance(spec, GenerateDatasetSpec):
        check_dataset(spec, model, tenant_id, stores)


def _check_edit(spec: EditSpec, model: Model, tenant_id: str, stores: Stores) -> None:
    resolve_parts(spec.q_edit, model.parts, model.groups, field="q_edit")
    check_operations(spec.mask_operations, model.parts, model.groups)
    if spec.image is not None:
        named_image(spec.image, "image", "picture", tenant_id, stores)
    inversion = None
    if spec.inversion is not None:
        inversion = named_code(spec.inversion, "inversion", model, tenant_id, stores)
    check_photograph(spec, tenant_id, stores)
    wanted = named_mask(spec.mask, "mask", model, tenant_id, stores) if spec.mask is not None else None
    copied = {
        image_id: named_mask(image_id, field, model, tenant_id, stores)
        for image_id, field in copied_masks(spec.mask_operations).items()
    }
    if inversion is not None:
        _check_changed(spec, inversion, wanted, copied, model, stores)


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
        found = decoded(inversion.outputs[FIRST_MASK[inversion.kind]], stores)
    field = "mask" if wanted is not None else "mask_operations"
    if wanted is None:
        wanted = apply_operations(found, spec.mask_operations, model.parts, model.groups, copied)
    if np.array_equal(found, wanted):
        raise MaskUnchanged(
            "The mask asked for is the mask that is there already.",
            field=field,
            expected="a mask that differs from the inversion's in at least one pixel",
        )
