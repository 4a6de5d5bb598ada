"""Descent: stops anywhere and goes on to the same bits, keeps each item's best, mixes no items."""

import pytest
import torch
from downhill import descend

from gpu_ops.descent import Descent
from gpu_ops.errors import NonFiniteError, ShapeError
from gpu_ops.progress import State

Target = torch.Tensor


def losses(value: torch.Tensor, target: Target) -> torch.Tensor:
    """Something with valleys and walls, one value per item."""
    away = value - target
    return (away.square() + 0.3 * (5 * away).cos()).mean(dim=(1, 2))


def run(descent: Descent, target: Target, steps: int) -> Descent:
    while descent.step < steps:
        descend(descent, losses(descent.value, target), lr=0.05 + 0.01 * descent.step)
    return descent


def assert_same(one: State, two: State) -> None:
    assert one.keys() == two.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, two[name]), name


@pytest.mark.parametrize("cut", [0, 1, 7, 19])
def test_a_cut_and_a_restart_change_no_bit(cut: int) -> None:
    start, target = torch.randn(2, 3, 4, 5).unbind()
    whole = run(Descent(start), target, 20)
    kept = run(Descent(start), target, cut).state()
    second = Descent(torch.zeros_like(start))
    second.restore(kept)
    assert second.step == cut
    assert_same(run(second, target, 20).state(), whole.state())


def test_a_state_can_be_restored_twice() -> None:
    """The descent that goes on from it must not write into it."""
    start, target = torch.randn(2, 2, 3, 4).unbind()
    kept = run(Descent(start), target, 3).state()
    ends = []
    for _ in range(2):
        descent = Descent(start)
        descent.restore(kept)
        ends.append(run(descent, target, 8).state())
    assert_same(*ends)


def test_a_state_taken_is_not_changed_by_later_steps() -> None:
    start, target = torch.randn(2, 2, 3, 4).unbind()
    descent = run(Descent(start), target, 3)
    kept = descent.state()
    copies = {name: tensor.clone() for name, tensor in kept.items()}
    run(descent, target, 9)
    assert_same(kept, copies)


def test_a_state_survives_safetensors() -> None:
    from safetensors.torch import load, save

    start, target = torch.randn(2, 2, 3, 4).unbind()
    kept = run(Descent(start), target, 3).state()
    assert_same(kept, load(save(kept)))


def test_each_item_keeps_its_own_best_step() -> None:
    """Losses that are given, whatever the values: the best of each item is where its loss was lowest."""
    given = torch.tensor([[3.0, 1.0], [2.0, 4.0], [5.0, 0.5], [2.0, 9.0]])
    descent = Descent(torch.zeros(2, 1, 1))
    values = []
    for row in given:
        values.append(descent.value.detach().clone())
        descend(descent, row + 0 * descent.value.sum(dim=(1, 2)) + _slope(descent.value), lr=1.0)
    assert descent.first_loss.tolist() == [3.0, 1.0]
    assert descent.best_loss.tolist() == [2.0, 0.5]
    assert torch.equal(descent.best[0], values[1][0]), "the earlier of two equal losses"
    assert torch.equal(descent.best[1], values[2][1])
    assert not torch.equal(values[1], values[2])


def _slope(value: torch.Tensor) -> torch.Tensor:
    """Zero, with a gradient, so that every step moves."""
    moving = value.sum(dim=(1, 2))
    return moving - moving.detach()


