"""Photographs through jobs: a box of the original is edited, and pasted back into it."""

import io
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow
from recipe_trial import RELABEL, output, put_vector, upload, work
from scipy import ndimage
from tiny_model import SIZE_PX
from worker_trial import Trial

from gpu_ops.photo import Box, cut
from storage.records import Job, Status

pytestmark = pytest.mark.thorough

WIDTH, HEIGHT = 160, 120
BOX = {"x": 30, "y": 10, "size": 100}


@pytest.fixture
def original() -> NDArray[np.uint8]:
    return np.random.default_rng(3).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


@pytest.fixture
def photo(plant: Trial, original: NDArray[np.uint8]) -> str:
    buffer = io.BytesIO()
    Pillow.fromarray(original).save(buffer, "PNG")
    return upload(plant, buffer.getvalue(), "picture", (WIDTH, HEIGHT))


def done(trial: Trial, kind: str, **spec: Any) -> Job:
    job = work(trial, kind, **spec)
    assert job.status is Status.SUCCEEDED, job.error
    return job


def pixels(trial: Trial, job: Job, name: str) -> NDArray[np.uint8]:
    with Pillow.open(io.BytesIO(output(trial, job, name))) as image:
        return np.asarray(image)


MUCH = {"steps": 4, "lambda_rgb": 0, "lambda_prior": 0}  # so that it changes something in few steps
EDIT: dict[str, Any] = {"inversion_steps": 2, "mask_operations": RELABEL, **MUCH}


def test_an_edit_is_pasted_into_its_photograph(plant: Trial, photo: str, original: NDArray[np.uint8]) -> None:
    job = done(plant, "edit", image=photo, photo={"box": BOX}, **EDIT)
    assert job.result["box"] == BOX
    assert 0 < job.result["replaced_share"] <= 1
    seen = cut(original, Box(**BOX), SIZE_PX)
    assert np.array_equal(pixels(plant, job, "input.png"), seen)
    pasted = pixels(plant, job, "pasted.png")
    assert pasted.shape == original.shape
    kept = np.ones((HEIGHT, WIDTH), bool)
    kept[10:110, 30:130] = False
    assert np.array_equal(pasted[kept], original[kept])
    assert (pasted != original).any()


def test_without_a_box_the_model_sees_the_largest_central_square(plant: Trial, photo: str) -> None:
    job = done(plant, "edit", image=photo, photo={"paste": "difference"}, **EDIT)
    assert job.result["box"] == {"x": 20, "y": 0, "size": 120}
    assert job.result["replaced_share"] == 0


def test_without_photo_nothing_is_pasted(plant: Trial, photo: str) -> None:
    assert "pasted.png" not in done(plant, "edit", image=photo, **EDIT).outputs


def test_an_inversion_brings_its_photograph_and_edits_add_up(
    plant: Trial, photo: str, original: NDArray[np.uint8]
) -> None:
    """Inverted, edited, and edited again: each pastes into what the one before had left."""
    inversion = done(plant, "invert", image=photo, box=BOX, steps=2)
    first = done(plant, "edit", inversion=inversion.id, photo={}, mask_operations=RELABEL, **MUCH)
    assert first.result["box"] == inversion.result["box"] == BOX
    straight = done(plant, "edit", image=photo, photo={"box": BOX}, **EDIT)
    assert np.array_equal(pixels(plant, first, "pasted.png"), pixels(plant, straight, "pasted.png"))
    again = [{"op": "relabel", "part": "tyre", "into": "body"}]
    second = done(
        plant, "edit", inversion=first.id, photo={"paste": "difference"}, mask_operations=again, **MUCH
    )
    assert second.result["box"] == BOX
    left, now = (pixels(plant, job, "pasted.png").astype(int) for job in (first, second))
    change = pixels(plant, second, "edited.png").astype(int) - pixels(plant, second, "inverted.png")
    assert (now != left).any()
    assert np.array_equal(now[:10], left[:10])
    assert np.abs(now - left).max() <= np.abs(change).max() * 1.5 + 1


@pytest.mark.parametrize(
    ("box", "field"),
    [
        ({"x": 0, "y": 0, "size": 121}, "photo.box.size"),
        ({"x": 61, "y": 0, "size": 100}, "photo.box.x"),
        ({"x": 0, "y": 21, "size": 100}, "photo.box.y"),
    ],
)
def test_a_box_that_reaches_out_of_the_picture_is_named(
    plant: Trial, photo: str, box: dict[str, int], field: str
) -> None:
    job = work(plant, "edit", image=photo, photo={"box": box}, **EDIT)
    assert job.error is not None
    assert (job.error["code"], job.error["field"]) == ("invalid_input", field)
    job = work(plant, "invert", image=photo, box=box, steps=1)
    assert job.error is not None
    assert job.error["field"] == field.removeprefix("photo.")


def test_a_sample_has_no_photograph(plant: Trial) -> None:
    sampled = done(plant, "sample", seed=1)
    job = work(plant, "edit", inversion=sampled.id, photo={}, mask_operations=RELABEL, **MUCH)
    assert job.error is not None
    assert (job.error["code"], job.error["field"]) == ("invalid_input", "photo")


APPLY: dict[str, Any] = {"inversion_steps": 2, "sweep": [0, -1, 2]}


