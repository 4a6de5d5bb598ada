"""Operations that follow one another as one: one count of steps, and one checkpoint that says where."""

from contextlib import closing
from dataclasses import replace
from typing import TypeVar

from gpu_ops.progress import Progress, State, Steps

R = TypeVar("R")


def stage(
    name: str,
    steps: Steps[R],
    *,
    done: int,
    total: int,
    carry: State | None = None,
) -> Steps[R]:
    """Yield an operation's steps as those of a longer one of `total`, in which `done` steps came before.

    Its state is kept under the stage's name, beside `carry`: what earlier stages found. What is sent is
    passed on: who sends True from some step on ends each later stage after its first step, too.
    """
    enough: bool | None = None
    with closing(steps):
        while True:
            try:
                progress = steps.send(enough)
            except StopIteration as end:
                result: R = end.value
                return result

            def state(current: Progress = progress) -> State:
                assert current.state is not None
                own = {f"{name}.{key}": tensor for key, tensor in current.state().items()}
                return own | (carry or {})

            enough = yield replace(
                progress, step=done + progress.step, total=total, state=state if progress.state else None
            )


def resumed(name: str, state: State | None) -> State | None:
    """What a checkpoint holds for a stage; None when it was made in another one."""
    prefix = f"{name}."
    own = {key.removeprefix(prefix): value for key, value in (state or {}).items() if key.startswith(prefix)}
    return own or None
