"""The items of a chunk, read from the list that was made of a batch's inputs."""

import hashlib
import json
from typing import Any

from storage.batch_records import Batch, Chunk
from storage.errors import ObjectCorrupt
from storage.stores import Stores


def read_items(batch: Batch, chunk: Chunk, stores: Stores) -> list[dict[str, Any]]:
    """Raises ObjectCorrupt where they are not those that were written."""
    ref = batch.files["items"]
    data = stores.objects.get_range(ref.key, chunk.start_byte, chunk.byte_size)
    if hashlib.sha256(data).hexdigest() != chunk.sha256:
        raise ObjectCorrupt(f"Bytes {chunk.start_byte} and on of object {ref.key} are not what was written.")
    return [json.loads(line) for line in data.splitlines()]