@pytest.fixture
def vector(plant: Trial) -> str:
    return put_vector(plant, size=3.0)


def region_of(trial: Trial, job: Job, column: int) -> NDArray[np.bool_]:
    """Where the vectors may change the picture, in the model's pixels, of the first input."""
    names = ("inverted_mask_000.png", f"mask_000_{column:02d}.png")
    about = np.any([pixels(trial, job, name) >= 2 for name in names], axis=0)  # tyre and rim
    grown: NDArray[np.bool_] = ndimage.binary_dilation(about, np.ones((3, 3)))
    return grown


def test_every_picture_of_a_sweep_is_pasted_into_its_photograph(
    plant: Trial, photo: str, vector: str, original: NDArray[np.uint8]
) -> None:
    job = done(plant, "apply", image=photo, photo={"box": BOX}, vectors=[{"vector": vector}], **APPLY)
    (told,) = job.result["inputs"]
    assert told["box"] == BOX
    assert "photo" not in told
    nothing, *changed = (pixels(plant, job, f"pasted_000_{column:02d}.png") for column in range(3))
    assert np.array_equal(nothing, original)
    for column, pasted in enumerate(changed, start=1):
        allowed = np.zeros((HEIGHT, WIDTH), bool)
        at = ((np.arange(BOX["size"]) + 0.5) * (SIZE_PX / BOX["size"])).astype(int)
        allowed[10:110, 30:130] = region_of(plant, job, column)[np.ix_(at, at)]
        assert np.array_equal(pasted[~allowed], original[~allowed])
        assert (pasted[allowed] != original[allowed]).any()
        assert 0 <= told["sweep"][column]["replaced_share"] <= 1
    assert (changed[0] != changed[1]).any()


@pytest.mark.parametrize("paste", ["auto", "difference", "replace"])
@pytest.mark.parametrize("mode", ["vector", "refinement"])
def test_strength_zero_gives_the_original_back(
    plant: Trial, photo: str, vector: str, original: NDArray[np.uint8], paste: str, mode: str
) -> None:
    uses = [{"vector": vector, "strength": 0}]
    spec = {"image": photo, "photo": {"paste": paste}, "inversion_steps": 2, "mode": mode}
    job = done(plant, "apply", vectors=uses, **spec)
    assert np.array_equal(pixels(plant, job, "pasted_000_00.png"), original)


def test_each_of_a_list_of_inputs_has_its_own_box(
    plant: Trial, photo: str, vector: str, original: NDArray[np.uint8]
) -> None:
    """One photograph twice, cut otherwise, an inversion of it, and two that are not pasted."""
    inversion = done(plant, "invert", image=photo, box=BOX, steps=2)
    other = {"x": 0, "y": 0, "size": 64}
    inputs = [
        {"image": photo, "photo": {"box": other, "paste": "difference"}},
        {"image": photo, "photo": {"box": BOX}},
        {"inversion": inversion.id, "photo": {}},
        {"image": photo},
        {"seed": 1},
    ]
    job = done(plant, "apply", inputs=inputs, vectors=[{"vector": vector}], inversion_steps=2)
    assert [told.get("box") for told in job.result["inputs"]] == [other, BOX, BOX, None, None]
    pasted = [pixels(plant, job, f"pasted_{row:03d}_00.png") for row in range(3)]
    assert (pasted[0] != original).any()
    assert np.array_equal(pasted[0][64:], original[64:])
    assert (pasted[0] != pasted[1]).any()
    assert np.array_equal(pasted[1], pasted[2])
    assert not {"pasted_003_00.png", "pasted_004_00.png"} & job.outputs.keys()
    alone = done(
        plant, "apply", image=photo, photo={"box": BOX}, vectors=[{"vector": vector}], inversion_steps=2
    )
    assert np.array_equal(pixels(plant, alone, "pasted_000_00.png"), pasted[1])


def test_what_was_applied_is_pasted_on(plant: Trial, photo: str, vector: str) -> None:
    first = done(plant, "apply", image=photo, photo={"box": BOX}, vectors=[{"vector": vector}], **APPLY)
    uses = [{"vector": vector, "strength": 0}]
    second = done(plant, "apply", inversion=first.id, photo={}, vectors=uses)
    assert second.result["inputs"][0]["box"] == BOX
    left, again = pixels(plant, first, "pasted_000_00.png"), pixels(plant, second, "pasted_000_00.png")
    assert np.array_equal(again, left)


def test_what_an_apply_can_not_be_pasted_into_is_named(plant: Trial, photo: str, vector: str) -> None:
    sampled = done(plant, "sample", seed=1)
    wide = {"x": 61, "y": 0, "size": 100}
    for point, field in (
        ({"image": photo, "photo": {"box": wide}}, "photo.box.x"),
        ({"inversion": sampled.id, "photo": {}}, "photo"),
    ):
        uses: dict[str, Any] = {"vectors": [{"vector": vector}], "inversion_steps": 1}
        for spec, named in ((point, field), ({"inputs": [{"seed": 1}, point]}, f"inputs.1.{field}")):
            job = work(plant, "apply", **uses, **spec)
            assert job.error is not None
            assert (job.error["code"], job.error["field"]) == ("invalid_input", named)
