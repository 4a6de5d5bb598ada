"""How first points look, kept for a while: one picture is often changed over and over."""

from collections import OrderedDict

import torch

from gpu_ops.bundle import Bundle
from gpu_ops.refine import View, look
from storage.library_records import Model
from workers.recipes.inversions import Inverted

KEPT = 8  # 4 MiB each at 1024 px
_kept: OrderedDict[tuple[str, bytes], View] = OrderedDict()


def view_of(model: Model, bundle: Bundle, code: Inverted) -> View:
    """How a code looks; drawn anew only where this process has not drawn it lately."""
    if code.weights is not None:
        return look(code.bundle(bundle), code.w_plus)
    known = known_view(model, code.w_plus)
    if known is None:
        known = look(bundle, code.w_plus)
        keep_view(model, code.w_plus, known)
    return known


def known_view(model: Model, w_plus: torch.Tensor) -> View | None:
    key = _key(model, w_plus)
    if key in _kept:
        _kept.move_to_end(key)
    return _kept.get(key)


def keep_view(model: Model, w_plus: torch.Tensor, view: View) -> None:
    _kept[_key(model, w_plus)] = view
    if len(_kept) > KEPT:
        _kept.popitem(last=False)


def _key(model: Model, w_plus: torch.Tensor) -> tuple[str, bytes]:
    return model.digest, w_plus.cpu().numpy().tobytes()
