"""How the losses of an edit are weighed: this project's way, the paper's, and the released code's.

preset    lambda_rgb  of LPIPS  of squares  lambda_ce  lambda_prior  lambda_id  backbone's factor
editq     15          1         1           1          0.15          10         times lambda_rgb
paper     15          1         1           1          0             10         no
released  15          10        5           1          0             0          no

Source: Ling et al. 2021 (EditGAN), section 3.2, and the behaviour of its released code, less that code's
encoder term. The scales of LPIPS and squares are those of gpu_ops/losses.py.
"""

from dataclasses import dataclass, replace

from gpu_ops.bundle import Bundle
from gpu_ops.errors import IncompleteModelError


@dataclass(frozen=True)
class EditWeights:
    """L = rgb * (lpips * LPIPS + squares * MSE) + ce * L_CE + prior * L_prior + identity * L_ID.

    factored  whether the perceptual backbone's recorded factor multiplies rgb; it is 1 for calibrated LPIPS
    """

    rgb: float = 15.0
    ce: float = 1.0
    prior: float = 0.15
    identity: float = 0.0
    lpips: float = 1.0
    squares: float = 1.0
    factored: bool = True


PRESETS = {
    "editq": EditWeights(identity=10.0),
    "paper": EditWeights(prior=0.0, identity=10.0, factored=False),
    "released": EditWeights(prior=0.0, lpips=10.0, squares=5.0, factored=False),
}


def weigh(
    bundle: Bundle,
    preset: str = "editq",
    *,
    lambda_rgb: float | None = None,
    lambda_ce: float | None = None,
    lambda_prior: float | None = None,
    lambda_id: float | None = None,
) -> EditWeights:
    """A preset's weights, those that are given instead of its own.

    A preset's lambda_id is 0 for a model that knows no identity; asked for by name, it raises
    IncompleteModelError. Raises KeyError for a preset that is none.
    """
    if lambda_id and bundle.identity is None:
        raise IncompleteModelError("the model has no identity network, which lambda_id needs")
    own = PRESETS[preset]

    def chosen(given: float | None, preset_s: float) -> float:
        return preset_s if given is None else given

    return replace(
        own,
        rgb=chosen(lambda_rgb, own.rgb),
        ce=chosen(lambda_ce, own.ce),
        prior=chosen(lambda_prior, own.prior),
        identity=chosen(lambda_id, own.identity) if bundle.identity is not None else 0.0,
    )
