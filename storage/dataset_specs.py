"""What may be asked of a data set: what is drawn, what is left out, how it is split and written."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from storage.mask_specs import PartName, Strict
from storage.options import ModelName, Seed, Spec
from storage.vector_names import VectorId
from storage.vector_specs import Strength

MOST_ITEMS = 100_000
MOST_SHARDS = 2_000
"""Of one format: a job's row names every shard."""
MOST_STRATA = 64
MAX_SEED = 2**32 - 1
Format = Literal["coco_panoptic", "coco_instance", "pairs", "webdataset"]
Fraction = Annotated[float, Field(ge=0, le=1)]


class StrengthRange(Strict):
    """A vector of the library, and between which strengths each item draws its own."""

    vector: VectorId
    strength: Annotated[tuple[Strength, ...], Field(min_length=2, max_length=2)] = Field(
        description="Lowest and highest.", examples=[[-0.5, 1.5]]
    )

    @model_validator(mode="after")
    def _in_order(self) -> "StrengthRange":
        if self.strength[0] > self.strength[1]:
            raise ValueError("strength: the lowest first")
        return self


class Split(Strict):
    """Shares of the items; which item goes where is decided by the digest of what it was drawn from."""

    train: Fraction = 0.8
    val: Fraction = 0.1
    test: Fraction = 0.1

    @model_validator(mode="after")
    def _whole(self) -> "Split":
        if abs(self.train + self.val + self.test - 1) > 1e-6:
            raise ValueError("train, val and test must add up to 1")
        return self


class Balance(Strict):
    """Which items are to come equally often. What there is too much of is left out.

    parts: the items that show a part and those that do not; of several parts, each combination there is.
    strength: each range of strengths is cut into `bins`; of several vectors, each combination.
    """

    by: Literal["parts", "strength"]
    parts: Annotated[tuple[PartName, ...], Field(max_length=4)] = Field(
        default=(), description="Parts or part groups; of `by: parts`."
    )
    bins: Annotated[int, Field(ge=2, le=16)] = Field(default=4, description="Of `by: strength`.")
    ratio: Annotated[float, Field(ge=1, le=1000)] = Field(
        default=1, description="How many times as often as the rarest the commonest may come."
    )

    @model_validator(mode="after")
    def _parts_named(self) -> "Balance":
        if bool(self.parts) != (self.by == "parts"):
            raise ValueError("give parts where it is by parts, and there alone")
        if len(set(self.parts)) != len(self.parts):
            raise ValueError("each of the parts must be given once")
        return self


class Written(Strict):
    """How a data set is written."""

    formats: Annotated[tuple[Format, ...], Field(min_length=1, max_length=4)] = ("pairs",)
    split: Split = Split()
    instances: Literal["rle", "polygons"] = Field(
        default="rle", description="How coco_instance writes outlines; both are exact."
    )
    min_instance_px: Annotated[int, Field(ge=0, le=10_000)] | None = Field(
        default=None,
        description="Smaller pieces of a part are no instances; default max(2, 30 * (resolution / 512)^2).",
    )
    shard_bytes: Annotated[int, Field(ge=1 << 14, le=256 << 20)] = Field(
        default=32 << 20, description="No shard is larger, unless a single item is."
    )

    @model_validator(mode="after")
    def _formats_once(self) -> "Written":
        if len(set(self.formats)) != len(self.formats):
            raise ValueError("each of the formats must be given once")
        return self

    def most_shards(self, count: int, resolution_px: int) -> int:
        """So many shards that one format may have, were no pixel compressible."""
        pixels = resolution_px * resolution_px
        item_bytes = 8 * pixels + 16_384  # two pictures of three bytes and rows' headers; JSON, tar headers
        return -(-count * item_bytes // self.shard_bytes) + len(Split.model_fields)


class GenerateDatasetSpec(Written, Spec):
    """Draw a labelled data set: samples, or samples edited by vectors, with the masks of the segmenter.

    `count` samples are drawn; what is rejected, or is too much for the balance, is left out.
    """

    kind: Literal["generate_dataset"] = "generate_dataset"
    model: ModelName = "cars"
    seed: Seed = Field(default=0, description="Sample i is drawn from seed + i.")
    count: Annotated[int, Field(ge=1, le=MOST_ITEMS)] = Field(default=1_000, description="How many to draw.")
    truncation_psi: Annotated[float, Field(ge=0, le=1)] = 0.7
    vectors: Annotated[tuple[StrengthRange, ...], Field(max_length=8)] = Field(
        default=(), description="Put on every sample, each at a strength that is drawn from the item's seed."
    )
    balance: Balance | None = None
    max_uncertainty: Annotated[float, Field(gt=0, le=10)] | None = Field(
        default=None,
        description="Samples that the segmenter is less sure of are rejected: the mean disagreement of its "
        "classifiers over the most uncertain tenth of the pixels, in nats.",
    )
    reject_fraction: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        default=None, description="In place of a limit: the share of samples, the least certain, to reject."
    )

    @model_validator(mode="after")
    def _sound(self) -> "GenerateDatasetSpec":
        if self.seed + self.count - 1 > MAX_SEED:
            raise ValueError(f"seed + count must be at most {MAX_SEED + 1}")
        if len({use.vector for use in self.vectors}) != len(self.vectors):
            raise ValueError("each of the vectors must be given once")
        if self.max_uncertainty is not None and self.reject_fraction is not None:
            raise ValueError("give max_uncertainty or reject_fraction, not both")
        if self.balance is not None and self.balance.by == "strength":
            if not self.vectors:
                raise ValueError("balance by strength needs vectors")
            if self.balance.bins ** len(self.vectors) > MOST_STRATA:
                raise ValueError(f"balance may have {MOST_STRATA} strata at most: bins of each vector")
        return self

    @property
    def foresight(self) -> bool:
        """Whether what is left out depends on all samples, so that each is drawn twice."""
        return self.reject_fraction is not None or self.balance is not None