def test_items_do_not_influence_each_other() -> None:
    start, target = torch.randn(2, 3, 4, 5, dtype=torch.float64).unbind()
    together = run(Descent(start), target, 30)
    for item in range(3):
        alone = run(Descent(start[item : item + 1]), target[item : item + 1], 30)
        torch.testing.assert_close(alone.best[0], together.best[item], rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(alone.best_loss[0], together.best_loss[item], check_dtype=False)


def test_the_start_is_not_modified() -> None:
    start, target = torch.randn(2, 2, 3, 4).unbind()
    before = start.clone()
    run(Descent(start), target, 5)
    assert torch.equal(start, before)


def test_the_steps_are_adams() -> None:
    """Against Adam written out, in float64."""
    start, target = torch.randn(2, 1, 2, 3, dtype=torch.float64).unbind()
    descent = Descent(start)
    value, mean, square = start.clone(), torch.zeros_like(start), torch.zeros_like(start)
    for step in range(1, 6):
        lr = 0.1 / step
        descend(descent, (descent.value - target).square().sum(dim=(1, 2)), lr)
        slope = 2 * (value - target)
        mean = 0.9 * mean + 0.1 * slope
        square = 0.999 * square + 0.001 * slope**2
        value = value - lr * (mean / (1 - 0.9**step)) / ((square / (1 - 0.999**step)).sqrt() + 1e-8)
        torch.testing.assert_close(descent.value.detach(), value, rtol=1e-9, atol=1e-12)


def test_the_steps_are_torch_s_adam_s_to_the_bit() -> None:
    """So that jobs begun before this was written out go on to the same numbers (on a CPU)."""
    start, target = torch.randn(2, 3, 4, 5).unbind()
    descent, value = Descent(start), start.clone().requires_grad_()
    adam = torch.optim.Adam([value], betas=(0.9, 0.999), eps=1e-8)
    for step in range(40):
        lr = 0.05 + 0.01 * step
        descend(descent, losses(descent.value, target), lr)
        adam.param_groups[0]["lr"] = lr
        adam.zero_grad()
        losses(value, target).sum().backward()
        adam.step()
        assert torch.equal(descent.value, value), step


def test_items_that_join_later_or_leave_change_no_bit_of_any() -> None:
    """Three items, each of 20 steps at rates of its own: one joins at step 6, one leaves at step 13."""
    start, target = torch.randn(2, 3, 4, 5).unbind()
    rates = [0.02, 0.05, 0.1]

    def lr(item: int, step: int) -> float:
        return rates[item] * (step + 1) / 20

    def alone(item: int) -> State:
        descent = Descent(start[item : item + 1])
        while descent.step < 20:
            descend(descent, losses(descent.value, target[item : item + 1]), lr(item, descent.step))
        return descent.state()

    items, together = [0, 1], Descent(start[:2])
    while items:
        if together.steps[0] == 6 and 2 not in items:
            items, together = [*items, 2], together.join(Descent(start[2:]))
        if together.steps[0] == 13 and 1 in items:
            kept = together.take([1]).state()
            items, together = [0, 2], together.take([0, 2])
        steps = together.steps.tolist()
        descend(together, losses(together.value, target[items]), list(map(lr, items, steps)))
        for row in reversed(range(len(items))):
            if together.steps[row] == 20:
                assert_same(together.take([row]).state(), alone(items[row]))
                rest = [other for other in range(len(items)) if other != row]
                items, together = [items[other] for other in rest], together.take(rest)
    again = Descent(torch.zeros(1, 4, 5))
    again.restore(kept)
    while again.step < 20:
        descend(again, losses(again.value, target[1:2]), lr(1, again.step))
    assert_same(again.state(), alone(1))


def test_what_is_held_fast_stays() -> None:
    start, target = torch.randn(2, 2, 3, 4).unbind()
    free = torch.tensor([1.0, 0.0, 1.0])[None, :, None].expand(2, 3, 1)
    joined = Descent(start[:1], free[:1]).join(Descent(start[1:], free[1:]))
    descent = run(joined, target, 5)
    assert torch.equal(descent.value[:, 1], start[:, 1])
    assert not (descent.value[:, [0, 2]] == start[:, [0, 2]]).any()


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_ends_it_and_spoils_nothing(bad: float) -> None:
    start, target = torch.randn(2, 2, 3, 4).unbind()
    descent = run(Descent(start), target, 2)
    before = descent.state()
    with pytest.raises(NonFiniteError, match="step 3") as refused:
        descend(descent, losses(descent.value, target) * torch.tensor([1.0, bad]), lr=0.1)
    assert refused.value.items == (1,)
    assert_same(descent.state(), before)


def test_a_state_of_another_shape_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"\[2, 3, 4\]"):
        Descent(torch.zeros(1, 3, 4)).restore(Descent(torch.zeros(2, 3, 4)).state())
