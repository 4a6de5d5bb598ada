"""What an editing vector may be called: its name, tags and editing type, and its id."""

from typing import Annotated

from pydantic import AfterValidator, Field

from storage.mask_specs import Identifier

MAX_TAGS = 32
_PRINTED = r"^[^\s\x00-\x1f\x7f-\x9f]([^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f])?$"
"""No control characters, no space at either end."""


def _each_once(tags: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(tags)) != len(tags):
        raise ValueError("give each of the tags once")
    return tags


VectorId = Identifier
VectorName = Annotated[str, Field(max_length=120, pattern=_PRINTED, examples=["larger wheels"])]
EditingType = Annotated[
    str,
    Field(
        max_length=80,
        pattern=_PRINTED,
        examples=["wheel grows"],
        description="What a vector does, in a word or two. Learning proposes it; anybody may rename it.",
    ),
]
Tag = Annotated[str, Field(max_length=40, pattern=_PRINTED, examples=["starter"])]
Tags = Annotated[tuple[Tag, ...], Field(max_length=MAX_TAGS), AfterValidator(_each_once)]
