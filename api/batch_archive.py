"""All results of a batch as one zip or tar, made as it is sent: no more of it is held than one item.

(Of a zip also the directory that stands at its end: some hundred bytes for each file.)
"""

import json
import tarfile
from collections.abc import Iterator
from typing import Any

from flask import Response
from zipstream import ZIP_STORED, ZipStream

from api.service import stores
from storage.batch_records import Batch
from storage.errors import BatchNotEnded
from storage.manifests import lines_of
from storage.results import Results, unpacked
from storage.stores import Objects

LISTS = ("results", "errors", "invalid")
MAX_LINE_BYTES = 16 << 20  # of what a batch has written itself
Named = tuple[str, int, Iterator[bytes]]
"""(name, bytes in all, the bytes in blocks)."""


def send_archive(batch: Batch, form: str) -> Response:
    """Raises BatchNotEnded."""
    if "results" not in batch.files:
        raise BatchNotEnded(f"Batch {batch.id} is {batch.status.value}, and has no results (any more).")
    pack, media_type = (_zip, "application/zip") if form == "zip" else (_tar, "application/x-tar")
    answer = Response(pack(_files(batch, stores().objects)), mimetype=media_type)
    answer.headers["Content-Disposition"] = f'attachment; filename="batch-{batch.id}.{form}"'
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _files(batch: Batch, objects: Objects) -> Iterator[Named]:
    """Its lists, then the files of each item as ID/NAME; those of a data set as dataset/NAME."""
    results = Results(objects, batch.tenant_id)
    for role, ref in sorted(batch.files.items()):
        if role != "items":
            name = f"{role}.jsonl" if role in LISTS else f"dataset/{role}"
            yield name, ref.byte_size, objects.stream(ref)
    for _, line in lines_of(objects.stream(batch.files["results"]), MAX_LINE_BYTES):
        told: dict[str, Any] = json.loads(line or b"{}")
        if told.get("status") == "succeeded":
            data = objects.get_range(results.key(told["result"]))
            for name, content in unpacked(data).items():
                yield f"{told['id']}/{name}", len(content), iter((content,))


def _zip(files: Iterator[Named]) -> Iterator[bytes]:
    archive = ZipStream(compress_type=ZIP_STORED)  # pictures are compressed already
    for name, _, blocks in files:
        archive.add(blocks, name)
        yield from archive.all_files()
    yield from archive.finalize()


def _tar(files: Iterator[Named]) -> Iterator[bytes]:
    for name, byte_size, blocks in files:
        member = tarfile.TarInfo(name)
        member.size = byte_size
        yield member.tobuf(tarfile.PAX_FORMAT)
        yield from blocks
        yield b"\0" * (-byte_size % tarfile.BLOCKSIZE)
    yield b"\0" * (2 * tarfile.BLOCKSIZE)
