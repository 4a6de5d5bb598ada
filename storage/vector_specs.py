"""What may be asked of editing vectors, learning and applying them; and how an edit weighs its losses."""

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from storage.inversion_specs import Box, Inverting, Photo
from storage.mask_specs import Identifier, MaskOperation, PartName, Strict
from storage.options import LearningRate, ModelName, Seed, Spec, Steps, Weight
from storage.vector_names import EditingType, Tags, VectorId, VectorName

Preset = Literal["editq", "paper", "released"]
Mode = Literal["auto", "vector", "refinement", "optimisation"]
Layer = Annotated[int, Field(ge=0, le=63)]
Strength = Annotated[float, Field(ge=-10, le=10)]
Factor = Annotated[float, Field(ge=-10, le=10)]
Amount = Annotated[
    str,
    Field(
        pattern=r"^[+-]?[0-9]{1,4}(\.[0-9]{1,3})? ?%$",
        examples=["+25 %"],
        description="The change wanted, as the vector's transfer report measures it: of its parts' area, or "
        "of the picture's side where it moves them.",
    ),
]
REFINE_STEPS = 30


class Losses(Strict):
    """How an edit is optimised. What is left out is the preset's."""

    preset: Preset = Field(
        default="editq",
        description="Weights: this project's own (with the prior), the paper's, or the released code's.",
    )
    steps: Steps = 100
    lr: LearningRate = 0.02
    lambda_rgb: Weight | None = None
    lambda_ce: Weight | None = None
    lambda_prior: Weight | None = Field(
        default=None, description="Weight of the whitened prior on delta_w; 0: none."
    )
    lambda_id: Weight | None = Field(
        default=None,
        description="Weight of the identity loss; by default 0 where the model knows no identity.",
    )
    layers: Annotated[tuple[Layer, ...], Field(min_length=2, max_length=2)] | None = Field(
        default=None, description="First and last layer that delta_w may change, from 0; by default all."
    )
    buffer_px: Annotated[int, Field(ge=0, le=64)] | None = Field(
        default=None, description="Widening of the region; by default max(1, round(5 * resolution / 512))."
    )

    @model_validator(mode="after")
    def _layers_in_order(self) -> "Losses":
        if self.layers is not None and self.layers[0] > self.layers[1]:
            raise ValueError("layers: the first no later than the last")
        return self


class Point(Strict):
    """Where to start from: an uploaded picture, the code that a job left, or a sample."""

    image: Identifier | None = Field(default=None, description="Id of an uploaded picture; inverted first.")
    inversion: Identifier | None = Field(default=None, description="Id of a succeeded job that left a code.")
    seed: Seed | None = Field(default=None, description="Of a sample.")
    truncation_psi: Annotated[float, Field(ge=0, le=1)] = Field(default=0.7, description="Of a sample.")

    @property
    def given(self) -> int:
        return sum(member is not None for member in (self.image, self.inversion, self.seed))

    @property
    def box(self) -> Box | None:
        """What of its picture the model sees; None: the largest central square."""
        return None

    @property
    def one(self) -> "OnePoint":
        """This point alone, whatever else is asked."""
        members = {name: getattr(self, name) for name in Point.model_fields}
        return OnePoint(**members)


class OnePoint(Point):
    @model_validator(mode="after")
    def _one(self) -> "OnePoint":
        if self.given != 1:
            raise ValueError("give exactly one of image, inversion and seed")
        return self


class PastedPoint(Point):
    """A point whose pictures may be pasted back into the photograph that it is of."""

    photo: Photo | None = Field(
        default=None,
        description="Paste every picture of the sweep back into the full-resolution original. An inversion "
        "has one where it was made from an image.",
    )

    @property
    def box(self) -> Box | None:
        return None if self.photo is None else self.photo.box

    @field_validator("photo")
    @classmethod
    def _no_sample(cls, photo: Photo | None, info: ValidationInfo) -> Photo | None:
        if photo is not None and info.data.get("seed") is not None:
            raise ValueError("a sample has no photograph to paste into")
        return photo


class ApplyPoint(PastedPoint, OnePoint):
    """One input of an apply job."""


class Pair(Strict):
    """The same thing before and after: a picture, and the picture retouched."""

    before: OnePoint
    after: OnePoint


class Target(Strict):
    """One vector to learn: what its first point is to become."""

    name: VectorName
    tags: Tags = ()
    editing_type: EditingType | None = Field(
        default=None, description="By default proposed from what changes in the mask."
    )
    mask: Identifier | None = Field(default=None, description="Image id of an uploaded mask (indexed PNG).")
    mask_operations: Annotated[tuple[MaskOperation, ...], Field(max_length=32)] = ()
    after: OnePoint | None = Field(
        default=None,
        description="The picture that the first point is to become: the vector runs to its code.",
    )
    pairs: Annotated[tuple[Pair, ...], Field(max_length=32)] = Field(
        default=(), description="Pictures before and after; the vector is the mean of their differences."
    )
    q_edit: Annotated[tuple[PartName, ...], Field(max_length=64)] = Field(
        default=(),
        description="Parts or part groups that the vector is about; by default found as for an edit.",
    )

    @model_validator(mode="after")
    def _one_aim(self) -> "Target":
        given = (self.mask is not None, bool(self.mask_operations), self.after is not None, bool(self.pairs))
        if sum(given) != 1:
            raise ValueError("give exactly one of mask, mask_operations, after and pairs")
        return self


