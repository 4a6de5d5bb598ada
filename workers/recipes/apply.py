"""apply: vectors of the library applied to pictures, inversions and samples, once or in a sweep."""

from collections.abc import Callable

import torch

from gpu_ops.apply import Applied, Optimised, apply
from gpu_ops.progress import State, Steps
from gpu_ops.refine import Unmasked, View, draw
from workers.aside import aside
from workers.recipe import Recipe
from workers.recipes.apply_saved import Strip, picture_name, save
from workers.recipes.apply_task import BEFORE, ApplyTask, load_task
from workers.recipes.apply_together import draw_together
from workers.recipes.course import Course
from workers.recipes.inversions import Inverted
from workers.recipes.outputs import DELTA_W, W_PLUS
from workers.recipes.points import find_codes, steps_to_find
from workers.recipes.views import view_of


def _operate(task: ApplyTask, resume: State | None) -> Steps[list[Strip]]:
    spec, bundle = task.spec, task.bundle
    found = steps_to_find(task.points)
    course = Course(found + len(spec.points) * len(spec.sweep) * task.plan.most_steps, resume)
    codes = yield from find_codes(course, task.points, bundle)
    task.outputs.tensor(W_PLUS, torch.cat([codes[point].w_plus for point in spec.points]))
    if task.plan.mode == "vector":  # what is to come is known
        task.outputs.tensor(DELTA_W, torch.stack([_sums(task, codes[point].w_plus) for point in spec.points]))
    strips = []
    for row, point in enumerate(spec.points):
        code, applied = codes[point], []
        before = _looked_at(task, row, code)
        for column in range(len(spec.sweep)):
            applied.append((yield from _apply(task, course, code, before, row, column)))
        strips.append(Strip(point, code, before(), applied))
    return strips


def _sums(task: ApplyTask, w_plus: torch.Tensor) -> torch.Tensor:
    """The vectors' sum at each factor of the sweep: [S, L, D]."""
    sums = [task.change(column, w_plus) for column in range(len(task.spec.sweep))]
    return torch.stack([torch.zeros_like(w_plus[0]) if each is None else each for each in sums])


def _looked_at(task: ApplyTask, row: int, code: Inverted) -> Callable[[], View]:
    """How a point looks, which nothing waits for but what is compared with it."""
    known, seed = task.views.get((row, BEFORE)), task.spec.points[row].seed
    before = aside(lambda: known or view_of(task.model, task.bundle, code), free=task.core_free)
    task.outputs.picture(f"inverted_{row:03d}.png", lambda: before().pictures[0], seed=seed)
    task.outputs.mask(f"inverted_mask_{row:03d}.png", lambda: before().masks[0], seed=seed)
    return before


def _apply(
    task: ApplyTask, course: Course, code: Inverted, before: Callable[[], View], row: int, column: int
) -> Steps[Applied]:
    """One point at one factor of the sweep."""
    name, steps_name = f"apply_{row}_{column}", f"steps_{row}_{column}"
    most, w_plus = task.plan.most_steps, code.w_plus
    known, steps = course.known(name), course.known(steps_name)
    found = None
    if known is not None and steps is not None:
        found = Optimised(known.to(w_plus), int(steps))
    run = apply(
        code.bundle(task.bundle),
        w_plus,
        task.change(column, w_plus),
        task.q_edit,
        task.plan,
        before=before,
        drawn=_drawn(task, code, row, column),
        applied=task.views.get((row, column)),
        found=found,
        resume=course.resumed(name),
    )
    applied = yield from course.run(name, run, most)
    done = applied.optimised or Optimised(applied.delta_w, 0)
    course.keep(name, done.delta_w)
    course.keep(steps_name, torch.tensor(done.steps))
    return applied


def _drawn(task: ApplyTask, code: Inverted, row: int, column: int) -> Unmasked | None:
    """The picture with the vectors, where that is all there is to be drawn: written while it is looked at."""
    change = task.change(column, code.w_plus)
    if task.plan.mode != "vector" or change is None or (row, column) in task.views:
        return None
    drawn = draw(code.bundle(task.bundle), code.w_plus + change.to(code.w_plus))
    task.outputs.picture(picture_name(row, column), drawn.pictures[0], seed=task.spec.points[row].seed)
    return drawn


RECIPE = Recipe(load_task, _operate, save, draw_together)
