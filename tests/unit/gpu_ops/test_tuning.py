"""Pivotal tuning on a random model: what it descends on, what it leaves alone, and how it goes on."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from operation import finish

from gpu_ops.bundle import Bundle
from gpu_ops.errors import NonFiniteError, ShapeError
from gpu_ops.picture import Picture, to_tensor, to_uint8
from gpu_ops.tuning import tune, tuned

pytestmark = pytest.mark.thorough

Codes = Callable[..., torch.Tensor]


@pytest.fixture(scope="module")
def pivot(codes: Codes) -> torch.Tensor:
    return codes(1, seed=3)


@pytest.fixture(scope="module")
def picture(tiny: Bundle, codes: Codes) -> Picture:
    """Another picture than the pivot's."""
    return to_uint8(tiny.draw(codes(1, seed=9))[0])[0]


def test_it_draws_the_picture_better_at_the_pivot_and_says_so(
    tiny: Bundle, pivot: torch.Tensor, picture: Picture
) -> None:
    steps, result = finish(tune(tiny, pivot, picture, steps=12, lr=0.01))
    assert [(p.step, p.total) for p in steps] == [(n, 12) for n in range(1, 13)]
    assert result.psnr_db > result.before_db + 0.5
    assert result.complete
    drawn = tuned(tiny, result.weights).draw(pivot)[0]
    assert np.array_equal(to_uint8(drawn)[0], result.picture)


def test_the_loss_is_the_one_documented(tiny: Bundle, pivot: torch.Tensor, picture: Picture) -> None:
    """At the first step the generator is what it was: nothing to regularise, LPIPS + L2 at the pivot."""
    progress = next(tune(tiny, pivot, picture))
    drawn, target = tiny.draw(pivot)[0], to_tensor(picture[None])
    lpips = float(tiny.perceptual.lpips(drawn, target))
    squares = float(((drawn - target).double() ** 2).mean())
    assert progress.losses["locality"] == 0
    assert progress.losses["pivot"] == pytest.approx(lpips + squares, rel=1e-4)
    assert progress.losses["total"] == pytest.approx(progress.losses["pivot"])


@pytest.mark.thorough
def test_the_regulariser_holds_the_rest_of_the_model(
    tiny: Bundle, pivot: torch.Tensor, picture: Picture, monkeypatch: pytest.MonkeyPatch, codes: Codes
) -> None:
    others = codes(3, seed=50)

    def moved(weight: float) -> float:
        monkeypatch.setattr("gpu_ops.tuning.LOCALITY", weight)
        _, result = finish(tune(tiny, pivot, picture, steps=12, lr=0.001))
        return float((tuned(tiny, result.weights).draw(others)[0] - tiny.draw(others)[0]).square().mean())

    assert moved(10.0) < 0.5 * moved(0.0)


@pytest.mark.parametrize("cut", [1, 3])
def test_a_cut_and_a_restart_change_no_bit(
    tiny: Bundle, pivot: torch.Tensor, picture: Picture, cut: int
) -> None:
    steps, whole = finish(tune(tiny, pivot, picture, steps=4))
    run = tune(tiny, pivot, picture, steps=4)
    for _ in range(cut):
        progress = next(run)
    assert progress.state is not None
    kept = progress.state()
    run.close()
    rest, resumed = finish(tune(tiny, pivot, picture, steps=4, resume=kept))
    assert [p.losses for p in rest] == [p.losses for p in steps[cut:]]
    assert whole.weights.keys() == resumed.weights.keys()
    assert all(torch.equal(tensor, resumed.weights[name]) for name, tensor in whole.weights.items())


def test_the_model_itself_does_not_change(tiny: Bundle, pivot: torch.Tensor, picture: Picture) -> None:
    before = {name: tensor.clone() for name, tensor in tiny.generator.state_dict().items()}
    _, result = finish(tune(tiny, pivot, picture, steps=2))
    mine = tuned(tiny, result.weights)
    assert all(torch.equal(tensor, before[name]) for name, tensor in tiny.generator.state_dict().items())
    assert all(parameter.grad is None for parameter in tiny.generator.parameters())
    assert not any(parameter.requires_grad for parameter in mine.generator.parameters())
    assert torch.equal(mine.generator.mapping.w_avg, tiny.generator.mapping.w_avg)
    assert not any("mapping" in name for name in result.weights)


def test_told_to_stop_it_returns_what_it_has(tiny: Bundle, pivot: torch.Tensor, picture: Picture) -> None:
    _, stopped = finish(tune(tiny, pivot, picture, steps=50), stop_at=3)
    _, shorter = finish(tune(tiny, pivot, picture, steps=3))
    assert (stopped.steps, stopped.complete, shorter.complete) == (3, False, True)
    assert all(torch.equal(tensor, shorter.weights[name]) for name, tensor in stopped.weights.items())


def test_weights_of_another_model_are_refused(tiny: Bundle, pivot: torch.Tensor, picture: Picture) -> None:
    _, result = finish(tune(tiny, pivot, picture, steps=1))
    name = next(iter(result.weights))
    for wrong in (
        {**result.weights, name: torch.zeros(1)},
        {**result.weights, "synthesis.b9999.weight": torch.zeros(1)},
        {k: v for k, v in result.weights.items() if k != name},
    ):
        with pytest.raises(ShapeError):
            tuned(tiny, wrong)


def test_what_does_not_fit_is_refused_before_the_first_step(
    tiny: Bundle, pivot: torch.Tensor, picture: Picture
) -> None:
    for code, shown in ((pivot.repeat(2, 1, 1), picture), (pivot, picture[:16])):
        with pytest.raises(ShapeError):
            next(tune(tiny, code, shown))


def test_a_loss_that_is_not_finite_ends_it(tiny: Bundle, pivot: torch.Tensor, picture: Picture) -> None:
    with pytest.raises(NonFiniteError, match="step 1"):
        next(tune(tiny, pivot * float("nan"), picture))
