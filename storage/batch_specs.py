"""What may be asked of a batch: one spec, and the inputs that it is to be done for."""

import json
import re
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError, field_validator, model_validator

from storage.dataset_specs import Written
from storage.errors import InvalidInput
from storage.inversion_specs import Inverting
from storage.mask_specs import Identifier, Strict
from storage.options import Seed, Webhook
from storage.records import Priority
from storage.specs import JOB_SPEC, EditSpec, InvertSpec
from storage.vector_specs import ApplySpec

KINDS = ("invert", "edit", "apply")
ABSENT = ("image", "inversion", "seed", "inputs", "options", "photo", "box", "mask")
"""Members of a spec that a batch's may not have: what is one picture's, or a job's own."""
_ANY_IMAGE = "0" * 32
BucketName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,62}$")]
BulkSpec = InvertSpec | EditSpec | ApplySpec


class ManifestInputs(Strict):
    """A list of inputs, one a line (docs/bulk.md): an uploaded file, or an object."""

    type: Literal["manifest"]
    file: Identifier | None = Field(default=None, description="Id of an uploaded file.")
    key: Annotated[str, Field(max_length=1024)] | None = Field(
        default=None, description="Of an object of the bucket."
    )
    format: Literal["jsonl", "csv"] = "jsonl"
    bucket: BucketName | None = Field(
        default=None,
        description="Where `key`s are looked for: a bucket that the operator has named; by default your own "
        "inputs.",
    )

    @model_validator(mode="after")
    def _one_place(self) -> "ManifestInputs":
        if (self.file is None) == (self.key is None):
            raise ValueError("give file or key")
        return self


class PrefixInputs(Strict):
    """All pictures whose keys begin so."""

    type: Literal["prefix"]
    prefix: Annotated[str, Field(max_length=1024)] = ""
    bucket: BucketName | None = None


class TarInputs(Strict):
    """All pictures in tars (WebDataset shards are such)."""

    type: Literal["tar"]
    files: Annotated[tuple[Identifier, ...], Field(min_length=1, max_length=10_000)]


class SeedInputs(Strict):
    """Samples of the model: of seed, seed + 1 and so on."""

    type: Literal["seeds"]
    seed: Seed = 0
    count: Annotated[int, Field(ge=1, le=10_000_000)]


class BatchInputs(Strict):
    """The items of an earlier batch that did not succeed."""

    type: Literal["batch"]
    batch: Identifier
    bucket: BucketName | None = Field(default=None, description="Where `key`s are looked for.")


Inputs = Annotated[
    ManifestInputs | PrefixInputs | TarInputs | SeedInputs | BatchInputs, Field(discriminator="type")
]


class OutputPlace(Strict):
    """Where results are written beside the platform's own store: prefix, item's id, file's name."""

    bucket: BucketName
    prefix: Annotated[str, Field(max_length=512)] = ""


class BatchOptions(Strict):
    priority: Priority = Priority.BULK
    keep_s: Annotated[float, Field(ge=60, le=315_360_000)] | None = Field(
        default=None,
        description="Seconds that results are kept after the end; by default the service's policy.",
    )
    webhook: Webhook | None = Field(
        default=None, description="Called for the job that merges the results: its end is the batch's."
    )


class BatchSpec(Strict):
    """One spec for many inputs."""

    spec: Annotated[
        dict[str, Any],
        Field(
            description="A job's spec of kind invert, edit or apply, without its picture.",
            json_schema_extra={"properties": {"kind": {"enum": list(KINDS)}}, "required": ["kind"]},
        ),
    ]
    inputs: Inputs
    on_invalid: Literal["skip", "stop"] = Field(
        default="skip", description="Inputs that are not as they should be: leave them out, or begin nothing."
    )
    dry_run: bool = Field(default=False, description="Read the inputs, count, estimate, and end.")
    output: OutputPlace | None = None
    dataset: Written | None = Field(
        default=None,
        description="Write what succeeds as a data set, too: pictures with the masks found on them.",
    )
    truncation_psi: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.7, description="Of items that are samples."
    )
    options: BatchOptions = BatchOptions()

    @field_validator("spec")
    @classmethod
    def _spec_without_picture(cls, value: dict[str, Any]) -> dict[str, Any]:
        return bulk_spec(value).model_dump(mode="json", exclude={"image", "options"})

    @property
    def wanted(self) -> BulkSpec:
        return bulk_spec(self.spec)


def bulk_spec(members: dict[str, Any]) -> BulkSpec:
    """A batch's spec as that of one picture, whose image is anyone's. Raises ValueError."""
    if members.get("kind") not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}")
    given = [name for name in ABSENT if members.get(name) not in (None, [], (), {})]
    if given:
        raise ValueError(f"{given[0]} belongs to a single job: leave it out")
    left = {name: value for name, value in members.items() if name not in ABSENT}
    try:
        spec = JOB_SPEC.validate_json(json.dumps({**left, "image": _ANY_IMAGE}), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"][1:])
        why = first["msg"].removeprefix("Value error, ")
        raise ValueError(f"{place}: {why}" if place else why) from None
    assert isinstance(spec, BulkSpec)
    return spec


def how_of(spec: BatchSpec) -> Inverting:
    """How a batch's pictures are inverted."""
    wanted = spec.wanted
    return wanted if isinstance(wanted, InvertSpec) else wanted.inverting


BATCH_SPEC: TypeAdapter[BatchSpec] = TypeAdapter(BatchSpec)


def read_batch_spec(members: dict[str, Any]) -> BatchSpec:
    """As a row keeps it. Raises InvalidInput when it is from another time."""
    try:
        return BATCH_SPEC.validate_python(members)
    except ValidationError as error:
        raise InvalidInput("This worker does not understand the batch's spec.") from error


ITEM_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,119}(/[A-Za-z0-9_][A-Za-z0-9._-]{0,119}){0,7}")
