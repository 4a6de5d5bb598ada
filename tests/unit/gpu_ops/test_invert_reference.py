"""The loss of an inversion and its gradient, against a reference written separately, in float64."""

from collections.abc import Callable

import numpy as np
import pytest
import reference_inversion
import reference_stylegan2
import torch
from torch import nn

from gpu_ops.bundle import Bundle
from gpu_ops.invert import invert
from gpu_ops.picture import Picture, to_uint8

Codes = Callable[..., torch.Tensor]


@pytest.fixture
def target(tiny: Bundle, codes: Codes) -> Picture:
    return to_uint8(tiny.draw(codes(1, seed=4))[0])


def reference_loss(bundle: Bundle, target: Picture) -> Callable[[np.ndarray], float]:
    """Of w_plus [L, D]."""
    generator = {name: tensor.numpy() for name, tensor in bundle.generator.state_dict().items()}
    net = bundle.perceptual.lpips.net.state_dict()
    backbone = {"features." + name.split(".", 1)[1]: tensor.numpy() for name, tensor in net.items()}
    noise = {
        name.removesuffix(".noise_const"): plane
        for name, plane in generator.items()
        if name.endswith(".noise_const")
    }

    def loss(w_plus: np.ndarray) -> float:
        drawn, _ = reference_stylegan2.synthesise(generator, w_plus, bundle.resolution_px, noise)
        return reference_inversion.inversion_loss(drawn, target[0], backbone)

    return loss


def test_loss_and_gradient_are_those_of_the_reference(tiny64: Bundle, target: Picture) -> None:
    """The gradient is read off Adam's first moment, and compared along two directions."""
    for name, parameter in tiny64.generator.named_parameters():
        if name.endswith("noise_strength"):
            nn.init.constant_(parameter, 0.3)  # so that noise counts
    loss = reference_loss(tiny64, target)
    start = tiny64.generator.mapping.w_avg.expand(tiny64.generator.num_ws, -1).numpy()
    progress = next(invert(tiny64, target, steps=5, start="w_avg"))
    assert progress.losses["total"] == pytest.approx(loss(start), rel=1e-6)
    assert progress.state is not None
    gradient = progress.state()["exp_avg"][0].numpy() / (1 - 0.9)
    rng = np.random.default_rng(0)
    for _ in range(2):
        way = rng.standard_normal(start.shape)
        step = 1e-5
        slope = (loss(start + step * way) - loss(start - step * way)) / (2 * step)
        assert (gradient * way).sum() == pytest.approx(slope, rel=1e-4)
