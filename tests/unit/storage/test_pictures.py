import io
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from storage.errors import PictureTooLarge, UnreadablePicture
from storage.pictures import decode_picture, encode_png, inspect_picture

MEDIA_TYPES = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "BMP": "image/bmp",
    "TIFF": "image/tiff",
}


def encoded(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)  # type: ignore[arg-type]
    return buffer.getvalue()


def scene(width: int = 60, height: int = 40) -> Image.Image:
    """Smooth colours that differ at every corner, so that lossy formats keep them and turns show."""
    y, x = np.mgrid[0:height, 0:width]
    channels = [x * 255 // (width - 1), y * 255 // (height - 1), 255 - x * 200 // (width - 1)]
    return Image.fromarray(np.stack(channels, -1).astype(np.uint8))


def png_header(width: int, height: int, data: bytes = b"") -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@pytest.mark.parametrize("format", MEDIA_TYPES)
def test_five_formats_are_read(format: str) -> None:
    data = encoded(scene(), format)
    assert inspect_picture(data) == (60, 40, MEDIA_TYPES[format])
    picture = decode_picture(data)
    assert (picture.shape, picture.dtype) == ((40, 60, 3), np.uint8)
    assert np.abs(picture.astype(int) - np.asarray(scene())).mean() < 6


@pytest.mark.parametrize("format", ["GIF", "PPM", "ICO", "TGA", "PDF", "EPS"])
def test_other_formats_are_refused_unopened(format: str) -> None:
    with pytest.raises(UnreadablePicture) as caught:
        inspect_picture(encoded(scene(), format))
    assert "JPEG" in str(caught.value.expected)


@pytest.mark.parametrize(
    "data", [b"", b"\0", b"no picture", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"II*\0"]
)
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    for read in (inspect_picture, decode_picture):
        with pytest.raises(UnreadablePicture):
            read(data)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "BMP", "TIFF"])
@pytest.mark.parametrize("part", [0.02, 0.3, 0.7, 0.95])
def test_a_picture_cut_short_is_refused(format: str, part: float) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8))
    data = encoded(noise, format)
    for read in (inspect_picture, decode_picture):
        with pytest.raises(UnreadablePicture):
            read(data[: int(len(data) * part)])


def test_a_bomb_is_refused_from_its_header() -> None:
    rows = zlib.compress(b"\0" * 10_000_000, 9)
    for width, height in [(30_000, 30_000), (9_000, 9_000), (1, 70_000), (2**31 - 1, 2**31 - 1)]:
        tracemalloc.start()
        with pytest.raises((PictureTooLarge, UnreadablePicture)) as caught:
            inspect_picture(png_header(width, height, rows))
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak_bytes < 1 << 20
        if width < 2**31 - 1:
            assert isinstance(caught.value, PictureTooLarge)
            assert caught.value.status == 413


def test_a_tiff_of_huge_tiles_is_refused() -> None:
    width, height, bits, lzw, grey, tile, place = 8, 8, 8, 5, 1, 60_000, 200
    tags = {
        256: width,
        257: height,
        258: bits,
        259: lzw,
        262: grey,
        277: 1,
        322: tile,
        323: tile,
        324: place,
        325: 9,
    }
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    data = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + b"\0" * 300
    with Image.open(io.BytesIO(data)) as image:
        assert image.size == (8, 8)  # its header is in order
    with pytest.raises(PictureTooLarge):
        inspect_picture(data)


def test_the_bound_is_the_callers() -> None:
    data = encoded(scene(60, 40))
    assert inspect_picture(data, 2_400)[:2] == (60, 40)
    for read in (inspect_picture, decode_picture):
        with pytest.raises(PictureTooLarge) as caught:
            read(data, 2_399)
        assert "2399" in str(caught.value.expected)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_rotation_is_turned(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(scene(), "PNG", exif=exif)
    upright = np.asarray(scene())
    expected = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, -1),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, 1),
    }[orientation]
    assert np.array_equal(decode_picture(data), expected)
    assert inspect_picture(data) == (expected.shape[1], expected.shape[0], "image/png")


