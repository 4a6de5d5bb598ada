"""What follows from a frozen weight, worked out once: not at each of the steps of an optimisation."""

from collections.abc import Callable

import torch

Prepared = tuple[torch.Tensor, torch.Tensor]


class Frozen:
    """Keeps what was made of a weight that needs no gradient, until the weight or the dtype is another."""

    def __init__(self) -> None:
        self._source: torch.Tensor | None = None
        self._key: tuple[object, ...] = ()
        self._made: Prepared | None = None

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
        if self._made is None or key != self._key:
            with torch.no_grad():
                # the source is held, so that no other tensor can come to lie where it was
                self._source, self._key, self._made = weight.detach(), key, make(weight, dtype)
        return self._made

    def __deepcopy__(self, memo: dict[int, object]) -> "Frozen":
        return Frozen()

    def __reduce__(self) -> tuple[type["Frozen"], tuple[()]]:
        return Frozen, ()
