"""All results of a batch as one zip or tar, made as it is sent: no more of it is held than one item."""

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

Named = tuple[str, bytes]


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
    """results.jsonl, then the files of each item as ID/NAME."""
    results = Results(objects, batch.tenant_id)
    for role in ("results", "errors", "invalid"):
        yield f"{role}.jsonl", objects.get(batch.files[role])
    for _, line in lines_of(objects.stream(batch.files["results"])):
        told: dict[str, Any] = json.loads(line or b"{}")
        if told.get("status") == "succeeded":
            data = objects.get_range(results.key(told["result"]))
            for name, content in unpacked(data).items():
                yield f"{told['id']}/{name}", content


def _zip(files: Iterator[Named]) -> Iterator[bytes]:
    archive = ZipStream(compress_type=ZIP_STORED)  # pictures are compressed already
    for name, data in files:
        archive.add(data, name)
        yield from archive.all_files()
    yield from archive.finalize()


def _tar(files: Iterator[Named]) -> Iterator[bytes]:
    for name, data in files:
        member = tarfile.TarInfo(name)
        member.size = len(data)
        yield member.tobuf(tarfile.PAX_FORMAT)
        yield data
        yield b"\0" * (-len(data) % tarfile.BLOCKSIZE)
    yield b"\0" * (2 * tarfile.BLOCKSIZE)
