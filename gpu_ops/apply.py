"""Applying vectors to a picture: in real time, refined, or optimised from scratch.

Real time is one forward pass of w_plus + sum of strength * delta_w (gpu_ops/vectors.py). One picture at a
time: so a strength of 0 gives the inversion, and 1 the learned picture, bit for bit.
Source: Ling et al. 2021 (EditGAN), section 3.3. Departure: `auto` chooses among the three by what leaks.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from gpu_ops.bundle import Bundle
from gpu_ops.descent import Descent
from gpu_ops.edit import descend
from gpu_ops.edit_objective import EditObjective, objective_of
from gpu_ops.learn import Example, parts_that_changed
from gpu_ops.metrics import Flags
from gpu_ops.picture import Picture
from gpu_ops.presets import weigh
from gpu_ops.progress import Progress, State, Steps
from gpu_ops.refine import Unmasked, View, draw, leak_db, look, refine_weights, which_better
from gpu_ops.roi import default_buffer_px, region_of_interest
from gpu_ops.score import leak, outside_of

Way = Literal["vector", "refinement", "optimisation"]
Mode = Literal["auto", "vector", "refinement", "optimisation"]

ENOUGH_DB = 29.0  # outside the region: what refinement is to reach, and the vector alone may
LEAST_DB = 26.0  # less is no good result
GAIN_DB = 4.0  # by refinement, where no transfer report has measured it (docs/method.md)


@dataclass(frozen=True)
class Plan:
    """How vectors are to be applied.

    gain_db  what refinement was measured to give, outside, on the samples of the vectors' transfer reports
    """

    mode: Mode = "vector"
    refine_steps: int = 30
    steps: int = 100
    lr: float = 0.02
    buffer_px: int | None = None
    gain_db: float | None = None

    @property
    def most_steps(self) -> int:
        """So many that one picture may take."""
        most = {"vector": 1, "refinement": self.refine_steps, "optimisation": self.steps}
        return most.get(self.mode, max(self.refine_steps, self.steps))


@dataclass(frozen=True)
class Optimised:
    """delta_w [1, L, D] as optimisation left it, and after how many steps."""

    delta_w: torch.Tensor
    steps: int


@dataclass(frozen=True)
class Applied:
    """One picture with vectors applied.

    delta_w    [1, L, D] float32: the vectors' sum, or what optimisation made of it
    picture    uint8 [H, W, 3]; mask uint8 [H, W]
    region     bool [H, W]: where the vectors may change the picture; nowhere where every strength is 0
    way, why   how it came about, and what for
    optimised  what optimisation came to, whether or not it was taken; None where there was none
    """

    delta_w: torch.Tensor
    picture: Picture
    mask: Picture
    region: Flags
    way: Way
    why: str
    figures: dict[str, Any]
    optimised: Optimised | None = None

    @property
    def steps(self) -> int:
        return 0 if self.optimised is None else self.optimised.steps


def choose(leak_db: float, gain_db: float | None) -> tuple[Way, str]:
    """Which way suits a picture whose rest changed to leak_db (PSNR outside) under the vectors alone.

    The vector, where that is good enough; refinement, where it can be expected to make it so; else
    optimisation from scratch, which takes longest.
    """
    told = f"outside the region the vectors alone leave {leak_db:.1f} dB"
    if leak_db >= ENOUGH_DB:
        return "vector", f"{told}, at least {ENOUGH_DB:g}"
    gain = GAIN_DB if gain_db is None else gain_db
    source = "usually gives" if gain_db is None else "gave on the transfer report's samples"
    expected = f"{told}; refinement {source} {gain:+.1f} dB"
    if leak_db + gain >= LEAST_DB:
        return "refinement", f"{expected}, which reaches {LEAST_DB:g}"
    return "optimisation", f"{expected}, which does not reach {LEAST_DB:g}"


def apply(
    bundle: Bundle,
    w_plus: torch.Tensor,
    delta_w: torch.Tensor | None,
    q_edit: tuple[int, ...],
    plan: Plan,
    *,
    before: View | Callable[[], View] | None = None,
    drawn: Unmasked | None = None,
    applied: View | None = None,
    found: Optimised | None = None,
    resume: State | None = None,
) -> Steps[Applied]:
    """Apply the vectors' sum delta_w [L, D] (None: every strength is 0) to one code w_plus [1, L, D].

    q_edit  part ids that the vectors are about; empty: those that they change here
    before  how w_plus looks, or what gives that, asked once the picture is drawn
    drawn   w_plus + delta_w, and applied how that looks; all of these where they are known already
    found   what an earlier attempt came to; nothing is optimised again

    Yields Progress after each step of optimisation, or once, as soon as the picture is drawn; early when sent
    True. Whatever the way, the rest of the picture is no further from what it was than by the vectors alone.
    Raises ShapeError, NonFiniteError.
    """
    told = found is not None or resume is not None
    if plan.mode == "vector" and delta_w is not None and applied is None:
        seen = drawn or draw(bundle, w_plus + delta_w.to(w_plus))
        if not told:
            yield Progress(1, 1, state=_done, preview=lambda: seen.pictures)
        told, applied = True, seen.view()
    if callable(before):
        before = before()
    outlook = look_ahead(bundle, w_plus, delta_w, q_edit, plan, before, applied)
    if outlook.way == "vector":
        if not told:
            yield Progress(1, 1, state=_done, preview=lambda: outlook.applied.pictures)
        found = None
    elif found is None:
        found = yield from _optimise(bundle, w_plus, outlook, plan, resume)
    return settle(bundle, w_plus, outlook, found)


@dataclass(frozen=True)
class Outlook:
    """How a picture looks before and with the vectors alone, and which way that leads.

    vectors    [1, L, D], their sum
    q_edit     part ids that they are about
    region     bool [H, W], as of an edit towards the mask that they ask for; outside: where they were not to
               change anything
    vector_db  how much they did there
    """

    before: View
    vectors: torch.Tensor
    applied: View
    q_edit: tuple[int, ...]
    region: Flags
    outside: Flags
    vector_db: float
    way: Way
    why: str


def look_ahead(
    bundle: Bundle,
    w_plus: torch.Tensor,
    delta_w: torch.Tensor | None,
    q_edit: tuple[int, ...],
    plan: Plan,
    before: View | None = None,
    applied: View | None = None,
) -> Outlook:
    """The first part of `apply`, arguments as there: all that can be said without optimising.

    applied  how w_plus + delta_w looks, where that is known already
    """
    before = before or look(bundle, w_plus)
    vectors = torch.zeros_like(w_plus) if delta_w is None else delta_w.to(w_plus)[None]
    if applied is None:
        applied = before if delta_w is None else look(bundle, w_plus + vectors)
    q_edit = q_edit or parts_that_changed(Example(before, applied), bundle.parts)
    outside = outside_of(before.masks[0], applied.masks[0], q_edit)
    vector_db = leak_db(before.pictures[0], applied.pictures[0], outside)
    way, why = _way(plan, delta_w, vector_db)
    if way == "optimisation" and np.array_equal(before.masks, applied.masks):
        way, why = "vector", f"{why}; the vectors change no part here that could be optimised for"
    nowhere = np.zeros_like(outside)
    region = nowhere if delta_w is None else _region(before, applied, q_edit, plan.buffer_px)
    return Outlook(before, vectors, applied, q_edit, region, outside, vector_db, way, why)


def settle(bundle: Bundle, w_plus: torch.Tensor, outlook: Outlook, found: Optimised | None) -> Applied:
    """The last part of `apply`: what was found (None: the vectors), unless it changed more of the rest."""
    way, why, before = outlook.way, outlook.why, outlook.before.pictures[0]
    total, shown = outlook.vectors, outlook.applied
    if found is not None:
        total, shown = found.delta_w, look(bundle, w_plus + found.delta_w)
        same = torch.equal(total, outlook.vectors)
        if same or leak_db(before, shown.pictures[0], outlook.outside) < outlook.vector_db:
            why = f"{why}; {way} would have changed more of the rest"
            way, total, shown = "vector", outlook.vectors, outlook.applied
    figures = {
        "psnr_outside_vector_db": outlook.vector_db,
        **leak(bundle, before, shown.pictures[0], outlook.outside),
    }
    return Applied(total, shown.pictures[0], shown.masks[0], outlook.region, way, why, figures, found)


def _region(before: View, applied: View, q_edit: tuple[int, ...], buffer_px: int | None) -> Flags:
    """As of an edit towards the mask that the vectors ask for: bool [H, W]."""
    if buffer_px is None:
        buffer_px = default_buffer_px(len(before.masks[0]))
    old, new = (torch.from_numpy(view.masks).long() for view in (before, applied))
    region: Flags = region_of_interest(old, new, q_edit, buffer_px)[0].numpy()
    return region


def _done() -> State:
    """Of a forward pass: there is nothing to go on with."""
    return {"done": torch.tensor(True)}


def _way(plan: Plan, delta_w: torch.Tensor | None, vector_db: float) -> tuple[Way, str]:
    if delta_w is None:
        return "vector", "every strength is 0"
    if plan.mode == "auto":
        return choose(vector_db, plan.gain_db)
    return plan.mode, "asked for"


@dataclass(frozen=True)
class Aim:
    """What is optimised, from which delta_w [1, L, D] on, and for how many steps."""

    objective: EditObjective
    start: torch.Tensor
    steps: int


def aim_of(bundle: Bundle, w_plus: torch.Tensor, outlook: Outlook, plan: Plan) -> Aim:
    """Ask for the mask which the vectors gave, on from them (refinement) or from scratch."""
    refining = outlook.way == "refinement"
    weights = refine_weights(bundle) if refining else weigh(bundle)
    objective = objective_of(bundle, w_plus, outlook.applied.masks, outlook.q_edit, weights, plan.buffer_px)
    if refining:
        return Aim(objective, outlook.vectors, plan.refine_steps)
    return Aim(objective, torch.zeros_like(w_plus), plan.steps)


def optimised(bundle: Bundle, w_plus: torch.Tensor, outlook: Outlook, descent: Descent) -> Optimised:
    """What a descent came to; of a refinement that made more of the rest change, the vectors."""
    found = descent.best
    if outlook.way == "refinement":
        refined = look(bundle, w_plus + found)
        if not which_better(outlook.before, outlook.applied, refined, outlook.q_edit)[0]:
            found = outlook.vectors
    return Optimised(found, descent.step)


def _optimise(
    bundle: Bundle, w_plus: torch.Tensor, outlook: Outlook, plan: Plan, resume: State | None
) -> Steps[Optimised]:
    aim = aim_of(bundle, w_plus, outlook, plan)
    descent = yield from descend(aim.objective, aim.start, steps=aim.steps, lr=plan.lr, resume=resume)
    return optimised(bundle, w_plus, outlook, descent)
