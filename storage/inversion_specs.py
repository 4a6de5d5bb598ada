"""How pictures are inverted, and how photographs are cut and pasted back: what several kinds of job share."""

from typing import Annotated, Literal

from pydantic import Field

from storage.mask_specs import Strict
from storage.options import LearningRate, Weight

MIN_PSNR_DB = 25.0
"""Pictures of another kind than the bundled models draw come out at 21 to 24 dB (docs/inversion.md)."""


class Inverting(Strict):
    """How a picture's code is looked for."""

    start: Literal["encoder", "w_avg"] | None = Field(
        default=None,
        description="Where from: the encoder's guess, or the mean code. By default the encoder's, where the "
        "model has one.",
    )
    lr: LearningRate = Field(default=0.1, description="Highest step size, in units of the code.")
    patience: Annotated[int, Field(ge=0, le=5000)] = Field(
        default=0,
        description="End once the best loss has not fallen by 1 % within so many steps; 0: take all steps.",
    )
    lambda_prior: Weight = Field(
        default=0.0,
        description="Weight of the whitened prior on the code, which keeps it among ordinary ones: pictures "
        "of another kind than the model draws are then redrawn less exactly, and edited better; 0: none.",
    )
    tune_steps: Annotated[int, Field(ge=0, le=2000)] = Field(
        default=0, description="Steps in which the generator is then tuned to this picture (pivotal tuning)."
    )
    min_psnr_db: Annotated[float, Field(ge=0, le=100)] = Field(
        default=MIN_PSNR_DB, description="The result carries a warning where the inversion is worse."
    )
    reuse: bool = Field(
        default=True,
        description="Take over a saved inversion of the same picture, model and settings, if there is one.",
    )


class Box(Strict):
    """A square of a picture, in its own pixels, from its left top corner."""

    x: Annotated[int, Field(ge=0, le=65_535)]
    y: Annotated[int, Field(ge=0, le=65_535)]
    size: Annotated[int, Field(ge=8, le=65_535)]


class Photo(Strict):
    """Paste the edit back into the picture that it came from, in full resolution."""

    box: Box | None = Field(
        default=None,
        description="What of the picture the model sees; by default the largest central square. An "
        "inversion brings its own.",
    )
    paste: Literal["auto", "difference", "replace"] = Field(
        default="auto",
        description="difference: add what the edit changed. replace: take over the edited pixels, blended "
        "in. auto: replace where parts appear or vanish, else difference.",
    )
