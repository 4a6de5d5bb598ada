"""What a file is for: told by what it holds, not by its name."""

from collections.abc import Callable

from gpu_ops.importers.encoders import is_encoder
from gpu_ops.importers.generators import is_generator, is_w_avg
from gpu_ops.importers.refusals import LayoutMismatch, UnknownFormat
from gpu_ops.importers.sandbox import Checkpoint
from gpu_ops.importers.segmenters import is_classifier
from gpu_ops.importers.vectors import is_vector

GENERATOR, CLASSIFIER, ENCODER, VECTOR, W_AVG = "generator", "classifier", "encoder", "vector", "w_avg"
_KINDS: dict[str, Callable[[Checkpoint], bool]] = {
    GENERATOR: is_generator,
    VECTOR: is_vector,
    CLASSIFIER: is_classifier,
    ENCODER: is_encoder,
}
_SAID: dict[str, tuple[Callable[[Checkpoint], bool], str]] = {
    GENERATOR: (is_generator, "a generator"),
    VECTOR: (is_vector, "an editing vector, .npy [1, L, D]"),
    CLASSIFIER: (is_classifier, "a pixel classifier (three dense layers, normalisation between)"),
    ENCODER: (is_encoder, "an encoder's model_state_dict"),
    W_AVG: (is_w_avg, "a mean w, .npy [D] or [1, D]"),
}


def role_of(checkpoint: Checkpoint, wanted: str | None = None) -> str:
    """The role of a file; with `wanted` that very one. Raises UnknownFormat, LayoutMismatch: its message
    begins with the file's name."""
    if wanted is not None:
        fits, described = _SAID[wanted]
        if not fits(checkpoint):
            raise LayoutMismatch(f"{_described(checkpoint)}; {described} was expected")
        return wanted
    chosen = next((role for role, fits in _KINDS.items() if fits(checkpoint)), None)
    if chosen is None:
        raise UnknownFormat(
            f"{_described(checkpoint)}; a generator, a pixel classifier (three dense layers, normalisation "
            "between) or an encoder was expected"
        )
    return chosen


def _described(checkpoint: Checkpoint) -> str:
    names = ", ".join(list(checkpoint.tensors)[:4])
    return f"{checkpoint.path.name} holds {len(checkpoint.tensors)} tensors ({names} ...)"
