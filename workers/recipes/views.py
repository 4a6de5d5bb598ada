"""How first points look, kept for a while: one picture is often changed over and over."""

from collections import OrderedDict

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
    key = model.digest, code.w_plus.cpu().numpy().tobytes()
    if key not in _kept:
        _kept[key] = look(bundle, code.w_plus)
        if len(_kept) > KEPT:
            _kept.popitem(last=False)
    _kept.move_to_end(key)
    return _kept[key]
