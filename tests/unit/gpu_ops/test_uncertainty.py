"""The classifiers' disagreement against a float64 reference written apart."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.special import softmax
from scipy.stats import entropy

from gpu_ops.bundle import Bundle
from gpu_ops.reading import Places
from gpu_ops.uncertainty import disagreement, picture_score, uncertainty


def test_it_is_the_entropy_of_the_mean_less_the_mean_entropy() -> None:
    logits = np.random.default_rng(0).normal(0, 3, (5, 40, 7))
    shares = softmax(logits, axis=2)
    expected = entropy(shares.mean(axis=0), axis=1) - entropy(shares, axis=2).mean(axis=0)
    np.testing.assert_allclose(disagreement(torch.from_numpy(logits)).numpy(), expected, rtol=1e-10)
    single = disagreement(torch.from_numpy(logits).float()).double().numpy()
    np.testing.assert_allclose(single, expected, rtol=0, atol=1e-5)


def test_classifiers_that_agree_are_sure_and_those_that_contradict_each_other_are_not() -> None:
    same = torch.randn(1, 9, 4).expand(3, 9, 4)
    assert float(disagreement(same).max()) < 1e-6
    opposed = torch.tensor([[[50.0, 0.0]], [[0.0, 50.0]]])  # each sure of another part
    assert float(disagreement(opposed)) == pytest.approx(math.log(2), rel=1e-6)


def test_a_map_has_each_pixels_own_uncertainty(tiny: Bundle, codes: Callable[..., torch.Tensor]) -> None:
    features = tiny.generator.synthesise(codes(3)).features
    found = uncertainty(tiny.segmenter, features)
    size = tiny.resolution_px
    assert found.shape == (3, size, size)
    pixel = 2 * size * size + 5 * size + 9
    alone = disagreement(tiny.segmenter.each_at(features, Places(torch.tensor([pixel]), size)))
    assert float(found[2, 5, 9]) == pytest.approx(float(alone), abs=1e-5)
    assert float(found.max()) > 0


def test_a_pictures_score_is_the_mean_of_its_top_tenth() -> None:
    values = torch.randn(2, 16, 16).square()
    expected = [np.sort(each.numpy().ravel())[-26:].mean() for each in values]  # 26 of 256
    assert picture_score(values).tolist() == pytest.approx(expected, rel=1e-5)
