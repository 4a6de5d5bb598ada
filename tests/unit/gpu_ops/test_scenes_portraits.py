"""Stylised portraits: other shapes and strokes than the faces they show, with masks that fit."""

import dataclasses
import itertools

import numpy as np
import pytest

from gpu_ops.scenes import faces, portraits
from gpu_ops.scenes.dataset import DEMO_SEEDS_FROM

pytestmark = pytest.mark.thorough

STYLES = sorted(portraits.STYLES)


@pytest.fixture(scope="module")
def scenes():
    return [
        dataclasses.replace(faces.sample_scene(DEMO_SEEDS_FROM + 4 * index), eye_open=1.0, glasses="none")
        for index in range(8)
    ]


def test_there_are_three_styles():
    assert STYLES == ["cubist", "drawing", "sculpture"]


@pytest.mark.parametrize("style", STYLES)
def test_a_portrait_is_the_same_each_time(style, scenes):
    first, again = (portraits.render(scenes[0], style) for _ in range(2))
    assert np.array_equal(first[0], again[0])
    assert np.array_equal(first[1], again[1])
    assert first[0].shape == (64, 64, 3)
    assert first[1].shape == (64, 64)
    assert first[0].dtype == first[1].dtype == np.uint8


@pytest.mark.parametrize("style", STYLES)
def test_a_portrait_has_other_shapes_than_the_face(style, scenes):
    for scene in scenes:
        _, face = faces.render(scene)
        _, mask = portraits.render(scene, style)
        assert (face != mask).mean() > 0.04
        eye = np.isin(mask, [faces.PART_IDS[name] for name in faces.GROUPS["eye"]])
        mouth = np.isin(mask, [faces.PART_IDS[name] for name in faces.GROUPS["mouth"]])
        assert eye.sum() >= 30
        assert mouth.sum() >= 20
        assert np.nonzero(eye)[0].mean() < np.nonzero(mouth)[0].mean()


@pytest.mark.parametrize("style", STYLES)
def test_a_smile_shows_in_a_portrait(style, scenes):
    for scene in scenes:
        neutral, smiling = (dataclasses.replace(scene, smile=smile, mouth_open=-1.0) for smile in (0.0, 1.0))
        (one, mask), (other, wide) = (portraits.render(value, style) for value in (neutral, smiling))
        around = np.isin(np.maximum(mask, wide), [faces.PART_IDS[name] for name in faces.GROUPS["mouth"]])
        assert np.abs(one.astype(int) - other)[around].mean() > 8.0


def test_the_styles_look_different(scenes):
    for scene in scenes[:3]:
        pictures = [portraits.render(scene, style)[0].astype(int) for style in STYLES]
        assert all(np.abs(a - b).mean() > 15.0 for a, b in itertools.combinations(pictures, 2))
