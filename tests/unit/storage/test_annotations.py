"""What annotated masks may be, and what becomes of them before they are learned from."""

import numpy as np
import pytest
from pydantic import ValidationError

from storage.annotations import (
    UNLABELLED,
    check_annotated,
    colour,
    default_min_piece_px,
    fitted,
    parts_of,
    without_small_pieces,
)
from storage.errors import InvalidInput, MaskMismatch, ModelIncomplete
from storage.library_records import Model, Part
from storage.records import ObjectRef
from storage.training_specs import TrainGeneratorSpec, TrainSegmenterSpec

PARTS = (Part(0, "sky", (1, 2, 3)), Part(1, "body", (4, 5, 6)))
ID = "0" * 32
SHOWN = [{"image": ID, "mask": ID}, {"seed": 3, "mask": ID}]


def model(*roles: str) -> Model:
    ref = ObjectRef("k", "a" * 64, 1, "x")
    parts = PARTS if "segmenter" in roles else (UNLABELLED,)
    return Model(ID, "local", "mine", "d" * 64, 8, parts, {}, dict.fromkeys(roles, ref), {}, 0.0)


def test_pieces_too_small_take_what_is_around_them() -> None:
    mask = np.zeros((8, 8), np.uint8)
    mask[:, 5:] = 1
    mask[2, 2] = 2  # alone
    mask[6, 6], mask[7, 7] = 3, 3  # neighbours by a corner: one piece of two
    found = without_small_pieces(mask, 2)
    assert found[2, 2] == 0
    assert (found[6, 6], found[7, 7]) == (3, 3)
    found = without_small_pieces(mask, 3)
    assert (found[6, 6], found[7, 7]) == (1, 1)
    assert mask[2, 2] == 2, "not modified"
    mask[2, 2] = 0
    assert np.array_equal(without_small_pieces(mask, 2), mask)


def test_a_mask_of_small_pieces_alone_stays() -> None:
    mask = np.arange(4, dtype=np.uint8).reshape(2, 2)
    assert np.array_equal(without_small_pieces(mask, 5), mask)


def test_the_smallest_piece_grows_with_the_resolution() -> None:
    assert [default_min_piece_px(size) for size in (32, 64, 256, 512, 1024)] == [2, 2, 8, 30, 120]


def test_a_mask_of_the_pictures_size_is_cut_as_the_picture_is() -> None:
    wide = np.repeat(np.arange(20, dtype=np.uint8)[None] // 10, 16, axis=0)  # [16, 20], right half 1
    found = fitted(wide, 8, PARTS, field="mask", picture_px=(20, 16))
    assert np.array_equal(found, np.repeat([[0] * 4 + [1] * 4], 8, axis=0))
    assert fitted(found, 8, PARTS, field="mask") is found


@pytest.mark.parametrize("mask", [np.zeros((9, 8), np.uint8), np.full((8, 8), 2, np.uint8)])
def test_a_mask_that_does_not_fit_is_named(mask: np.ndarray) -> None:
    with pytest.raises(MaskMismatch) as caught:
        fitted(mask, 8, PARTS, field="annotations.1.mask", picture_px=(20, 16))
    assert caught.value.field == "annotations.1.mask"
    assert ("20x16" in str(caught.value.expected)) == (mask.shape != (8, 8))


def test_parts_are_the_models_or_the_specs() -> None:
    spec = TrainSegmenterSpec(name="mine", annotations=SHOWN, folds=0)
    assert parts_of(spec, model("generator", "segmenter")) == PARTS
    with pytest.raises(InvalidInput) as caught:
        parts_of(spec, model("generator"))
    assert caught.value.field == "parts"
    named = spec.model_copy(update={"parts": ("body", "wing")})
    first, second = parts_of(named, model("generator", "segmenter"))
    assert (first.id, first.name, first.colour) == (0, "body", (4, 5, 6)), "known parts keep their colour"
    assert (second.id, second.name, second.colour) == (1, "wing", colour(1))


def test_colours_differ() -> None:
    assert len({colour(index) for index in range(64)}) == 64


@pytest.mark.parametrize(
    ("kind", "refused"),
    [("edit", True), ("learn_vector", True), ("apply", True), ("sample", False), ("train_segmenter", False)],
)
def test_a_model_without_a_segmenter_serves_what_needs_none(kind: str, refused: bool) -> None:
    check_annotated(model("generator", "segmenter"), kind)
    if not refused:
        check_annotated(model("generator"), kind)
        return
    with pytest.raises(ModelIncomplete, match="annotate about 16 pictures"):
        check_annotated(model("generator"), kind)


@pytest.mark.parametrize(
    "changes",
    [
        {"annotations": [{"mask": ID}, *SHOWN]},
        {"annotations": [{"mask": ID, "image": ID, "seed": 1}, *SHOWN]},
        {"annotations": SHOWN[:1]},
        {"folds": 3},
        {"folds": 1},
        {"parts": ["one"]},
        {"parts": ["one", "one"]},
        {"groups": {"all": ["one"]}},
        {"parts": ["one", "two"], "groups": {"one": ["two"]}},
        {"parts": ["one", "two"], "groups": {"all": ["three"]}},
    ],
)
def test_a_training_of_a_segmenter_that_makes_no_sense_is_refused(changes: dict[str, object]) -> None:
    sound: dict[str, object] = {"name": "mine", "annotations": SHOWN, "folds": 2}
    TrainSegmenterSpec.model_validate(sound)
    with pytest.raises(ValidationError):
        TrainSegmenterSpec.model_validate(sound | changes)


def test_a_generator_needs_channels_at_its_resolution() -> None:
    with pytest.raises(ValidationError, match="channel_base"):
        TrainGeneratorSpec(name="mine", images=(ID, ID), resolution_px=1024)
