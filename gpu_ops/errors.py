"""What an operation refuses, or cannot finish.

OperationError (ValueError)
├── ShapeError           a tensor does not fit the model
├── MaskUnchangedError   the mask asked for is the mask that is there
├── NonFiniteError       a loss became NaN or infinite
├── IncompleteModelError the model lacks a network that this needs
└── WeightsError         a weights file is missing, or is not what it should be
"""


class OperationError(ValueError):
    """The root of this tree."""


class ShapeError(OperationError):
    pass


class MaskUnchangedError(OperationError):
    pass


class NonFiniteError(OperationError):
    pass


class IncompleteModelError(OperationError):
    pass


class WeightsError(OperationError):
    pass
