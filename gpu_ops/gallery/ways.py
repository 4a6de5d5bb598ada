"""One hard edit in three ways: the vector alone, refined, and from scratch towards the exact mask."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from gpu_ops.edit import edit
from gpu_ops.gallery.sections import Figure, Section
from gpu_ops.gallery.sheet import Tile, sheet
from gpu_ops.gallery.shown import Shown, Subject
from gpu_ops.gallery.table import scene_of
from gpu_ops.metrics import iou
from gpu_ops.picture import Picture
from gpu_ops.refine import View, look, refine
from gpu_ops.training.console import report


@dataclass(frozen=True)
class Trial:
    """What is asked of the subject: target uint8 [R, R], its mask changed as the scene's exact mask does."""

    subject: Subject
    target: Picture
    q_edit: tuple[int, ...]

    def leak_db(self, view: View) -> float:
        return self.subject.leak_db(view, self.target, self.q_edit)

    def iou(self, mask: Picture) -> float:
        return iou(np.isin(mask, self.q_edit), np.isin(self.target, self.q_edit))


@dataclass(frozen=True)
class Outcome:
    """One way, what came of it, and its figures: of the judge's mask, of what leaked, and seconds."""

    way: str
    view: View
    iou: float
    leak_db: float
    seconds: float


def draw_ways(shown: Shown) -> Section:
    """Raises NotShown."""
    hard, trial = shown.show.hard, _trial(shown)
    outcomes = [_measured(shown, trial, way, find) for way, find in _ways(shown, trial).items()]
    inverted = trial.iou(_judged(shown, trial.subject.before))
    tiles = [
        Tile(trial.subject.picture, trial.target, ("the mask", "wanted")),
        Tile(trial.subject.before.pictures[0], trial.subject.before.masks[0], (f"IoU {inverted:.2f}",)),
    ]
    table = [("", "PSNR outside", "IoU, by the judge", "seconds"), ("inversion", "", f"{inverted:.3f}", "")]
    for each in outcomes:
        lines = (f"IoU {each.iou:.2f}", f"{each.leak_db:.1f} dB", "outside")
        tiles.append(Tile(each.view.pictures[0], each.view.masks[0], lines))
        table.append((each.way, f"{each.leak_db:.1f} dB", f"{each.iou:.3f}", f"{each.seconds:.1f}"))
    title = f"{shown.name}: {hard.vector}, strength {hard.strength:g}"
    heads = ("render", "inversion", *(each.way for each in outcomes))
    shows = f"{hard.vector} on one picture: by the vector alone, refined, and from scratch"
    figure = Figure(f"{shown.name}-ways", sheet(title, heads, [tiles], shown.palette), shows)
    return Section("Three ways", _text(shown), (figure,), tuple(table))


def _text(shown: Shown) -> str:
    hard = shown.show.hard
    scene = scene_of(shown.scenes, hard.seed)
    changed = (
        f"`{name}` {value:g} in place of {getattr(scene, name):.2g}" for name, value in hard.after.items()
    )
    return (
        f"The mask wanted is the exact one of the same scene with {', '.join(changed)}. The vector "
        f"`{hard.vector}`, at strength {hard.strength:g}, comes near it in one forward pass; refinement goes "
        "on from there and takes back what leaked; from scratch, an edit knows the mask and nothing of the "
        "vector. The judge, which is part of no optimisation, says how much of the mask wanted is to be "
        "seen."
    )


def _trial(shown: Shown) -> Trial:
    hard, scenes, size_px = shown.show.hard, shown.scenes, shown.bundle.resolution_px
    scene = scene_of(scenes, hard.seed)
    picture, before = scenes.render(scene, size_px)
    after = scenes.render(replace(scene, **hard.after), size_px)[1]
    (subject,) = shown.inverted([(picture, before)])
    target = np.where(before != after, after, subject.before.masks[0])
    return Trial(subject, target, tuple(scenes.PARTS.index(part) for part in scenes.GROUPS[hard.group]))


def _ways(shown: Shown, trial: Trial) -> dict[str, Callable[[], torch.Tensor]]:
    """How delta_w [1, L, D] is found."""
    bundle, w_plus, hard = shown.bundle, trial.subject.w_plus, shown.show.hard
    effort = shown.effort
    vector = shown.vector(hard.vector)
    delta_w = (hard.strength * vector.delta_w).to(w_plus)[None]

    def refined() -> torch.Tensor:
        run = refine(bundle, w_plus, delta_w, vector.q_edit, steps=effort.refinement)
        return report(run, "refining").delta_w

    def from_scratch() -> torch.Tensor:
        run = edit(bundle, w_plus, trial.target[None], trial.q_edit, steps=effort.edit)
        return report(run, "from scratch").delta_w

    return {
        "vector alone": lambda: delta_w,
        f"refined, {effort.refinement} steps": refined,
        f"from scratch, {effort.edit} steps": from_scratch,
    }


def _measured(shown: Shown, trial: Trial, way: str, find: Callable[[], torch.Tensor]) -> Outcome:
    began = time.monotonic()
    view = look(shown.bundle, trial.subject.w_plus + find())
    seconds = time.monotonic() - began
    return Outcome(way, view, trial.iou(_judged(shown, view)), trial.leak_db(view), seconds)


def _judged(shown: Shown, view: View) -> Picture:
    """The mask [R, R] that the judge sees."""
    assert shown.bundle.judge is not None, "a bundled model has a judge"
    mask: Picture = shown.bundle.judge.predict(view.pictures)[0]
    return mask
