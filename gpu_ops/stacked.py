"""Values of N items, stacked: some of the items can be taken out, and others joined to them."""

import copy
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import torch


class Stacked:
    """Under each of the names STACKED: a tensor with the items on its first axis, a list of such, or None."""

    STACKED: ClassVar[tuple[str, ...]]

    def take(self, rows: Sequence[int]) -> Self:
        """A copy that has these items alone, in this order."""
        taken = copy.copy(self)
        for name in self.STACKED:
            setattr(taken, name, _take(getattr(self, name), list(rows)))
        taken._restacked()
        return taken

    def join(self, other: Self) -> Self:
        """A copy that has the items of `other` after its own. What is not stacked is as it is here."""
        joined = copy.copy(self)
        for name in self.STACKED:
            setattr(joined, name, _join(getattr(self, name), getattr(other, name)))
        joined._restacked()
        return joined

    def _restacked(self) -> None:
        """Work out anew what follows from the items that there are now."""


def _take(value: Any, rows: list[int]) -> Any:
    if isinstance(value, list):
        return [_take(each, rows) for each in value]
    return None if value is None else value.detach()[rows]


def _join(mine: Any, theirs: Any) -> Any:
    if isinstance(mine, list):
        return [_join(one, other) for one, other in zip(mine, theirs, strict=True)]
    assert (mine is None) == (theirs is None), "items of one kind"
    return None if mine is None else torch.cat([mine.detach(), theirs.detach()])
