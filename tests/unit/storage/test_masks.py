import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from storage.errors import InvalidInput, MaskMismatch, PictureTooLarge, UnknownPart, UnreadablePicture
from storage.mask_operations import apply_operations, changed_parts, edited_parts
from storage.masks import Mask, check_mask, decode_mask, encode_mask, resolve_parts
from storage.records import Part
from storage.specs import EditSpec, Grow, MaskOperation, Relabel, Scale, Shift

NAMES = ("background", "body", "tyre", "rim", "hub")
PARTS = tuple(Part(i, name, (40 * i, 255 - 40 * i, 7)) for i, name in enumerate(NAMES))
GROUPS = {"wheel": ("tyre", "rim", "hub")}
BACKGROUND, BODY, TYRE, RIM, HUB = range(5)

some_masks = arrays(np.uint8, st.tuples(st.integers(1, 24), st.integers(1, 24)), elements=st.integers(0, 4))
some_operations = st.one_of(
    st.builds(
        Scale,
        part=st.sampled_from([*NAMES, *GROUPS]),
        factor=st.floats(0.1, 10),
        anchor=st.sampled_from(["centre", "bottom"]),
    ),
    st.builds(Grow, part=st.sampled_from([*NAMES, *GROUPS]), px=st.integers(-64, 64)),
    st.builds(
        Shift, part=st.sampled_from([*NAMES, *GROUPS]), dx_px=st.integers(-40, 40), dy_px=st.integers(-40, 40)
    ),
    st.builds(Relabel, part=st.sampled_from([*NAMES, *GROUPS]), into=st.sampled_from(NAMES)),
)


def done(mask: Mask, *operations: MaskOperation) -> Mask:
    return apply_operations(mask, operations, PARTS, GROUPS)


def disc(size: int, centre: tuple[float, float], radius: float) -> np.ndarray:
    y, x = np.mgrid[0:size, 0:size] + 0.5
    return np.hypot(y - centre[0], x - centre[1]) <= radius


RADII = {TYRE: 14, RIM: 9, HUB: 4}


def car() -> Mask:
    """A body on two wheels, each of tyre, rim and hub."""
    mask = np.zeros((128, 128), np.uint8)
    mask[52:88, 12:116] = BODY
    for x in (36, 92):
        for part, radius in RADII.items():
            mask[disc(128, (88, x), radius)] = part
    return mask


def png(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", **options)  # type: ignore[arg-type]
    return buffer.getvalue()


@given(some_masks)
def test_a_mask_survives_its_png(mask: Mask) -> None:
    data = encode_mask(mask, PARTS, {"editq": "{}"})
    assert np.array_equal(decode_mask(data), mask)
    with Image.open(io.BytesIO(data)) as image:
        assert image.mode == "P"
        shown = np.asarray(image.convert("RGB"))
    assert np.array_equal(shown, np.array([part.colour for part in PARTS], np.uint8)[mask])


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_indices_are_the_ids_at_every_depth(bits: int) -> None:
    mask = np.arange(12, dtype=np.uint8).reshape(3, 4) % min(5, 2**bits)
    image = Image.fromarray(mask)
    image.putpalette([200, 1, 1] * 256)  # colours say nothing
    assert np.array_equal(decode_mask(png(image, bits=bits)), mask)


def test_grey_values_are_the_ids() -> None:
    mask = np.array([[0, 1, 2], [3, 4, 255]], np.uint8)
    assert np.array_equal(decode_mask(png(Image.fromarray(mask))), mask)
    bits = np.array([[True, False]])
    assert decode_mask(png(Image.fromarray(bits))).tolist() == [[1, 0]]


@pytest.mark.parametrize(
    ("bits", "rows", "expected"), [(2, b"\0\x1b", [0, 1, 2, 3]), (4, b"\0\x01\x2f", [0, 1, 2, 15])]
)
def test_grey_values_of_few_bits_are_the_ids(bits: int, rows: bytes, expected: list[int]) -> None:
    import struct
    import zlib

    def chunk(name: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        )

    header = struct.pack(">IIBBBBB", 4, 1, bits, 0, 0, 0, 0)
    data = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
    assert decode_mask(data).tolist() == [expected]


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "I;16"])
def test_colours_are_no_mask(mode: str) -> None:
    with pytest.raises(MaskMismatch) as caught:
        decode_mask(png(Image.new(mode, (4, 4))))
    assert "part ids" in str(caught.value.expected)


