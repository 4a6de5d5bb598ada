"""Full-resolution originals: which one a job's code is of, and whether a box lies within a picture."""

from dataclasses import dataclass

from storage.errors import InvalidInput
from storage.inversion_specs import Box
from storage.records import Image, Job, ObjectRef
from storage.stores import Library

PASTED = "pasted.png"


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


def original_of(job: Job, library: Library) -> Original:
    """The picture that an invert job's code is of; or what an edit job pasted back.

    Raises InvalidInput where the job had none, ImageNotFound where it has been deleted.
    """
    if job.kind == "invert":
        box = job.spec.get("box")
        image = library.get_image(job.tenant_id, job.spec["image"])
        asked = Box.model_validate(box) if box else None
        return Original(image.object, asked, image.width_px * image.height_px)
    if PASTED in job.outputs:
        return Original(job.outputs[PASTED], Box.model_validate(job.result["box"]))
    raise InvalidInput(
        f"Job {job.id} left no photograph to paste into.",
        field="photo",
        expected="an image; or the inversion of an invert job, or of an edit job that pasted one",
    )