def test_a_camera_jpeg_is_turned() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(scene(), "JPEG", exif=exif, quality=95)
    assert inspect_picture(data) == (40, 60, "image/jpeg")
    assert decode_picture(data).shape == (60, 40, 3)


@pytest.mark.parametrize("exif", [b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0garbage", b"Exif\0\0"])
def test_a_damaged_exif_block_spoils_no_picture(exif: bytes) -> None:
    assert inspect_picture(encoded(scene(), "JPEG", exif=exif))[:2] == (60, 40)


def test_alpha_is_laid_over_white() -> None:
    rgba = np.zeros((1, 3, 4), np.uint8)
    rgba[0, :, 0] = 200
    rgba[0, :, 3] = (0, 128, 255)
    picture = decode_picture(encoded(Image.fromarray(rgba)))
    assert np.abs(picture[0].astype(int) - [[255, 255, 255], [227, 127, 127], [200, 0, 0]]).max() <= 1


@pytest.mark.parametrize("mode", ["LA", "P"])
def test_other_transparency_is_laid_over_white(mode: str) -> None:
    if mode == "LA":
        data = encoded(Image.new("LA", (2, 2), (10, 0)))
    else:
        image = Image.new("P", (2, 2), 0)
        image.putpalette([10, 20, 30])
        data = encoded(image, transparency=0)
    assert decode_picture(data).tolist() == [[[255] * 3] * 2] * 2


def test_sixteen_bits_are_rounded_to_eight() -> None:
    values = np.array([[0, 128, 257, 32_768, 65_407, 65_535]], np.uint16)
    expected = np.round(values / 257).astype(int)
    for name in ("PNG", "TIFF"):
        picture = decode_picture(encoded(Image.fromarray(values), name))
        assert picture[..., 0].tolist() == picture[..., 2].tolist() == expected.tolist()


def test_cmyk_palette_grey_and_one_bit_become_rgb() -> None:
    smooth = np.asarray(scene())
    cmyk = decode_picture(encoded(scene().convert("CMYK"), "JPEG", quality=95))
    assert np.abs(cmyk.astype(int) - smooth).mean() < 6
    grey = decode_picture(encoded(scene().convert("L")))
    assert np.array_equal(grey[..., 0], np.asarray(scene().convert("L")))
    assert np.array_equal(grey[..., 0], grey[..., 2])
    palette = decode_picture(encoded(scene().convert("P", palette=Image.Palette.ADAPTIVE)))
    assert np.abs(palette.astype(int) - smooth).mean() < 12
    bits = decode_picture(encoded(scene().convert("1")))
    assert set(np.unique(bits)) == {0, 255}


@pytest.mark.parametrize("mode", ["F", "LAB"])
def test_kinds_without_a_known_range_are_refused_at_upload(mode: str) -> None:
    data = encoded(Image.new(mode, (4, 4)), "TIFF")
    for read in (inspect_picture, decode_picture):
        with pytest.raises(UnreadablePicture):
            read(data)


def test_a_png_carries_its_text() -> None:
    array = np.random.default_rng(1).integers(0, 256, (5, 7, 3), np.uint8)
    data = encode_png(array, {"editq": '{"model": "cars", "ö": "車"}'})
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        assert image.text["editq"] == '{"model": "cars", "ö": "車"}'
    assert np.array_equal(decode_picture(data), array)
    assert np.array_equal(decode_picture(encode_png(array[..., 0]))[..., 1], array[..., 0])


BASES = [encoded(scene(24, 16), name) for name in MEDIA_TYPES]


@pytest.mark.thorough
@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(BASES),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=20),
    st.data(),
)
def test_damaged_bytes_are_read_or_refused_by_name(
    base: bytes, changes: list[tuple[int, int]], data: st.DataObject
) -> None:
    damaged = bytearray(base)
    for position, value in changes:
        damaged[position % len(damaged)] = value
    end = data.draw(st.integers(0, len(damaged)))
    try:
        width, height, media_type = inspect_picture(bytes(damaged[:end]), 1_000_000)
    except (UnreadablePicture, PictureTooLarge):
        return
    assert decode_picture(bytes(damaged[:end]), 1_000_000).shape == (height, width, 3)
    assert media_type in MEDIA_TYPES.values()
