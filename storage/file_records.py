"""The record of an uploaded file: what is neither a picture nor a mask."""

from dataclasses import dataclass

from storage.records import ObjectRef


@dataclass(frozen=True, slots=True)
class File:
    """A manifest, a shard, a checkpoint ..., kept as it was sent. A tenant has one of each content."""

    id: str
    tenant_id: str
    object: ObjectRef
    filename: str | None
    created_at: float
