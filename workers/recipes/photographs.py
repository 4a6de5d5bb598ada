"""Photographs: read in full resolution, and edits pasted back into them."""

from dataclasses import dataclass
from typing import Any

from gpu_ops.photo import Box, Edited, central_box, cut, paste_back, replaced_pixels
from gpu_ops.picture import Picture
from storage import inversion_specs as specs
from storage.decoders import decode_picture
from storage.inversion_specs import Photo
from storage.photographs import check_box, original_of
from storage.pictures import MAX_PIXELS
from storage.records import ObjectRef
from storage.vector_specs import ApplyPoint
from workers.attempt import Attempt
from workers.recipes.outputs import Outputs


@dataclass(frozen=True)
class Photograph:
    """original uint8 [H, W, 3]; box: what of it the model sees; sha256: of the upload that it came in."""

    original: Picture
    box: Box
    sha256: str

    def seen(self, size_px: int) -> Picture:
        """As the model sees it: uint8 [size_px, size_px, 3]."""
        return cut(self.original, self.box, size_px)


def read_photograph(
    attempt: Attempt, image_id: str, box: specs.Box | None = None, *, field: str = "photo.box"
) -> Photograph:
    """An upload, upright, and the box asked for. Raises InvalidInput naming a member of `field`."""
    image = attempt.stores.library.get_image(attempt.job.tenant_id, image_id)
    check_box(box, image, field)
    data = attempt.stores.objects.get(image.object)
    return _photograph(decode_picture(data, image.width_px * image.height_px), box, image.object)


def photograph_of(attempt: Attempt, job_id: str) -> Photograph:
    """What the code that an earlier job left was made from; of an edit, what it pasted back."""
    job = attempt.stores.jobs.get(attempt.job.tenant_id, job_id)
    original = original_of(job, attempt.stores.library)
    data = attempt.stores.objects.get(original.object)
    return _photograph(decode_picture(data, original.pixels or MAX_PIXELS), original.box, original.object)


def photograph_at(attempt: Attempt, point: ApplyPoint) -> Photograph:
    """The photograph that a point is of."""
    if point.image is not None:
        return read_photograph(attempt, point.image, point.box)
    assert point.inversion is not None
    return photograph_of(attempt, point.inversion)


def _photograph(original: Picture, box: specs.Box | None, upload: ObjectRef) -> Photograph:
    height, width = original.shape[:2]
    seen = central_box(width, height) if box is None else Box(box.x, box.y, box.size)
    return Photograph(original, seen, upload.sha256)


def save_pasted(
    outputs: Outputs, name: str, photograph: Photograph, edited: Edited, photo: Photo
) -> dict[str, Any]:
    """Write the edit pasted into its photograph. Returns what the result says of it."""
    outputs.picture(name, paste_back(photograph.original, photograph.box, edited, photo.paste))
    replaced = replaced_pixels(edited, photo.paste).sum() / max(1, edited.region.sum())
    return {"replaced_share": round(float(replaced), 4)}


def box_facts(photograph: Photograph) -> dict[str, Any]:
    box = photograph.box
    return {"box": {"x": box.x, "y": box.y, "size": box.size}}