def test_only_png_is_read_and_only_to_a_size() -> None:
    buffer = io.BytesIO()
    Image.new("L", (8, 8)).save(buffer, "JPEG")
    with pytest.raises(UnreadablePicture):
        decode_mask(buffer.getvalue())
    with pytest.raises(PictureTooLarge):
        decode_mask(png(Image.new("L", (8, 8))), 63)


def test_a_mask_must_fit_the_model() -> None:
    check_mask(car(), 128, PARTS)
    with pytest.raises(MaskMismatch) as caught:
        check_mask(car()[:60], 128, PARTS)
    assert caught.value.field == "mask"
    assert "128x60" in caught.value.detail
    assert "128x128" in str(caught.value.expected)
    wrong = car()
    wrong[0, :3] = (9, 200, 9)
    with pytest.raises(MaskMismatch) as caught:
        check_mask(wrong, 128, PARTS)
    assert "9, 200" in caught.value.detail
    assert "0, 1, 2, 3, 4" in str(caught.value.expected)


def test_names_stand_for_parts() -> None:
    assert resolve_parts([], PARTS, GROUPS) == ()
    assert resolve_parts(["rim", "wheel", "body"], PARTS, GROUPS) == (RIM, TYRE, HUB, BODY)
    with pytest.raises(UnknownPart) as caught:
        resolve_parts(["door"], PARTS, GROUPS)
    assert caught.value.field == "q_edit"
    assert "wheel" in str(caught.value.expected)


def test_operations_name_the_field_at_fault() -> None:
    with pytest.raises(UnknownPart) as caught:
        done(car(), Grow(part="rim", px=1), Scale(part="door", factor=2))
    assert caught.value.field == "mask_operations.1.part"
    with pytest.raises(UnknownPart) as caught:
        done(car(), Relabel(part="rim", into="door"))
    assert caught.value.field == "mask_operations.0.into"
    with pytest.raises(InvalidInput) as caught_group:
        done(car(), Relabel(part="rim", into="wheel"))
    assert caught_group.value.field == "mask_operations.0.into"


@settings(deadline=None)
@given(some_masks, st.lists(some_operations, max_size=3))
def test_operations_make_masks_of_the_same_labels_and_leave_the_old_one(
    mask: Mask, operations: list[MaskOperation]
) -> None:
    before = mask.copy()
    after = done(mask, *operations)
    assert (after.dtype, after.shape) == (np.uint8, mask.shape)
    assert after is not mask
    assert np.array_equal(mask, before)
    introduced = {NAMES.index(op.into) for op in operations if isinstance(op, Relabel)}
    assert set(np.unique(after)) <= set(np.unique(mask)) | introduced


@settings(deadline=None)
@given(some_masks, st.sampled_from([*NAMES, *GROUPS]))
def test_operations_that_ask_for_nothing_change_nothing(mask: Mask, part: str) -> None:
    for operation in (Scale(part=part, factor=1), Grow(part=part, px=0), Shift(part=part)):
        assert np.array_equal(done(mask, operation), mask)


@pytest.mark.parametrize("anchor", ["centre", "bottom"])
@pytest.mark.parametrize("factor", [0.5, 0.7, 1.4, 1.6])
def test_wheels_scale_as_discs_about_their_own_anchor(factor: float, anchor: str) -> None:
    after = done(car(), Scale(part="wheel", factor=factor, anchor=anchor))  # type: ignore[arg-type]
    y = 88 if anchor == "centre" else 102 - 14 * factor
    for part, radius in RADII.items():
        wanted = disc(128, (y, 36), radius * factor) | disc(128, (y, 92), radius * factor)
        found = after >= part
        assert (found & wanted).sum() / (found | wanted).sum() > (0.75 if part == HUB else 0.85)
    assert abs((after >= TYRE).sum() / (car() >= TYRE).sum() / factor**2 - 1) < 0.06


def test_a_scaled_piece_may_leave_the_picture() -> None:
    mask = np.zeros((10, 10), np.uint8)
    mask[4:7, 4:7] = RIM
    assert (done(mask, Scale(part="rim", factor=10)) == RIM).all()
    mask[:] = RIM
    assert (done(mask, Scale(part="rim", factor=0.5)) == RIM).all()  # nothing remains to fill from


