"""What a caller may ask for: one pydantic model per job kind, and the JobSpec union of them.

API, workers and client share these. Unknown fields are refused; every number has its range.
Names of things (images, inversions, models) are checked against the library by the API, not here.
Mask operations have a module of their own, and are named here too for who imports specs.
"""

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, model_validator

from storage.dataset_specs import GenerateDatasetSpec
from storage.import_specs import ImportIdentitySpec, ImportModelSpec
from storage.inversion_specs import Box, Inverting, Photo
from storage.mask_specs import Copy as Copy
from storage.mask_specs import Grow as Grow
from storage.mask_specs import Identifier, MaskOperation, PartName
from storage.mask_specs import Mirror as Mirror
from storage.mask_specs import Polygon as Polygon
from storage.mask_specs import Relabel as Relabel
from storage.mask_specs import Remove as Remove
from storage.mask_specs import Rotate as Rotate
from storage.mask_specs import Scale as Scale
from storage.mask_specs import Shift as Shift
from storage.mask_specs import Shrink as Shrink
from storage.mask_specs import Swap as Swap
from storage.options import DEFAULT_OPTIONS as DEFAULT_OPTIONS
from storage.options import JobOptions as JobOptions
from storage.options import ModelName, Seed, Spec, Steps
from storage.options import Webhook as Webhook
from storage.training_specs import (
    EvaluateSpec,
    SuggestAnnotationsSpec,
    TrainEncoderSpec,
    TrainGeneratorSpec,
    TrainSegmenterSpec,
)
from storage.vector_specs import ApplySpec, LearnVectorSpec, Losses


class SampleSpec(Spec):
    """Draw pictures, with their masks, from a model."""

    kind: Literal["sample"] = "sample"
    model: ModelName = "cars"
    seed: Seed = Field(default=0, description="Picture i is drawn from seed + i.")
    count: Annotated[int, Field(ge=1, le=64)] = 1
    truncation_psi: Annotated[float, Field(ge=0, le=1)] = 0.7


class InvertSpec(Inverting, Spec):
    """Find the code that makes the model draw this picture."""

    kind: Literal["invert"] = "invert"
    model: ModelName = "cars"
    image: Identifier
    box: Box | None = Field(
        default=None,
        description="What of the picture the model is to see; by default the largest central square.",
    )
    steps: Steps = 500


class EditSpec(Losses, Spec):
    """Edit a picture by changing its part mask.

    The picture is an uploaded `image`, or the `inversion` that an earlier invert, sample or edit job
    left (its job id). The mask wanted is an uploaded `mask`, or `mask_operations` on the mask found.
    """

    kind: Literal["edit"] = "edit"
    model: ModelName = "cars"
    image: Identifier | None = None
    inversion: Identifier | None = Field(default=None, description="Id of a succeeded invert or edit job.")
    inversion_steps: Steps = Field(default=500, description="Used when an image is given.")
    inverting: Inverting = Field(default=Inverting(), description="Used when an image is given.")
    photo: Photo | None = Field(
        default=None,
        description="Paste the edit back into the full-resolution original, as pasted.png. An inversion "
        "has one where it was made from an image.",
    )
    mask: Identifier | None = Field(default=None, description="Image id of an uploaded mask (indexed PNG).")
    mask_operations: Annotated[tuple[MaskOperation, ...], Field(max_length=32)] = ()
    q_edit: Annotated[tuple[PartName, ...], Field(max_length=64)] = Field(
        default=(),
        description="Parts or part groups that the edit is about. By default those that mask_operations name "
        "(of a relabel both), or for an uploaded mask those that change.",
    )

    @model_validator(mode="after")
    def _one_source_one_target(self) -> "EditSpec":
        if (self.image is None) == (self.inversion is None):
            raise ValueError("give exactly one of image and inversion")
        if (self.mask is None) == (not self.mask_operations):
            raise ValueError("give exactly one of mask and mask_operations")
        return self


JobSpec = Annotated[
    SampleSpec
    | InvertSpec
    | EditSpec
    | LearnVectorSpec
    | ApplySpec
    | TrainSegmenterSpec
    | SuggestAnnotationsSpec
    | TrainGeneratorSpec
    | TrainEncoderSpec
    | EvaluateSpec
    | GenerateDatasetSpec
    | ImportModelSpec
    | ImportIdentitySpec,
    Field(discriminator="kind"),
]
Kind = Literal[
    "sample",
    "invert",
    "edit",
    "learn_vector",
    "apply",
    "train_segmenter",
    "suggest_annotations",
    "train_generator",
    "train_encoder",
    "evaluate",
    "generate_dataset",
    "import_model",
    "import_identity",
]
JOB_SPEC: TypeAdapter[JobSpec] = TypeAdapter(JobSpec)