class LearnVectorSpec(Losses, Point, Spec):
    """Learn editing vectors, and keep them in the library with a report on how they transfer.

    Each target becomes a vector. All start from one first point (image, inversion or seed); a target given
    as pairs brings its own, and needs none.
    """

    kind: Literal["learn_vector"] = "learn_vector"
    model: ModelName = "cars"
    inversion_steps: Steps = Field(default=500, description="Used for each picture given as an image.")
    inverting: Inverting = Field(default=Inverting(), description="Used for each picture given as an image.")
    targets: Annotated[tuple[Target, ...], Field(min_length=1, max_length=16)]
    samples: Annotated[int, Field(ge=0, le=15)] = Field(
        default=0,
        description="Samples of the model that a vector of mask_operations is learned on too, beside the "
        "first point: it carries over better then, and takes as many times longer.",
    )
    transfer_samples: Annotated[int, Field(ge=0, le=128)] = Field(
        default=32, description="Fresh samples that the transfer report is measured on; 0: no report."
    )
    transfer_seed: Seed = Field(default=1_000_000, description="Sample i of the report is of seed + i.")

    @property
    def points(self) -> tuple[OnePoint, ...]:
        """Every point whose code is needed."""
        first = (self.one,) if self.given else ()
        after = [target.after for target in self.targets if target.after is not None]
        paired = [
            point for target in self.targets for pair in target.pairs for point in (pair.before, pair.after)
        ]
        return (*first, *after, *paired)

    @model_validator(mode="after")
    def _first_point(self) -> "LearnVectorSpec":
        needed = any(not target.pairs for target in self.targets)
        if self.given != int(needed):
            few = "give exactly one of image, inversion and seed"
            raise ValueError(few if needed else "pairs bring their own first points: give no other")
        return self


class VectorUse(Strict):
    """A vector of the library, and how strongly it is to work."""

    vector: VectorId
    strength: Strength | None = Field(default=None, description="1, unless an amount is given.")
    amount: Amount | None = None

    @model_validator(mode="after")
    def _one_measure(self) -> "VectorUse":
        if self.strength is not None and self.amount is not None:
            raise ValueError("give strength or amount, not both")
        return self


class ApplySpec(PastedPoint, Spec):
    """Apply editing vectors to a picture, an inversion, a sample, or a list of these (`inputs`)."""

    kind: Literal["apply"] = "apply"
    model: ModelName = "cars"
    inputs: Annotated[tuple[ApplyPoint, ...], Field(max_length=32)] = ()
    inversion_steps: Steps = Field(default=500, description="Used for each picture given as an image.")
    inverting: Inverting = Field(default=Inverting(), description="Used for each picture given as an image.")
    vectors: Annotated[tuple[VectorUse, ...], Field(min_length=1, max_length=32)]
    sweep: Annotated[tuple[Factor, ...], Field(min_length=1, max_length=16)] = Field(
        default=(1.0,), description="Factors on all strengths: a picture and a mask for each."
    )
    mode: Mode | None = Field(
        default=None,
        description="vector: one forward pass. refinement: refine_steps of optimisation after it. "
        "optimisation: from scratch, towards the mask that the vectors ask for. auto: as the leak outside "
        "demands. By default vector, or refinement where refine_steps are given.",
    )
    refine_steps: Annotated[int, Field(ge=0, le=100)] | None = Field(
        default=None, description=f"Of refinement; {REFINE_STEPS} where it is asked for without a number."
    )
    steps: Steps = Field(default=100, description="Of optimisation.")
    lr: LearningRate = 0.02
    buffer_px: Annotated[int, Field(ge=0, le=64)] | None = Field(
        default=None, description="Widening of the region; by default max(1, round(5 * resolution / 512))."
    )

    @property
    def points(self) -> tuple[ApplyPoint, ...]:
        only = {name: getattr(self, name) for name in ApplyPoint.model_fields}
        return self.inputs or (ApplyPoint(**only),)

    @property
    def fields(self) -> tuple[str, ...]:
        """Of each point, what comes before its members' names."""
        return tuple(f"inputs.{index}." for index in range(len(self.inputs))) or ("",)

    @property
    def way(self) -> Mode:
        """The mode asked for, or what the steps asked for make it."""
        return self.mode or ("refinement" if self.refine_steps else "vector")

    @model_validator(mode="after")
    def _one_form(self) -> "ApplySpec":
        if self.given + bool(self.inputs) != 1:
            raise ValueError("give exactly one of image, inversion, seed and inputs")
        if self.inputs and self.photo is not None:
            raise ValueError("give photo to each of inputs that is to be pasted back")
        if self.mode == "vector" and self.refine_steps:
            raise ValueError("mode vector takes no refine_steps")
        if self.mode in ("refinement", "auto") and self.refine_steps == 0:
            raise ValueError(f"mode {self.mode} needs at least one of refine_steps")
        return self
