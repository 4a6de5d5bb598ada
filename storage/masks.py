"""Part masks as indexed PNG, and the names of parts. NumPy and Pillow only.

A mask is uint8 [H, W]; the value of a pixel is the id of its part. Row 0 is the top.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from storage.errors import MaskMismatch, UnknownPart
from storage.library_records import Part
from storage.pictures import MAX_PIXELS, open_judged, save_png

Mask = NDArray[np.uint8]
Groups = Mapping[str, Sequence[str]]

_EXPECTED = "a PNG, indexed or grey with at most 8 bits, whose values are part ids"
_GREY_STEPS = {2: 85, 4: 17}  # Pillow spreads greys of 2 and 4 bits over 0 to 255


def decode_mask(data: bytes, max_pixels: int = MAX_PIXELS) -> Mask:
    """Raises UnreadablePicture, PictureTooLarge; MaskMismatch for a PNG of colours."""
    with open_judged(data, max_pixels, ("PNG",)) as image:
        if image.mode not in ("P", "L", "1"):
            raise MaskMismatch("A picture of colours is no mask.", expected=_EXPECTED)
        bits = data[24]  # of IHDR, which Pillow has checked to come first
        values = np.array(image, dtype=np.uint8)
        return values // _GREY_STEPS[bits] if image.mode == "L" and bits in _GREY_STEPS else values


def encode_mask(mask: Mask, parts: Sequence[Part], text: Mapping[str, str] | None = None) -> bytes:
    """An indexed PNG in the parts' colours: what it shows and what it stores are both right."""
    assert mask.dtype == np.uint8
    assert mask.ndim == 2
    palette = np.zeros((256, 3), np.uint8)
    for part in parts:
        palette[part.id] = part.colour
    image = Image.fromarray(np.ascontiguousarray(mask))
    image.putpalette(palette.tobytes())
    return save_png(image, text)


def check_size(width_px: int, height_px: int, resolution_px: int, *, field: str = "mask") -> None:
    """Raises MaskMismatch."""
    if (width_px, height_px) != (resolution_px, resolution_px):
        raise MaskMismatch(
            f"The mask is {width_px}x{height_px} pixels.",
            field=field,
            expected=f"{resolution_px}x{resolution_px} pixels, as the model draws",
        )


def check_mask(mask: Mask, resolution_px: int, parts: Sequence[Part], *, field: str = "mask") -> None:
    """Raises MaskMismatch, naming the size or the ids that are wrong."""
    check_size(mask.shape[1], mask.shape[0], resolution_px, field=field)
    known = {part.id for part in parts}
    unknown = sorted(set(np.unique(mask).tolist()) - known)
    if unknown:
        listed = ", ".join(map(str, unknown[:8])) + (" ..." if len(unknown) > 8 else "")
        raise MaskMismatch(
            f"The mask holds ids that are no parts of the model: {listed}.",
            field=field,
            expected=f"ids among {', '.join(map(str, sorted(known)))}",
        )


def resolve_parts(
    names: Sequence[str], parts: Sequence[Part], groups: Groups, *, field: str = "q_edit"
) -> tuple[int, ...]:
    """The ids that names of parts and part groups stand for, each once, in order. Raises UnknownPart."""
    ids = {part.name: part.id for part in parts}
    found: dict[int, None] = {}
    for name in names:
        if name not in ids and name not in groups:
            known = ", ".join(sorted([*ids, *groups]))
            raise UnknownPart(f"The model has no part named {name!r}.", field=field, expected=known)
        for member in groups.get(name, (name,)):
            found[ids[member]] = None
    return tuple(found)
