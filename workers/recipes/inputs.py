"""What jobs start from, read from the library and the object store."""

import tempfile
from collections.abc import Sequence

import numpy as np

from gpu_ops.picture import Picture, to_square
from storage.annotations import check_annotated
from storage.decoders import decode_mask, decode_picture
from storage.library_records import Model
from storage.masks import check_mask
from workers.attempt import Attempt


def find_model(attempt: Attempt) -> Model:
    """Raises ModelIncomplete where the job needs a segmenter and the model has none yet."""
    model = attempt.stores.library.get_model(attempt.job.tenant_id, attempt.spec.model)
    check_annotated(model, attempt.job.kind)
    return model


def read_picture(attempt: Attempt, image_id: str, size_px: int) -> Picture:
    """An uploaded picture as the model sees it: uint8 [size_px, size_px, 3]."""
    image = attempt.stores.library.get_image(attempt.job.tenant_id, image_id)
    data = attempt.stores.objects.get(image.object)
    picture = to_square(decode_picture(data, image.width_px * image.height_px), size_px)
    return np.array(picture)  # a copy: torch warns of arrays that it may not write to


def read_pictures(attempt: Attempt, image_ids: Sequence[str], size_px: int) -> Picture:
    """Uploads as the model sees them: uint8 [n, size_px, size_px, 3], in a file that nobody sees, so that
    thousands of large ones need no memory."""
    shape = (len(image_ids), size_px, size_px, 3)
    if not image_ids:
        return np.zeros(shape, np.uint8)
    with tempfile.TemporaryFile() as file:
        found = np.memmap(file, np.uint8, "w+", shape=shape)
    for index, image_id in enumerate(image_ids):
        found[index] = read_picture(attempt, image_id, size_px)
    return found


def read_mask(attempt: Attempt, image_id: str, model: Model, *, field: str = "mask") -> Picture:
    """An uploaded mask uint8 [R, R] that fits the model. Raises MaskMismatch, naming the field."""
    image = attempt.stores.library.get_image(attempt.job.tenant_id, image_id)
    mask = decode_mask(attempt.stores.objects.get(image.object))
    check_mask(mask, model.resolution_px, model.parts, field=field)
    return mask
