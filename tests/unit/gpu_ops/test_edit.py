"""The edit on a random model: its loss and gradient, what it leaves alone, resuming, refusals."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from operation import finish

from gpu_ops.bundle import Bundle
from gpu_ops.edit import edit
from gpu_ops.edit_objective import EditObjective
from gpu_ops.errors import MaskUnchangedError, NonFiniteError, ShapeError
from gpu_ops.metrics import iou, psnr_db
from gpu_ops.picture import Picture, to_uint8
from gpu_ops.presets import EditWeights
from gpu_ops.roi import region_of_interest

Codes = Callable[..., torch.Tensor]
WHEEL = (2, 3)


def wanted(bundle: Bundle, w_plus: torch.Tensor) -> Picture:
    """Each picture's mask with its wheels moved three pixels to the right."""
    masks = bundle.draw(w_plus)[1].to(torch.uint8).numpy()
    moved = np.roll(masks, 3, axis=2)
    return np.where(np.isin(moved, WHEEL), moved, np.where(np.isin(masks, WHEEL), 1, masks)).astype(np.uint8)


@pytest.fixture(scope="module")
def w_plus(tiny: Bundle, codes: Codes) -> torch.Tensor:
    return codes(3, seed=7)


@pytest.fixture(scope="module")
def target(tiny: Bundle, w_plus: torch.Tensor) -> Picture:
    masks = wanted(tiny, w_plus)
    shares = np.isin(masks, WHEEL).mean(axis=(1, 2))
    assert ((shares > 0.02) & (shares < 0.9)).all(), "or the tests below would test little"
    return masks


def objective64(
    bundle: Bundle, w_plus: torch.Tensor, weights: EditWeights, buffer_px: int = 1
) -> EditObjective:
    code = w_plus.double()
    goal = torch.from_numpy(wanted(bundle, code)).long()
    return EditObjective(bundle, code, goal, WHEEL, weights, buffer_px)


def test_the_loss_equals_its_definition(tiny64: Bundle, w_plus: torch.Tensor) -> None:
    """Equations 1 to 5 and the prior, in their plain form, on whole pictures."""
    tiny64.perceptual.edit_factor = 1.7
    weights = EditWeights(rgb=15, ce=0.8, prior=0.15)
    objective = objective64(tiny64, w_plus, weights, buffer_px=2)
    delta_w = 0.1 * torch.randn_like(objective.w_plus)
    with torch.no_grad():
        losses, _ = objective.losses(delta_w)
        before, drawn = (tiny64.generator.synthesise(objective.w_plus + d) for d in (0 * delta_w, delta_w))
        old = tiny64.segmenter.logits(before.features).argmax(dim=1)
        inside = region_of_interest(old, objective.target, WHEEL, 2)
        keep = (~inside)[:, None].double()
        lpips = tiny64.perceptual.lpips(drawn.picture * keep, before.picture * keep).flatten()
        squares = (((drawn.picture - before.picture) / 2 * keep) ** 2).mean(dim=(1, 2, 3))
        each = F.cross_entropy(tiny64.segmenter.logits(drawn.features), objective.target, reduction="none")
        ce = torch.stack([each[item][inside[item]].mean() for item in range(3)])
        prior = ((delta_w @ tiny64.prior.whiten) ** 2).mean(dim=(1, 2))
    for name, value in {"rgb": lpips + squares, "ce": ce, "prior": prior}.items():
        torch.testing.assert_close(losses[name], value, rtol=1e-9, atol=1e-12)
    total = 15 * 1.7 * (lpips + squares) + 0.8 * ce + 0.15 * prior
    torch.testing.assert_close(losses["total"], total, rtol=1e-9, atol=1e-12)


def test_the_gradient_equals_finite_differences(tiny64: Bundle, w_plus: torch.Tensor) -> None:
    objective = objective64(tiny64, w_plus[:2], EditWeights())
    at = 0.05 * torch.randn_like(objective.w_plus)
    delta_w = at.clone().requires_grad_()
    total = objective.losses(delta_w)[0]["total"].sum()
    (slope,) = torch.autograd.grad(total, delta_w)
    assert torch.isfinite(slope).all()
    step = 1e-6
    for _ in range(6):
        way = torch.randn_like(at)
        with torch.no_grad():
            ahead, behind = (objective.losses(at + s * way)[0]["total"].sum() for s in (step, -step))
        assert float((slope * way).sum()) == pytest.approx(float(ahead - behind) / (2 * step), rel=1e-5)


def test_each_item_has_a_gradient_of_its_own(tiny64: Bundle, w_plus: torch.Tensor) -> None:
    objective = objective64(tiny64, w_plus, EditWeights())
    delta_w = (0.05 * torch.randn_like(objective.w_plus)).requires_grad_()
    total = objective.losses(delta_w)[0]["total"]
    (slope,) = torch.autograd.grad(total[1], delta_w)
    assert slope[1].abs().max() > 0
    assert slope[[0, 2]].abs().max() < 1e-9 * slope[1].abs().max()


