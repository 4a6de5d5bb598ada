"""The cheap forms of the segmenter equal the plain ones: resized, concatenated, ten separate classifiers."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from gpu_ops.bundle import Bundle
from gpu_ops.reading import Places
from gpu_ops.segmenter import Segmenter, SegmenterConfig
from gpu_ops.training.segmenter import FeatureMaps, segmenter_for

Codes = Callable[..., torch.Tensor]

SIZE = 16
CHANNELS = (5, 5, 4, 4, 3, 3)
RESOLUTIONS = (4, 4, 8, 8, 16, 16)


def classifier(widths: tuple[int, int], parts: int) -> nn.Sequential:
    """One classifier as the papers state it."""
    first, second = widths
    return nn.Sequential(
        nn.Linear(sum(CHANNELS), first),
        nn.ReLU(),
        nn.BatchNorm1d(first),
        nn.Linear(first, second),
        nn.ReLU(),
        nn.BatchNorm1d(second),
        nn.Linear(second, parts),
    ).double()


def randomise(network: nn.Module) -> None:
    for name, tensor in network.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 2)
        elif tensor.is_floating_point():
            tensor.normal_()


def build(classifiers: int = 10, parts: int = 6) -> tuple[Segmenter, list[nn.Sequential]]:
    """A segmenter, and the same weights in separate classifiers."""
    config = SegmenterConfig(CHANNELS, SIZE, parts, classifiers, widths=(12, 7))
    segmenter = Segmenter(config).double()
    separate = [classifier(config.widths, parts) for _ in range(classifiers)]
    own = segmenter.state_dict()
    names = {"weight1": "0.weight", "bias1": "0.bias", "weight2": "3.weight", "bias2": "3.bias"}
    names |= {"weight3": "6.weight", "bias3": "6.bias"}
    for norm, layer in (("norm1", 2), ("norm2", 5)):
        for name in ("weight", "bias", "running_mean", "running_var"):
            names[f"{norm}.{name}"] = f"{layer}.{name}"
    assert own.keys() == names.keys()
    for network in separate:
        randomise(network)
    for mine, theirs in names.items():
        own[mine].copy_(torch.stack([network.state_dict()[theirs] for network in separate]))
    return segmenter, separate


def maps(count: int, *, grad: bool = False) -> list[torch.Tensor]:
    return [
        torch.randn(count, channels, size, size, dtype=torch.float64, requires_grad=grad)
        for channels, size in zip(CHANNELS, RESOLUTIONS, strict=True)
    ]


def concatenated_logits(separate: list[nn.Sequential], features: list[torch.Tensor]) -> torch.Tensor:
    """[N, K, R, R], by resizing all features to the picture's size and concatenating them."""
    resized = [F.interpolate(m, size=(SIZE, SIZE), mode="bilinear", align_corners=False) for m in features]
    rows = torch.cat(resized, dim=1).permute(0, 2, 3, 1).reshape(-1, sum(CHANNELS))
    logits = torch.stack([network(rows) for network in separate]).mean(dim=0)
    return logits.reshape(len(features[0]), SIZE, SIZE, -1).permute(0, 3, 1, 2)


@pytest.mark.parametrize("count", [1, 3])
def test_logits_equal_the_concatenated_form_and_so_do_their_gradients(count: int) -> None:
    segmenter, separate = build()
    segmenter.eval()
    for network in separate:
        network.eval()
    features = maps(count, grad=True)
    got, expected = segmenter.logits(features), concatenated_logits(separate, features)
    torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-9)
    weighing = torch.randn_like(got)
    slopes = torch.autograd.grad((got * weighing).sum(), features)
    expected_slopes = torch.autograd.grad((expected * weighing).sum(), features)
    torch.testing.assert_close(slopes, expected_slopes, rtol=1e-9, atol=1e-9)
    assert torch.equal(segmenter.predict(features), expected.argmax(dim=1))


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 1.0])
def test_logits_at_pixels_equal_the_logits_there(count: int, share: float) -> None:
    """Few pixels and many: below and above each map's own number of pixels."""
    segmenter, _ = build(classifiers=3)
    segmenter.eval()
    features = maps(count, grad=True)
    total = count * SIZE * SIZE
    pixels = torch.randperm(total)[: int(share * total)]
    whole = segmenter.logits(features).permute(0, 2, 3, 1).flatten(0, 2)  # [N * R * R, K]
    got = segmenter.logits_at(features, Places(pixels, SIZE))
    torch.testing.assert_close(got, whole[pixels], rtol=1e-9, atol=1e-9)
    if len(pixels):
        weighing = torch.randn_like(got)
        slopes = torch.autograd.grad((got * weighing).sum(), features)
        expected = torch.autograd.grad((whole[pixels] * weighing).sum(), features)
        torch.testing.assert_close(slopes, expected, rtol=1e-9, atol=1e-9)


def test_each_classifier_equals_its_separate_self_in_evaluation() -> None:
    segmenter, separate = build()
    segmenter.eval()
    shared = torch.randn(40, sum(CHANNELS), dtype=torch.float64)
    own = torch.randn(10, 40, sum(CHANNELS), dtype=torch.float64)
    for network in separate:
        network.eval()
    for rows, given in ((shared, [shared] * 10), (own, list(own))):
        expected = torch.stack([network(x) for network, x in zip(separate, given, strict=True)])
        torch.testing.assert_close(segmenter.each(rows), expected, rtol=1e-9, atol=1e-9)


def test_each_classifier_trains_as_its_separate_self() -> None:
    """Outputs, running statistics and gradients in training mode, over three steps of plain descent."""
    segmenter, separate = build()
    segmenter.train()
    mine = torch.optim.SGD(segmenter.parameters(), lr=0.01)
    theirs = torch.optim.SGD([p for network in separate for p in network.parameters()], lr=0.01)
    for _ in range(3):
        rows = torch.randn(10, 64, sum(CHANNELS), dtype=torch.float64)
        labels = torch.randint(6, (10, 64))
        logits = segmenter.each(rows)
        expected = torch.stack([network(x) for network, x in zip(separate, rows, strict=True)])
        torch.testing.assert_close(logits, expected, rtol=1e-9, atol=1e-9)
        for optimiser, out in ((mine, logits), (theirs, expected)):
            optimiser.zero_grad()
            F.cross_entropy(out.flatten(0, 1), labels.flatten()).backward()
            optimiser.step()
    for name, layer in (("norm1", 2), ("norm2", 5)):
        norm = segmenter.get_submodule(name)
        for statistic in ("running_mean", "running_var"):
            expected = torch.stack([getattr(network[layer], statistic) for network in separate])
            torch.testing.assert_close(getattr(norm, statistic), expected, rtol=1e-9, atol=1e-9)


def test_a_segmenter_for_a_generator_reads_its_features(tiny: Bundle, codes: Codes) -> None:
    segmenter = segmenter_for(tiny.generator, parts=4, classifiers=2).eval()
    assert segmenter.config.widths == (128, 32)
    assert segmenter_for(tiny.generator, parts=32, classifiers=1).config.widths == (256, 128)
    w_plus = codes(2)
    with torch.no_grad():
        features = tiny.generator.synthesise(w_plus).features
        rows = FeatureMaps(tiny.generator, w_plus).rows(torch.arange(2 * tiny.resolution_px**2))
        expected = segmenter.each(rows).mean(dim=0)
        got = segmenter.logits(features).permute(0, 2, 3, 1).flatten(0, 2)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)
