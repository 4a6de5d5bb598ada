"""What a spec names that learns vectors, or applies them."""

import numpy as np

from api.errors import about
from api.named import decoded, named_image
from api.starting import FIRST_MASK, named_code, named_mask
from api.submit_inversions import check_photograph
from storage.amounts import strength_for
from storage.errors import InvalidInput, MaskUnchanged, VectorNotFound
from storage.library_records import Model, Vector
from storage.mask_operations import apply_operations, check_operations, copied_masks
from storage.masks import Mask, resolve_parts
from storage.stores import Stores
from storage.vector_specs import ApplySpec, LearnVectorSpec, OnePoint, Target, VectorUse


def check_vectors(spec: LearnVectorSpec | ApplySpec, model: Model, tenant_id: str, stores: Stores) -> None:
    """Raises an EditqError that names the member at fault."""
    if isinstance(spec, ApplySpec):
        check_uses(spec, model, tenant_id, stores)
        for field, each in zip(spec.fields, spec.points, strict=True):
            _check_point(each, field, model, tenant_id, stores)
            check_photograph(each, tenant_id, stores, f"{field}photo")
    else:
        if spec.given:
            _check_point(spec.one, "", model, tenant_id, stores)
        found = _found(spec, model, tenant_id, stores)
        for index, target in enumerate(spec.targets):
            _check_target(target, f"targets.{index}", found, model, tenant_id, stores)


def _check_point(point: OnePoint, field: str, model: Model, tenant_id: str, stores: Stores) -> None:
    """field: what comes before the member's own name."""
    if point.image is not None:
        named_image(point.image, f"{field}image", "picture", tenant_id, stores)
    if point.inversion is not None:
        named_code(point.inversion, f"{field}inversion", model, tenant_id, stores)


def check_uses(spec: ApplySpec, model: Model, tenant_id: str, stores: Stores, *, within: str = "") -> None:
    """The vectors to apply, each in reach. `within`: what comes before the spec's own members' names."""
    for index, use in enumerate(spec.vectors):
        _check_use(use, f"{within}vectors.{index}", model, tenant_id, stores)


def named_vector(vector_id: str, field: str, model: Model, tenant_id: str, stores: Stores) -> Vector:
    """Raises VectorNotFound, or InvalidInput of one that was learned on another generator."""
    with about(field, f"the id of a vector of model {model.name}"):
        try:
            vector = stores.library.get_vector(tenant_id, vector_id)
        except VectorNotFound as error:
            error.field = field  # the library knows no place in a request
            raise
        if not vector.fits(model):
            raise InvalidInput(f"{vector.name} was learned on another generator: that of {vector.model}.")
    return vector


def _check_use(use: VectorUse, field: str, model: Model, tenant_id: str, stores: Stores) -> None:
    vector = named_vector(use.vector, f"{field}.vector", model, tenant_id, stores)
    if use.amount is not None:
        strength_for(use.amount, vector.report, field=f"{field}.amount")


def _found(spec: LearnVectorSpec, model: Model, tenant_id: str, stores: Stores) -> Mask | None:
    """The first point's mask, where it is known before the job runs."""
    if spec.inversion is None:
        return None
    job = named_code(spec.inversion, "inversion", model, tenant_id, stores)
    with about("inversion"):
        return decoded(job.outputs[FIRST_MASK[job.kind]], stores)


def _check_target(
    target: Target, field: str, found: Mask | None, model: Model, tenant_id: str, stores: Stores
) -> None:
    resolve_parts(target.q_edit, model.parts, model.groups, field=f"{field}.q_edit")
    points = [("after", target.after)]
    for index, pair in enumerate(target.pairs):
        points += [(f"pairs.{index}.before", pair.before), (f"pairs.{index}.after", pair.after)]
    for name, point in points:
        if point is not None:
            _check_point(point, f"{field}.{name}.", model, tenant_id, stores)
    operations, within = target.mask_operations, f"{field}.mask_operations"
    check_operations(operations, model.parts, model.groups, field=within)
    copied = {
        image_id: named_mask(image_id, member, model, tenant_id, stores)
        for image_id, member in copied_masks(operations, field=within).items()
    }
    wanted = None
    if target.mask is not None:
        wanted = named_mask(target.mask, f"{field}.mask", model, tenant_id, stores)
    elif operations and found is not None:
        wanted = apply_operations(found, operations, model.parts, model.groups, copied, field=within)
    if found is not None and wanted is not None and np.array_equal(found, wanted):
        raise MaskUnchanged(
            "The mask asked for is the mask that is there already.",
            field=f"{field}.mask" if target.mask is not None else within,
            expected="a mask that differs from the inversion's in at least one pixel",
        )
