"""Pictures that strangers send: read with suspicion, turned upright, converted to eight-bit RGB.

The header is judged before any pixel is: format, and width times height. Only five formats' decoders are
ever opened. A picture cut short is refused, not completed with grey.
"""

import contextlib
import io
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from storage.errors import EditqError, PictureTooLarge, UnreadablePicture

MAX_PIXELS = 40_000_000
MAX_SIDE_PX = 65_535
PNG_LEVEL = 4  # of zlib: half the work of its usual 6, for files that are 2 to 7 % larger
EXPECTED = "a JPEG, PNG, WebP, BMP or TIFF picture"
_MEDIA_TYPES = {
    "JPEG": "image/jpeg",
    "MPO": "image/jpeg",  # a JPEG with further pictures behind it, as some cameras write; the first counts
    "PNG": "image/png",
    "WEBP": "image/webp",
    "BMP": "image/bmp",
    "TIFF": "image/tiff",
}
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")
_GREYS_OF_16_BITS = ("I", "I;16", "I;16B", "I;16L", "I;16N")
_EIGHT_BITS = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV")
_ORIENTATION, _TILE_WIDTH, _TILE_LENGTH = 0x0112, 322, 323
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def inspect_picture(data: bytes, max_pixels: int = MAX_PIXELS) -> tuple[int, int, str]:
    """(width_px, height_px, media_type) of the upright picture, all of which was decoded.

    Raises UnreadablePicture, PictureTooLarge.
    """
    with open_judged(data, max_pixels) as image:
        media_type = _MEDIA_TYPES[str(image.format)]
        width, height = image.size
        _load(image)
        turned = _orientation(image) >= 5
    return (height, width, media_type) if turned else (width, height, media_type)


def decode_picture(data: bytes, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """uint8 [H, W, 3], upright. Alpha is laid over white, sixteen bits are rounded to eight.

    Raises UnreadablePicture, PictureTooLarge.
    """
    with open_judged(data, max_pixels) as image:
        _load(image)
        rgb = _to_rgb(image)
        transposition = _UPRIGHT.get(_orientation(image))
        if transposition is not None:
            rgb = rgb.transpose(transposition)
        return np.array(rgb, dtype=np.uint8)


def encode_png(array: NDArray[np.uint8], text: Mapping[str, str] | None = None) -> bytes:
    """uint8 [H, W, 3] or [H, W] as PNG, with text chunks."""
    assert array.dtype == np.uint8
    return save_png(Image.fromarray(np.ascontiguousarray(array)), text)


def save_png(image: Image.Image, text: Mapping[str, str] | None = None) -> bytes:
    chunks = PngInfo()
    for name, value in (text or {}).items():
        chunks.add_itxt(name, value)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", pnginfo=chunks, compress_level=PNG_LEVEL)
    return buffer.getvalue()


@contextlib.contextmanager
def open_judged(data: bytes, max_pixels: int, formats: tuple[str, ...] = _FORMATS) -> Iterator[Image.Image]:
    """An image whose header was judged. What a decoder raises inside, whatever it is, is the file's fault."""
    try:
        with Image.open(io.BytesIO(data), formats=formats) as image:
            _check_size(image, max_pixels)
            yield image
    except EditqError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning, MemoryError) as error:
        raise _too_large(max_pixels) from error
    except Exception as error:
        raise UnreadablePicture("This file cannot be read as a picture.", expected=EXPECTED) from error


def _check_size(image: Image.Image, max_pixels: int) -> None:
    width, height = image.size
    if width * height > max_pixels or max(width, height) > MAX_SIDE_PX:
        raise _too_large(max_pixels)
    tags = getattr(image, "tag_v2", None)  # a TIFF's tile is allocated whole, however small the picture is
    if tags is not None and int(tags.get(_TILE_WIDTH, 0)) * int(tags.get(_TILE_LENGTH, 0)) > max_pixels:
        raise _too_large(max_pixels)


def _too_large(max_pixels: int) -> PictureTooLarge:
    return PictureTooLarge(
        "The picture has too many pixels.",
        expected=f"at most {max_pixels} pixels, and sides of at most {MAX_SIDE_PX}",
    )


def _orientation(image: Image.Image) -> int:
    """EXIF's orientation, 1 to 8; 1 where the block is missing or damaged, which spoils no pixel."""
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # noqa: BLE001 - as above
        return 1
    return value if isinstance(value, int) and value in _UPRIGHT else 1


def _load(image: Image.Image) -> None:
    image.load()
    if image.mode not in (*_EIGHT_BITS, *_GREYS_OF_16_BITS):  # floats (of no known range), LAB
        raise UnreadablePicture(f"Pictures of the kind {image.mode} are not supported.", expected=EXPECTED)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in _GREYS_OF_16_BITS:
        values = np.asarray(image, dtype=np.int32).clip(0, 65_535)
        return Image.fromarray(((values * 255 + 32_767) // 65_535).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        white = Image.new("RGB", image.size, "white")
        white.paste(layer, mask=layer.getchannel("A"))
        return white
    return image.convert("RGB")
