"""What a caller may ask for around a model: train its pieces, find what to annotate, measure it."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from storage.mask_specs import Identifier, PartName, Strict
from storage.options import LearningRate, ModelName, Seed, Spec, Steps, Weight

MOST_ANNOTATIONS = 256
MOST_PICTURES = 5_000
TruncationPsi = Annotated[float, Field(ge=0, le=1)]
SavedName = Annotated[
    ModelName,
    Field(description="Name of the model that the job leaves. Your own model of this name is replaced."),
]


class Annotation(Strict):
    """A picture and its mask. The picture is an uploaded `image`, or the model's own sample `seed`."""

    image: Identifier | None = None
    seed: Seed | None = Field(default=None, description="As suggest_annotations and sample number them.")
    truncation_psi: TruncationPsi = Field(default=0.7, description="Of a sample.")
    mask: Identifier = Field(
        description="Image id of its mask (indexed PNG): as large as the model's pictures, or as the upload, "
        "of which the central square is taken."
    )

    @model_validator(mode="after")
    def _one_picture(self) -> "Annotation":
        if (self.image is None) == (self.seed is None):
            raise ValueError("give exactly one of image and seed")
        return self


class TrainSegmenterSpec(Spec):
    """Learn a model's parts from a handful of annotated pictures.

    Leaves a model with the generator of `model` and a new segmenter.
    """

    kind: Literal["train_segmenter"] = "train_segmenter"
    model: ModelName = "cars"
    name: SavedName
    annotations: Annotated[tuple[Annotation, ...], Field(min_length=2, max_length=MOST_ANNOTATIONS)]
    parts: Annotated[tuple[PartName, ...], Field(max_length=256)] = Field(
        default=(), description="Names of the parts in the masks, by id from 0. By default the model's."
    )
    groups: Annotated[dict[PartName, tuple[PartName, ...]], Field(max_length=64)] = Field(
        default_factory=dict, description="Names that stand for several parts; where `parts` are given."
    )
    inversion_steps: Steps = Field(default=500, description="Of each uploaded picture.")
    steps: Annotated[int, Field(ge=1, le=100_000)] = Field(default=6_000, description="Of each training.")
    classifiers: Annotated[int, Field(ge=2, le=20)] = 10
    folds: Annotated[int, Field(ge=0, le=16)] = Field(
        default=4,
        description="Trainings that each leave a share of the pictures out, to measure on it; 0: none.",
    )
    min_piece_px: Annotated[int, Field(ge=0, le=10_000)] | None = Field(
        default=None,
        description="Smaller pieces of a mask are dropped; by default max(2, 30 * (resolution / 512)^2).",
    )
    seed: Seed = 0

    @model_validator(mode="after")
    def _sound(self) -> "TrainSegmenterSpec":
        if len(set(self.parts)) != len(self.parts) or len(self.parts) == 1:
            raise ValueError("parts must be two names or more, each once")
        if self.groups and not self.parts:
            raise ValueError("groups need parts")
        for name, members in self.groups.items():
            if not members or not set(members) <= set(self.parts) or name in self.parts:
                raise ValueError(f"the group {name} must name parts, and be none itself")
        if self.folds == 1 or self.folds > len(self.annotations):
            raise ValueError("folds must be 0, or from 2 to the number of annotations")
        return self


class SuggestAnnotationsSpec(Spec):
    """Find the samples of a model that would teach its segmenter most, were they annotated."""

    kind: Literal["suggest_annotations"] = "suggest_annotations"
    model: ModelName = "cars"
    seed: Seed = Field(default=0, description="Sample i is drawn from seed + i.")
    samples: Annotated[int, Field(ge=1, le=10_000)] = Field(default=200, description="How many to look at.")
    count: Annotated[int, Field(ge=1, le=64)] = Field(default=16, description="How many to suggest.")
    truncation_psi: TruncationPsi = 0.7