def test_nothing_but_delta_w_changes(tiny: Bundle, w_plus: torch.Tensor, target: Picture) -> None:
    networks = (tiny.generator, tiny.segmenter, tiny.perceptual, tiny.judge)
    before = [{k: v.clone() for k, v in network.state_dict().items()} for network in networks if network]
    code, masks, whiten = w_plus.clone(), target.copy(), tiny.prior.whiten.clone()
    _, result = finish(edit(tiny, w_plus, target, WHEEL, steps=4, lambda_rgb=1))
    assert result.delta_w.abs().max() > 0
    assert torch.equal(w_plus, code)
    assert w_plus.grad is None
    assert np.array_equal(target, masks)
    assert torch.equal(tiny.prior.whiten, whiten)
    for network, copies in zip(networks, before, strict=True):
        assert network is not None
        assert all(torch.equal(tensor, copies[name]) for name, tensor in network.state_dict().items())
        assert all(parameter.grad is None for parameter in network.parameters())


@pytest.mark.thorough
def test_losses_fall_and_the_result_is_what_was_found(
    tiny: Bundle, w_plus: torch.Tensor, target: Picture
) -> None:
    steps, result = finish(edit(tiny, w_plus, target, WHEEL, steps=30, lambda_rgb=1))
    assert [(p.step, p.total) for p in steps] == [(n, 30) for n in range(1, 31)]
    assert steps[0].losses["rgb"] == pytest.approx(0, abs=1e-9)
    assert steps[0].losses["prior"] == 0
    assert steps[-1].losses["ce"] < steps[0].losses["ce"]
    drawn, masks = tiny.draw(w_plus + result.delta_w)
    assert np.array_equal(result.pictures, to_uint8(drawn))
    assert np.array_equal(result.masks, masks.numpy())
    assert np.array_equal(result.inverted, to_uint8(tiny.draw(w_plus)[0]))
    for item, figures in enumerate(result.metrics):
        assert figures["loss_last"] < 0.95 * figures["loss_first"]
        goal = np.isin(target[item], WHEEL)
        assert figures["iou_before"] == iou(np.isin(result.masks_before[item], WHEEL), goal)
        assert figures["iou_after"] == iou(np.isin(result.masks[item], WHEEL), goal)
        assert 0 <= figures["judge_iou_before"] <= 1
        old, new = (torch.from_numpy(m[item : item + 1]).long() for m in (result.masks_before, target))
        outside = ~region_of_interest(old, new, WHEEL, 1)[0].numpy()
        expected = psnr_db(result.pictures[item], result.inverted[item], outside)
        assert figures["psnr_outside_db"] == expected
        assert figures["lpips_outside"] >= 0
        assert figures["perceptual_backbone"] == "random"


def test_strength_zero_is_the_inversion_and_one_the_edit(
    tiny: Bundle, w_plus: torch.Tensor, target: Picture
) -> None:
    _, result = finish(edit(tiny, w_plus, target, WHEEL, steps=5, lambda_rgb=1))
    assert not np.array_equal(result.pictures, result.inverted)
    for strength, pictures in ((0.0, result.inverted), (1.0, result.pictures)):
        assert np.array_equal(to_uint8(tiny.draw(w_plus + strength * result.delta_w)[0]), pictures)


@pytest.mark.thorough
def test_the_prior_keeps_the_edit_short_and_can_be_left_out(
    tiny: Bundle, w_plus: torch.Tensor, target: Picture
) -> None:
    lengths = []
    for weight in (0.0, 0.15, 5.0):
        steps, result = finish(edit(tiny, w_plus, target, WHEEL, steps=15, lambda_prior=weight))
        lengths.append(float(tiny.prior.penalty(result.delta_w).mean()))
        for p in steps:
            parts = 15 * p.losses["rgb"] + p.losses["ce"] + weight * p.losses["prior"]
            assert p.losses["total"] == pytest.approx(parts, rel=1e-4)
    assert lengths[0] > lengths[2]


@pytest.mark.thorough
@pytest.mark.parametrize("cut", [1, 4, 7])
def test_a_cut_and_a_restart_change_no_bit(
    tiny: Bundle, w_plus: torch.Tensor, target: Picture, cut: int
) -> None:
    steps, whole = finish(edit(tiny, w_plus[:2], target[:2], WHEEL, steps=8))
    run = edit(tiny, w_plus[:2], target[:2], WHEEL, steps=8)
    for _ in range(cut):
        progress = next(run)
    assert progress.state is not None
    kept = progress.state()
    run.close()
    rest, resumed = finish(edit(tiny, w_plus[:2], target[:2], WHEEL, steps=8, resume=kept))
    assert [p.losses for p in rest] == [p.losses for p in steps[cut:]]
    assert torch.equal(resumed.delta_w, whole.delta_w)
    assert np.array_equal(resumed.pictures, whole.pictures)
    assert resumed.metrics == whole.metrics


