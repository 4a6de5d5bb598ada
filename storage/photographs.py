"""Full-resolution originals: which one a job's code is of, and whether a box lies within a picture."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from storage.errors import InvalidInput
from storage.inversion_specs import Box
from storage.records import Image, Job, ObjectRef
from storage.specs import EditSpec
from storage.stores import Library, Stores
from storage.vector_specs import ApplyPoint

PASTED = "pasted.png"


def pasted(row: int, column: int) -> str:
    """The output of an apply job that is input `row`, at factor `column` of the sweep, pasted back."""
    return f"pasted_{row:03d}_{column:02d}.png"


@dataclass(frozen=True, slots=True)
class Original:
    """A picture in full resolution, and what of it the model saw; box None: the largest central square.

    pixels: how many it has, at most; None where the picture is one of ours.
    """

    object: ObjectRef
    box: Box | None
    pixels: int | None = None


def check_box(box: Box | None, image: Image, field: str) -> None:
    """Raises InvalidInput, naming the member at fault, where the box reaches out of the upright picture."""
    if box is None:
        return
    if box.size > min(image.width_px, image.height_px):
        raise InvalidInput(
            f"The picture is {image.width_px} x {image.height_px} px, the box {box.size}.",
            field=f"{field}.size",
            expected=f"at most {min(image.width_px, image.height_px)}",
        )
    for name, start, side in (("x", box.x, image.width_px), ("y", box.y, image.height_px)):
        if start + box.size > side:
            raise InvalidInput(
                f"The box ends at {start + box.size}, the picture at {side}.",
                field=f"{field}.{name}",
                expected=f"at most {side - box.size} for a box of {box.size} px",
            )


def check_pasted(spec: EditSpec | ApplyPoint, tenant_id: str, stores: Stores, field: str = "photo") -> None:
    """What is made of the spec's picture or inversion must have something to be pasted into, where it asks.

    Raises InvalidInput naming a member of `field`; ImageNotFound, JobNotFound.
    """
    if spec.photo is None:
        return
    if spec.image is not None:
        check_box(spec.photo.box, stores.library.get_image(tenant_id, spec.image), f"{field}.box")
    elif spec.inversion is not None:
        if spec.photo.box is not None:
            raise InvalidInput(
                "An inversion brings the box that it was made from.",
                field=f"{field}.box",
                expected="no box, or an image in place of the inversion",
            )
        original_of(stores.jobs.get(tenant_id, spec.inversion), stores.library, field)


def pasted_from(spec: Mapping[str, Any]) -> frozenset[str]:
    """Of a job's spec as its row has it: the inversions into whose photographs it pastes."""
    points = [spec, *spec.get("inputs", ())]
    return frozenset(
        point["inversion"] for point in points if point.get("photo") is not None and point.get("inversion")
    )


def original_of(job: Job, library: Library, field: str = "photo") -> Original:
    """The picture that an invert job's code is of; or what an edit or apply job pasted back, the first.

    Raises InvalidInput, naming the field, where the job had none; ImageNotFound where it has been deleted.
    """
    if job.kind == "invert":
        box = job.spec.get("box")
        image = library.get_image(job.tenant_id, job.spec["image"])
        asked = Box.model_validate(box) if box else None
        return Original(image.object, asked, image.width_px * image.height_px)
    name, told = PASTED, job.result
    if job.kind == "apply":
        name, told = pasted(0, 0), job.result["inputs"][0]
    if name in job.outputs:
        return Original(job.outputs[name], Box.model_validate(told["box"]))
    raise InvalidInput(
        f"Job {job.id} left no photograph to paste into.",
        field=field,
        expected="an image; or the inversion of an invert job, or of an edit or apply job that pasted one",
    )