class TrainGeneratorSpec(Spec):
    """Learn to draw pictures like those given, from nothing.

    Leaves a model that can sample and invert, and whose next need is a train_segmenter job: it has no parts
    yet. Its perceptual backbone is that of `model`.
    """

    kind: Literal["train_generator"] = "train_generator"
    model: ModelName = Field(default="cars", description="Whose perceptual backbone is taken over.")
    name: SavedName
    images: Annotated[tuple[Identifier, ...], Field(min_length=2, max_length=MOST_PICTURES)] = Field(
        description="Uploaded pictures; of each the central square is taken."
    )
    resolution_px: Literal[16, 32, 64, 128, 256, 512, 1024] = 64
    kimg: Annotated[float, Field(gt=0, le=25_000)] = Field(
        default=400, description="Thousands of pictures to show, repeats counted."
    )
    batch: Annotated[int, Field(ge=2, le=256)] = 16
    lr: LearningRate = 0.0025
    gamma: Weight | None = Field(
        default=None, description="Weight of R1; by default 0.0002 * resolution^2 / batch."
    )
    mirror: bool = Field(default=False, description="Show each picture mirrored too.")
    ada_target: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.6,
        description="How sure of real pictures the discriminator may grow before pictures are augmented more "
        "(mean sign of its scores); 0: no augmentation.",
    )
    ada_kimg: Annotated[float, Field(gt=0, le=25_000)] = Field(
        default=500, description="Thousands of pictures in which the probability may rise from 0 to 1."
    )
    channel_base: Annotated[int, Field(ge=64, le=65_536)] = Field(
        default=2_048, description="Channels at resolution R are min(channel_base / R, channel_max)."
    )
    channel_max: Annotated[int, Field(ge=4, le=512)] = 128
    w_dim: Annotated[int, Field(ge=4, le=512)] = Field(default=128, description="Of w, and of z.")
    mapping_layers: Annotated[int, Field(ge=1, le=16)] = 4
    seed: Seed = 0

    @model_validator(mode="after")
    def _has_channels(self) -> "TrainGeneratorSpec":
        if self.channel_base < 4 * self.resolution_px:
            raise ValueError("channel_base must be 4 times the resolution at least")
        return self


class TrainEncoderSpec(Spec):
    """Learn to guess a picture's code in one step, so that inversions start close to their end.

    Leaves a model with all that `model` has and a new encoder.
    """

    kind: Literal["train_encoder"] = "train_encoder"
    model: ModelName = "cars"
    name: SavedName | None = Field(default=None, description="By default the name of `model`.")
    images: Annotated[tuple[Identifier, ...], Field(max_length=MOST_PICTURES)] = Field(
        default=(),
        description="Uploaded pictures to learn from beside the model's own samples; of each the central "
        "square is taken.",
    )
    steps: Annotated[int, Field(ge=1, le=200_000)] = 20_000
    batch: Annotated[int, Field(ge=2, le=64)] = Field(
        default=16, description="Pictures in a step: half of them uploads, where there are any."
    )
    warm_up: Annotated[int, Field(ge=0, le=200_000)] = Field(
        default=1_000, description="First steps, on samples alone."
    )
    lr: LearningRate = 0.001
    seed: Seed = 0


class EvaluateSpec(Spec):
    """Measure a model's samples, or what an editing vector makes of them.

    With `images`: FID and KID between these and the samples. With a `vector`: how many edited samples show
    the `attribute`, and how alike the identities before and after are, where the model has the networks.
    """

    kind: Literal["evaluate"] = "evaluate"
    model: ModelName = "cars"
    samples: Annotated[int, Field(ge=2, le=50_000)] = 1_000
    seed: Seed = Field(default=0, description="Sample i is drawn from seed + i.")
    truncation_psi: TruncationPsi = 1.0
    images: Annotated[tuple[Identifier, ...], Field(max_length=MOST_PICTURES)] = Field(
        default=(), description="Uploaded pictures to compare with: two or more, or none."
    )
    kid_subsets: Annotated[int, Field(ge=1, le=1_000)] = 100
    kid_subset_size: Annotated[int, Field(ge=2, le=5_000)] = Field(
        default=1_000, description="At most; no more than there are pictures of either kind."
    )
    vector: Identifier | None = None
    strength: Annotated[float, Field(ge=-10, le=10)] = 1.0
    attribute: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*=[a-z][a-z0-9_]*$")] | None = Field(
        default=None, examples=["expression=smiling"], description="What the model's classifier is asked for."
    )

    @model_validator(mode="after")
    def _two_pictures(self) -> "EvaluateSpec":
        if len(self.images) == 1:
            raise ValueError("give two images or more, or none")
        return self