@pytest.mark.thorough
def test_pictures_together_equal_each_alone(tiny64: Bundle, w_plus: torch.Tensor) -> None:
    code = w_plus.double()
    target = wanted(tiny64, code)
    _, together = finish(edit(tiny64, code, target, WHEEL, steps=8))
    for item in range(3):
        one = slice(item, item + 1)
        _, alone = finish(edit(tiny64, code[one], target[one], WHEEL, steps=8))
        torch.testing.assert_close(alone.delta_w[0], together.delta_w[item], rtol=1e-6, atol=1e-7)
        assert np.array_equal(alone.pictures[0], together.pictures[item])


def test_the_best_step_is_returned_and_not_the_last(
    tiny: Bundle, w_plus: torch.Tensor, target: Picture
) -> None:
    """With a rate far too high, the losses jump about."""
    steps, result = finish(edit(tiny, w_plus[:1], target[:1], WHEEL, steps=12, lr=2.0))
    totals = [p.losses["total"] for p in steps]
    assert result.metrics[0]["loss_last"] == pytest.approx(min(totals), rel=1e-6)
    assert totals[-1] > min(totals)
    goal = torch.from_numpy(target[:1]).long()
    again = EditObjective(tiny, w_plus[:1], goal, WHEEL, EditWeights(), 1).losses(result.delta_w)[0]["total"]
    assert float(again.detach()) == pytest.approx(min(totals), rel=1e-4)


def test_a_shared_vector_goes_down_the_mean_of_all_losses(
    tiny64: Bundle, w_plus: torch.Tensor, target: Picture
) -> None:
    code = w_plus[:2].double()
    goal = wanted(tiny64, code)
    seen, result = finish(edit(tiny64, code, goal, WHEEL, steps=3, shared=True))
    assert torch.equal(result.delta_w[0], result.delta_w[1])
    objective = EditObjective(tiny64, code, torch.from_numpy(goal).long(), WHEEL, EditWeights(), 1)
    delta_w = torch.zeros_like(code[:1]).requires_grad_()
    optimiser = torch.optim.Adam([delta_w], lr=0.02)
    for progress in seen:
        total = objective.losses(delta_w.expand_as(code))[0]["total"].mean()
        assert progress.losses["total"] == pytest.approx(float(total.detach()), rel=1e-9)
        optimiser.zero_grad()
        total.backward()
        optimiser.step()


def test_masks_that_do_not_fit_are_refused_before_the_first_step(
    tiny: Bundle, w_plus: torch.Tensor, target: Picture
) -> None:
    for masks in (target[:2], target[:, :16], target[0], np.zeros((3, 64, 64), np.uint8)):
        with pytest.raises(ShapeError, match="masks are"):
            next(edit(tiny, w_plus, masks, WHEEL))
    unknown = target.copy()
    unknown[0, 0, 0] = len(tiny.parts)
    with pytest.raises(ShapeError, match="part ids must be below 4, found 4"):
        next(edit(tiny, w_plus, unknown, WHEEL))


def test_codes_of_another_model_are_refused(tiny: Bundle, w_plus: torch.Tensor, target: Picture) -> None:
    for code in (w_plus[:, :3], w_plus[:, :, :5], w_plus[0], torch.zeros(3, 10, 16)):
        with pytest.raises(ShapeError, match="w_plus is"):
            next(edit(tiny, code, target, WHEEL))


def test_a_mask_that_asks_for_nothing_is_refused(tiny: Bundle, w_plus: torch.Tensor, target: Picture) -> None:
    """The mask that is there; one such mask of several; no parts; a change far from the parts named."""
    there = tiny.draw(w_plus)[1].to(torch.uint8).numpy()
    one_of_three = target.copy()
    one_of_three[1] = there[1]
    for masks in (there, one_of_three):
        with pytest.raises(MaskUnchangedError):
            next(edit(tiny, w_plus, masks, WHEEL))
    with pytest.raises(MaskUnchangedError):
        next(edit(tiny, w_plus, target, ()))
    elsewhere = there.copy()
    others = ~np.isin(there, WHEEL)
    elsewhere[others] = 1 - there[others]  # sky and body change places
    with pytest.raises(MaskUnchangedError):
        next(edit(tiny, w_plus, elsewhere, WHEEL, buffer_px=0))


def test_a_loss_that_is_not_finite_ends_it(tiny: Bundle, w_plus: torch.Tensor, target: Picture) -> None:
    run = edit(tiny, w_plus, target, WHEEL, steps=5, lambda_rgb=float("inf"))
    with pytest.raises(NonFiniteError, match="step 1"):
        next(run)


def test_a_model_without_a_judge_reports_none(tiny: Bundle, w_plus: torch.Tensor, target: Picture) -> None:
    _, result = finish(edit(replace(tiny, judge=None), w_plus[:1], target[:1], WHEEL, steps=1))
    assert result.metrics[0]["judge_iou_before"] is None
    assert result.metrics[0]["judge_iou_after"] is None


def test_the_buffer_widens_the_region(tiny: Bundle, w_plus: torch.Tensor, target: Picture) -> None:
    goal = torch.from_numpy(target).long()
    sizes = [int(EditObjective(tiny, w_plus, goal, WHEEL, EditWeights(), px).roi.sum()) for px in (0, 1, 3)]
    assert sizes[0] < sizes[1] < sizes[2]
