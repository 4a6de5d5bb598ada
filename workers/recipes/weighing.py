"""How an edit is optimised, from a spec to what gpu_ops.edit takes."""

from typing import Any

from storage.vector_specs import Losses

WEIGHTS = ("lambda_rgb", "lambda_ce", "lambda_prior", "lambda_id")


def losses_of(spec: Losses) -> dict[str, Any]:
    """All of it: arguments of gpu_ops.edit.edit."""
    return {name: getattr(spec, name) for name in Losses.model_fields}


def weights_of(spec: Losses) -> dict[str, float | None]:
    """The weights given, None where the preset's is to be taken: arguments of gpu_ops.presets.weigh."""
    return {name: getattr(spec, name) for name in WEIGHTS}
