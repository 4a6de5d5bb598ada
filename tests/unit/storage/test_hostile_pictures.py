"""Pictures that are made to harm: bombs, polyglots, headers that lie, and what is no picture to us at all.

All are made here, and opened in the processes that pictures are opened in; each is refused with a code, soon,
and the next is opened.
"""

import gzip
import io
import struct
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from storage import decoders
from storage.errors import EditqError

LIMIT_S = 30.0  # far above what any takes, for a busy machine
SVG = (
    b'<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><text>&x;</text></svg>'
)


def saved(file_format: str, size: tuple[int, int] = (32, 24), **options: object) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, (9, 9, 9)).save(file, file_format, **options)  # type: ignore[arg-type]
    return file.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(
    width: int, height: int, pixels: bytes, *, bits: int = 8, colour: int = 0, more: bytes = b""
) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    body = chunk(b"IHDR", header) + more + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def zeros(count: int) -> bytes:
    packer = zlib.compressobj(9)
    block = bytes(1 << 20)
    return b"".join(packer.compress(block) for _ in range(count >> 20)) + packer.flush()


def png_of_many_pixels() -> bytes:
    return png(30_000, 30_000, zeros(64 << 20))


def png_of_a_long_side() -> bytes:
    return png(200_000, 1, zeros(1 << 20))


def png_whose_size_is_negative() -> bytes:
    return png(0xFFFF_FFFF, 0xFFFF_FFFF, zeros(1 << 20))


def png_without_pixels() -> bytes:
    return png(0, 0, b"")


def png_whose_chunk_is_longer_than_it() -> bytes:
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 0x7FFF_FFFF) + b"IHDR" + bytes(13)


def png_with_a_text_that_unpacks_to_a_gigabyte() -> bytes:
    text = chunk(b"zTXt", b"Comment\0\0" + zeros(256 << 20))
    return png(8, 8, zlib.compress(bytes(72)), more=text)


def png_whose_profile_unpacks_to_much() -> bytes:
    profile = chunk(b"iCCP", b"x\0\0" + zeros(256 << 20))
    return png(8, 8, zlib.compress(bytes(72)), more=profile)


def png_of_a_palette_that_is_not_there() -> bytes:
    return png(8, 8, zlib.compress(bytes(72)), colour=3)


def tiff_of_many_pixels() -> bytes:
    return _tiff(saved("TIFF"), {256: 60_000, 257: 60_000})


def tiff_whose_directory_is_itself() -> bytes:
    data = bytearray(saved("TIFF"))
    start = struct.unpack_from("<I", data, 4)[0]
    count = struct.unpack_from("<H", data, start)[0]
    struct.pack_into("<I", data, start + 2 + 12 * count, start)
    return bytes(data[: start + 40])


def _tiff(data: bytes, tags: dict[int, int]) -> bytes:
    changed = bytearray(data)
    start = struct.unpack_from("<I", data, 4)[0]
    for index in range(struct.unpack_from("<H", data, start)[0]):
        at = start + 2 + 12 * index
        tag = struct.unpack_from("<H", data, at)[0]
        if tag in tags:
            struct.pack_into("<HHII", changed, at, tag, 4, 1, tags[tag])
    return bytes(changed)


def webp_of_many_pixels() -> bytes:
    """A canvas of 16,384 by 16,384, of which nothing is drawn."""
    body = b"VP8X" + struct.pack("<I", 10) + bytes(4) + b"\xff\x3f\x00" * 2
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def webp_cut_short() -> bytes:
    return saved("WEBP")[:-9]


def bmp_of_many_pixels() -> bytes:
    data = bytearray(saved("BMP"))
    struct.pack_into("<ii", data, 18, 100_000, 100_000)
    return bytes(data)


def jpeg_of_many_pixels() -> bytes:
    data = bytearray(saved("JPEG"))
    at = data.index(b"\xff\xc0")
    struct.pack_into(">HH", data, at + 5, 65_000, 65_000)
    return bytes(data)


def jpeg_that_is_cut_short() -> bytes:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    file = io.BytesIO()
    noise.save(file, "JPEG")
    return file.getvalue()[:-300]


def gif() -> bytes:
    return saved("GIF")


def svg() -> bytes:
    return SVG


def packed_svg() -> bytes:
    return gzip.compress(SVG)


def web_page() -> bytes:
    return b"<!DOCTYPE html><script>alert(1)</script>"


def postscript() -> bytes:
    return b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) (r) file\n"


def pdf() -> bytes:
    return saved("PDF")


def zip_of_zeros() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", bytes(64 << 20))
    return file.getvalue()


def gzip_of_zeros() -> bytes:
    return gzip.compress(bytes(64 << 20))


def tar_of_pictures() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        member = tarfile.TarInfo("../../a.png")
        member.size = len(saved("PNG"))
        tar.addfile(member, io.BytesIO(saved("PNG")))
    return file.getvalue()


def pickle_with_a_png_behind_it() -> bytes:
    return b"cos\nsystem\n(S'true'\ntR." + saved("PNG")


def zip_that_begins_as_a_png() -> bytes:
    return b"\x89PNG\r\n\x1a\n" + zip_of_zeros()


MAKERS: tuple[Callable[[], bytes], ...] = (
    *(png_of_many_pixels, png_of_a_long_side, png_whose_size_is_negative, png_without_pixels),
    *(png_whose_chunk_is_longer_than_it, png_of_a_palette_that_is_not_there),
    *(png_with_a_text_that_unpacks_to_a_gigabyte, png_whose_profile_unpacks_to_much),
    *(tiff_of_many_pixels, tiff_whose_directory_is_itself),
    *(webp_of_many_pixels, webp_cut_short, bmp_of_many_pixels, jpeg_of_many_pixels, jpeg_that_is_cut_short),
    *(gif, svg, packed_svg, web_page, postscript, pdf, zip_of_zeros, gzip_of_zeros, tar_of_pictures),
    *(pickle_with_a_png_behind_it, zip_that_begins_as_a_png),
)
HARMLESS = {"png_whose_profile_unpacks_to_much", "png_of_a_palette_that_is_not_there"}
"""Of these a picture may come: what is too much of them is left unread."""


def refusal_of(read: Callable[[bytes], object], data: bytes) -> EditqError | None:
    try:
        read(data)
    except EditqError as refusal:
        return refusal
    return None


@pytest.mark.thorough
@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_it_is_refused_with_a_code_and_the_next_is_opened(make: Callable[[], bytes]) -> None:
    data, began = make(), time.monotonic()
    assert len(data) < 2_000_000
    for read in (decoders.inspect_picture, decoders.decode_picture, decoders.decode_mask):
        refusal = refusal_of(read, data)
        if refusal is None:
            assert make.__name__ in HARMLESS
            continue
        assert refusal.code in ("unreadable_picture", "picture_too_large", "mask_mismatch")
        assert refusal.status in (413, 422)
        assert refusal.expected
    assert time.monotonic() - began < LIMIT_S
    assert decoders.decode_picture(saved("PNG")).shape == (24, 32, 3)


@pytest.mark.parametrize("behind", [zip_of_zeros(), b"<script>alert(1)</script>", SVG, b"cos\nsystem\n."])
def test_what_lies_behind_a_picture_is_no_part_of_what_is_seen(behind: bytes) -> None:
    """A polyglot is a picture to whoever reads pictures. It is served as one, and nothing else: see
    api/download.py and its tests."""
    whole = saved("PNG")
    assert np.array_equal(decoders.decode_picture(whole + behind), decoders.decode_picture(whole))
    assert decoders.inspect_picture(whole + behind)[2] == "image/png"
