"""Training the segmentation branch on a random generator, with labels that its features give away."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from operation import finish

from gpu_ops.picture import Picture
from gpu_ops.segmenter import Segmenter
from gpu_ops.stylegan2.generator import Generator, GeneratorConfig
from gpu_ops.training.segmenter import FeatureMaps, folds, segmenter_for, train_segmenter

PARTS = 3


@pytest.fixture
def generator() -> Generator:
    config = GeneratorConfig(16, z_dim=8, w_dim=8, mapping_layers=2, channel_base=128, channel_max=8)
    return Generator(config).eval().requires_grad_(False)


@torch.no_grad()
def brightness(generator: Generator, w_plus: torch.Tensor) -> Picture:
    """Three parts by how strong one channel of the last features is, each a third of the first codes."""
    known, channel = (
        generator.synthesise(code).features[-1][:, 2] for code in (codes(generator, 16, seed=1), w_plus)
    )  # [N, R, R]
    low, high = torch.quantile(known, torch.tensor([1 / 3, 2 / 3]))
    return ((channel > low).to(torch.uint8) + (channel > high).to(torch.uint8)).numpy()


def codes(generator: Generator, count: int, seed: int) -> torch.Tensor:
    z = torch.randn(count, 8, generator=torch.Generator().manual_seed(seed))
    return generator.map(z).contiguous()


def trained(generator: Generator, steps: int, seed: int = 0) -> tuple[Segmenter, list[float]]:
    torch.manual_seed(11)
    segmenter = segmenter_for(generator, PARTS, classifiers=3, widths=(32, 16))
    w_plus = codes(generator, 16, seed=1)
    run = train_segmenter(segmenter, generator, w_plus, brightness(generator, w_plus), steps=steps, seed=seed)
    return segmenter, [progress.losses["ce"] for progress in run]


def test_it_learns_what_the_features_show_also_on_codes_never_seen(generator: Generator) -> None:
    before = {name: tensor.clone() for name, tensor in generator.state_dict().items()}
    segmenter, losses = trained(generator, steps=1000)
    assert np.mean(losses[-20:]) < 0.4 * np.mean(losses[:5])
    w_plus = torch.cat([codes(generator, 16, seed=1), codes(generator, 16, seed=2)])
    with torch.no_grad():
        found = segmenter.predict(generator.synthesise(w_plus).features).numpy()
    exact = brightness(generator, w_plus)
    assert np.mean(found[:16] == exact[:16]) > 0.9
    assert np.mean(found[16:] == exact[16:]) > 0.8
    assert all(torch.equal(tensor, before[name]) for name, tensor in generator.state_dict().items())


def test_it_is_left_frozen_and_in_evaluation_mode(generator: Generator) -> None:
    segmenter, _ = trained(generator, steps=2)
    assert not any(module.training for module in segmenter.modules())
    assert not any(parameter.requires_grad for parameter in segmenter.parameters())


def test_a_seed_gives_the_same_weights_bit_for_bit(generator: Generator) -> None:
    first, losses = trained(generator, steps=20)
    second, again = trained(generator, steps=20)
    other, different = trained(generator, steps=20, seed=1)
    assert losses == again != different
    for name, tensor in first.state_dict().items():
        assert torch.equal(tensor, second.state_dict()[name]), name
    assert not torch.equal(first.weight1, other.weight1)


def test_each_classifier_sees_pixels_of_its_own(generator: Generator) -> None:
    segmenter, _ = trained(generator, steps=5)
    assert not torch.equal(segmenter.norm1.running_mean[0], segmenter.norm1.running_mean[1])
    assert not torch.equal(segmenter.weight1[0], segmenter.weight1[1])


def test_a_run_that_was_cut_goes_on_to_the_same_bits(generator: Generator) -> None:
    w_plus = codes(generator, 4, seed=1)
    masks = brightness(generator, w_plus)

    def run(cut: int | None = None) -> Segmenter:
        segmenter = segmenter_for(generator, PARTS, classifiers=2, widths=(8, 8), seed=5)
        steps = train_segmenter(segmenter, generator, w_plus, masks, steps=6)
        if cut is None:
            assert finish(steps)[1] == 6
            return segmenter
        for _ in range(cut):
            progress = next(steps)
        assert progress.state is not None
        other = segmenter_for(generator, PARTS, classifiers=2, widths=(8, 8), seed=9)
        rest = train_segmenter(other, generator, w_plus, masks, steps=6, resume=progress.state())
        assert len(finish(rest)[0]) == 6 - cut
        return other

    whole, resumed = run(), run(cut=4)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


def test_told_to_stop_it_says_how_far_it_came(generator: Generator) -> None:
    segmenter = segmenter_for(generator, PARTS, classifiers=2, widths=(8, 8))
    w_plus = codes(generator, 2, seed=1)
    run = train_segmenter(segmenter, generator, w_plus, brightness(generator, w_plus), steps=50)
    assert finish(run, stop_at=3)[1] == 3
    assert not segmenter.training


@pytest.mark.parametrize("table_bytes", [0, 1 << 30])
def test_rows_are_the_features_brought_to_size(
    generator: Generator, monkeypatch: pytest.MonkeyPatch, table_bytes: int
) -> None:
    monkeypatch.setattr("gpu_ops.training.segmenter.TABLE_BYTES", table_bytes)
    w_plus = codes(generator, 3, seed=1)
    with torch.no_grad():
        features = generator.synthesise(w_plus).features
    resized = [F.interpolate(maps, size=(16, 16), mode="bilinear", align_corners=False) for maps in features]
    expected = torch.cat(resized, dim=1).permute(0, 2, 3, 1).flatten(0, 2)
    pixels = torch.randperm(3 * 256)[:100]
    found = FeatureMaps(generator, w_plus)
    assert (found.table is None) == (table_bytes == 0)
    torch.testing.assert_close(found.rows(pixels), expected[pixels], rtol=1e-4, atol=1e-5)


def test_folds_leave_each_picture_out_once() -> None:
    dealt = folds(10, 4, seed=0)
    assert sorted(index for fold in dealt for index in fold) == list(range(10))
    assert sorted(len(fold) for fold in dealt) == [2, 2, 3, 3]
    assert dealt == folds(10, 4, seed=0) != folds(10, 4, seed=1)