def test_vacated_pixels_get_the_nearest_part() -> None:
    mask = np.array([[BODY, BODY, RIM, RIM, RIM, RIM, BACKGROUND, BACKGROUND]], np.uint8)
    assert done(mask, Scale(part="rim", factor=0.5)).tolist() == [[1, 1, 1, 3, 3, 0, 0, 0]]
    assert done(mask, Shift(part="rim", dx_px=2)).tolist() == [[1, 1, 1, 1, 3, 3, 3, 3]]
    assert done(mask, Shift(part="rim", dx_px=-100)).tolist() == [[1, 1, 1, 1, 0, 0, 0, 0]]
    assert done(mask, Grow(part="rim", px=-1)).tolist() == [[1, 1, 1, 3, 3, 0, 0, 0]]


def test_growth_is_round_and_keeps_what_is_inside() -> None:
    mask = np.zeros((21, 21), np.uint8)
    mask[10, 10] = HUB
    grown = done(mask, Grow(part="hub", px=5))
    y, x = np.mgrid[0:21, 0:21] - 10
    assert np.array_equal(grown == HUB, np.hypot(y, x) <= 5)
    after = done(car(), Grow(part="wheel", px=2))
    assert np.array_equal(after == RIM, car() == RIM)
    assert (after == TYRE).sum() > (car() == TYRE).sum()
    assert (done(car(), Grow(part="wheel", px=-64)) < TYRE).all()


def test_a_shift_moves_a_group_as_it_is() -> None:
    after = done(car(), Shift(part="wheel", dx_px=3, dy_px=-2))
    wheels = np.where(car() >= TYRE, car(), 0)
    moved = np.roll(wheels, (-2, 3), (0, 1))
    assert np.array_equal(np.where(after >= TYRE, after, 0), moved)


def test_an_absent_part_is_left_alone() -> None:
    mask = np.full((4, 4), BODY, np.uint8)
    every = [
        Scale(part="rim", factor=2),
        Grow(part="rim", px=3),
        Shift(part="rim", dx_px=1),
        Relabel(part="rim", into="hub"),
    ]
    assert np.array_equal(done(mask, *every), mask)


def test_changed_parts_are_the_smaller_of_each_pixels_two() -> None:
    old = car()
    assert changed_parts(old, old) == ()
    assert changed_parts(old, done(old, Grow(part="tyre", px=1))) == (TYRE, RIM)
    assert changed_parts(old, done(old, Scale(part="wheel", factor=1.4))) == (TYRE, RIM, HUB)
    assert changed_parts(old, done(old, Shift(part="body", dy_px=-2))) == (BODY, TYRE)


@pytest.mark.parametrize(
    ("operations", "about"),
    [
        ([Scale(part="wheel", factor=1.4)], (TYRE, RIM, HUB)),
        ([Scale(part="wheel", factor=0.6)], (TYRE, RIM, HUB)),
        ([Shift(part="hub", dx_px=2), Grow(part="wheel", px=1)], (HUB, TYRE, RIM)),
        ([Relabel(part="rim", into="body")], (RIM, BODY)),
        ([Relabel(part="wheel", into="tyre")], (TYRE, RIM, HUB)),
    ],
)
def test_an_edit_is_about_the_parts_that_its_operations_name(
    operations: list[MaskOperation], about: tuple[int, ...]
) -> None:
    spec = EditSpec(inversion="0" * 32, mask_operations=tuple(operations))
    assert edited_parts(spec, car(), done(car(), *operations), PARTS, GROUPS) == about


def test_an_edit_is_about_what_it_says_or_else_about_what_its_mask_changes() -> None:
    scaled = done(car(), Scale(part="wheel", factor=1.4))
    told = EditSpec(inversion="0" * 32, mask_operations=(Scale(part="wheel", factor=1.4),), q_edit=("hub",))
    assert edited_parts(told, car(), scaled, PARTS, GROUPS) == (HUB,)
    drawn = EditSpec(inversion="0" * 32, mask="1" * 32)
    assert edited_parts(drawn, car(), scaled, PARTS, GROUPS) == changed_parts(car(), scaled)
