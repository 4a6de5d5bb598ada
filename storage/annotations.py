"""Annotated pictures: what their masks may hold, and how they are made to fit a model. NumPy only."""

import colorsys
from collections.abc import Mapping, Sequence

import numpy as np
from scipy import ndimage

from storage.errors import InvalidInput, MaskMismatch, ModelIncomplete
from storage.library_records import Model, Part
from storage.masks import Mask, check_mask
from storage.training_specs import TrainSegmenterSpec

TRAININGS = frozenset({"train_generator", "train_segmenter", "train_encoder"})
IMPORTS = frozenset({"import_model", "import_identity"})
WITHOUT_SEGMENTER = TRAININGS | IMPORTS | {"sample", "invert", "suggest_annotations", "evaluate"}
"""Kinds of jobs that a model serves before it has had annotations."""
UNLABELLED = Part(0, "unlabelled", (0, 0, 0))
"""The one part of such a model."""
_TURN = 0.618033988749895  # of the colour circle, from one part's hue to the next
_AROUND = np.ones((3, 3), bool)  # neighbours by a side or a corner


def check_annotated(model: Model, kind: str) -> None:
    """Raises ModelIncomplete where this kind of job needs a segmenter that the model does not have yet."""
    if "segmenter" not in model.files and kind not in WITHOUT_SEGMENTER:
        raise ModelIncomplete(
            f"The model {model.name} has no parts yet: annotate about 16 pictures and train a segmenter.",
            field="model",
            expected="a model that a train_segmenter job has left",
        )


def parts_of(spec: TrainSegmenterSpec, model: Model) -> tuple[Part, ...]:
    """The parts that the new segmenter will know. Raises InvalidInput where nobody names them."""
    if not spec.parts:
        if "segmenter" not in model.files:
            raise InvalidInput(
                f"The model {model.name} has no parts yet.", field="parts", expected="the names of the parts"
            )
        return model.parts
    known = {part.name: part.colour for part in model.parts}
    return tuple(Part(index, name, known.get(name, colour(index))) for index, name in enumerate(spec.parts))


def groups_of(spec: TrainSegmenterSpec, model: Model) -> Mapping[str, tuple[str, ...]]:
    return spec.groups if spec.parts else model.groups


def colour(index: int) -> tuple[int, int, int]:
    """A colour that is easily told from its neighbours'."""
    red, green, blue = colorsys.hsv_to_rgb(index * _TURN % 1, 0.75, 1 - 0.12 * (index % 4))
    return round(255 * red), round(255 * green), round(255 * blue)


def fitted(
    mask: Mask,
    resolution_px: int,
    parts: Sequence[Part],
    *,
    field: str,
    picture_px: tuple[int, int] | None = None,
) -> Mask:
    """A mask as the model sees its picture: uint8 [R, R].

    picture_px  width and height of the upload; a mask of this size is cut to its central square and resized,
                as the picture is

    Raises MaskMismatch, naming the field.
    """
    if mask.shape[::-1] == picture_px and picture_px != (resolution_px, resolution_px):
        side = min(picture_px)
        top, left = (mask.shape[0] - side) // 2, (mask.shape[1] - side) // 2
        line = ((np.arange(resolution_px) + 0.5) * side / resolution_px).astype(int)
        mask = mask[np.ix_(top + line, left + line)]
    try:
        check_mask(mask, resolution_px, parts, field=field)
    except MaskMismatch as error:
        if mask.shape != (resolution_px, resolution_px) and picture_px is not None:
            error.expected = f"{error.expected}, or {picture_px[0]}x{picture_px[1]}, as the picture is"
        raise
    return mask


def default_min_piece_px(resolution_px: int) -> int:
    """30 px at 512 px, scaled; at least 2 (Ling et al. 2021)."""
    return max(2, round(30 * (resolution_px / 512) ** 2))


def without_small_pieces(mask: Mask, min_px: int) -> Mask:
    """Pieces of fewer pixels take the part of the nearest pixel that stays. All stay where none is larger."""
    small = np.zeros(mask.shape, bool)
    for part in np.unique(mask):
        pieces, _ = ndimage.label(mask == part, structure=_AROUND)
        counts = np.bincount(pieces.ravel())
        counts[0] = min_px  # what is not of this part
        small |= (counts < min_px)[pieces]
    if small.all() or not small.any():
        return mask.copy()
    rows, columns = ndimage.distance_transform_edt(small, return_distances=False, return_indices=True)
    filled: Mask = mask[rows, columns]
    return filled
