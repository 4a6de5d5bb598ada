"""What an operation refuses, or cannot finish.

OperationError (ValueError)
├── ShapeError           a tensor does not fit the model
├── MaskUnchangedError   the mask asked for is the mask that is there
├── NonFiniteError       a loss became NaN or infinite
├── IncompleteModelError the model lacks a network that this needs
└── WeightsError         a weights file is missing, or is not what it should be
"""

from collections.abc import Sequence


class OperationError(ValueError):
    """The root of this tree."""


class ShapeError(OperationError):
    pass


class MaskUnchangedError(OperationError):
    pass


class NonFiniteError(OperationError):
    """items: which of the items of a step, by row, where one is known."""

    def __init__(self, message: str, items: Sequence[int] = ()) -> None:
        super().__init__(message)
        self.items = tuple(items)


class IncompleteModelError(OperationError):
    pass


class WeightsError(OperationError):
    pass
