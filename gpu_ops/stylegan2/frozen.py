"""What follows from a frozen weight, worked out once: not at each of the steps of an optimisation."""

from collections.abc import Callable

import torch

Prepared = tuple[torch.Tensor, torch.Tensor]


class Frozen:
    """Keeps what was made of a weight that needs no gradient, until the weight or the dtype is another.
    Threads may ask at once: what is kept is replaced as a whole."""

    def __init__(self) -> None:
        self._kept: tuple[tuple[object, ...], torch.Tensor, Prepared] | None = None  # key, source, made

    def of(
        self,
        weight: torch.Tensor,
        dtype: torch.dtype,
        make: Callable[[torch.Tensor, torch.dtype], Prepared],
    ) -> Prepared:
        """make(weight, dtype), or what it gave before. Changes in place count: torch numbers them."""
        if weight.requires_grad or weight.is_inference():
            return make(weight, dtype)
        key = (weight.data_ptr(), weight._version, weight.dtype, weight.device, dtype)
        kept = self._kept
        if kept is None or key != kept[0]:
            with torch.no_grad():
                # the source is held, so that no other tensor can come to lie where it was
                kept = self._kept = key, weight.detach(), make(weight, dtype)
        return kept[2]

    def __deepcopy__(self, memo: dict[int, object]) -> "Frozen":
        return Frozen()

    def __reduce__(self) -> tuple[type["Frozen"], tuple[()]]:
        return Frozen, ()
