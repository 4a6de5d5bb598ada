"""Labelled pictures are those that the bundle draws, and their scores those of the uncertainty."""

from pathlib import Path

import numpy as np
import pytest
import torch

from gpu_ops.bundle import load_bundle
from gpu_ops.errors import IncompleteModelError
from gpu_ops.labelled import label
from gpu_ops.picture import to_uint8
from gpu_ops.sample import seeded_code
from gpu_ops.unannotated import Unannotated
from gpu_ops.uncertainty import picture_score, uncertainty


def test_masks_and_pictures_are_drawn_ones_bit_for_bit_and_scores_the_uncertainty(tiny_folder: Path) -> None:
    bundle = load_bundle(tiny_folder)
    w_plus = torch.cat([seeded_code(bundle, seed, 0.7) for seed in range(3)])
    labelled = label(bundle, w_plus)
    picture, mask = bundle.draw(w_plus)
    assert np.array_equal(labelled.pictures, to_uint8(picture))
    assert np.array_equal(labelled.masks, mask.numpy())
    assert len(np.unique(labelled.masks)) > 1
    features = bundle.generator.synthesise(w_plus).features
    expected = picture_score(uncertainty(bundle.segmenter, features))
    assert labelled.scores == pytest.approx(expected.numpy(), rel=1e-4)
    assert labelled.scores.min() > 0


def test_a_model_without_a_segmenter_labels_nothing(tiny_folder: Path) -> None:
    bundle = load_bundle(tiny_folder)
    bundle.segmenter = Unannotated(bundle.resolution_px)
    with pytest.raises(IncompleteModelError):
        label(bundle, seeded_code(bundle, 0, 0.7))
