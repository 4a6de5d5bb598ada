"""The inputs of a batch, whatever they are named by, as one stream of entries.

An entry is what storage/manifests.py makes of a line; `object` and `sha256` say where its bytes lie, if that
is known. Nothing is asked of the store, or the database, for a single line: images are looked up by hundreds,
and keys later, all together, against a listing.
"""

import tarfile
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import islice
from typing import Any

from storage.batch_specs import (
    ITEM_ID,
    BatchInputs,
    BatchSpec,
    ManifestInputs,
    PrefixInputs,
    SeedInputs,
    TarInputs,
)
from storage.errors import EditqError, InvalidInput, NotFound, OutputNotFound
from storage.manifests import PICTURES, Entry, Refused, csv_entries, jsonl_entries, judged
from storage.sources import checked_source_key
from storage.stores import Stores

LOOKED_UP_AT_ONCE = 500
BLOCK_BYTES = 1 << 20  # that a tar is read by
END_BYTES = 2 * tarfile.BLOCKSIZE
Read = tuple[int, bytes, Entry | EditqError]
"""(line's number from 1, the line itself, what it says or what is wrong with it)."""


def read_inputs(spec: BatchSpec, tenant_id: str, stores: Stores) -> Iterator[Read]:
    """Raises InvalidInput, NotFound where the inputs as a whole are not there."""
    match spec.inputs:
        case ManifestInputs() as manifest:
            blocks = _blocks(manifest, tenant_id, stores)
            entries = csv_entries(blocks) if manifest.format == "csv" else jsonl_entries(blocks)
            return _with_files(_with_images(entries, tenant_id, stores), tenant_id, stores)
        case PrefixInputs() as listed:
            return _listed(listed, tenant_id, stores)
        case TarInputs() as tars:
            return _packed(tars, tenant_id, stores)
        case SeedInputs() as seeds:
            return _sampled(seeds)
        case BatchInputs() as earlier:
            return _left_over(earlier, tenant_id, stores)


def _blocks(manifest: ManifestInputs, tenant_id: str, stores: Stores) -> Iterable[bytes]:
    if manifest.file is not None:
        return stores.objects.stream(stores.library.get_file(tenant_id, manifest.file).object)
    assert manifest.key is not None
    source = stores.sources.open(tenant_id, manifest.bucket, field="inputs.bucket")
    key = checked_source_key(manifest.key, field="inputs.key")
    try:
        return source.stream(key)
    except OutputNotFound:
        raise InvalidInput(f"There is no object {key!r}.", field="inputs.key") from None


def _with_images(entries: Iterator[Read], tenant_id: str, stores: Stores) -> Iterator[Read]:
    """Say where uploaded pictures lie; those that are not there are refused."""
    while some := list(islice(entries, LOOKED_UP_AT_ONCE)):
        named = [entry["image"] for _, _, entry in some if isinstance(entry, dict) and "image" in entry]
        images = stores.library.get_images(tenant_id, named) if named else {}
        for number, line, entry in some:
            if isinstance(entry, dict) and "image" in entry:
                image = images.get(entry["image"])
                if image is None or image.role != "picture":
                    yield number, line, _missing(f"There is no picture {entry['image']}.", "image")
                    continue
                entry |= {"object": image.object.key, "sha256": image.object.sha256}
                entry["bytes"] = image.object.byte_size
            yield number, line, entry


def _with_files(entries: Iterator[Read], tenant_id: str, stores: Stores) -> Iterator[Read]:
    """Say where parts of uploaded files lie: few files, many parts."""
    known: dict[str, Any] = {}
    for number, line, entry in entries:
        if isinstance(entry, dict) and "file" in entry:
            name = entry["file"]
            if name not in known:
                try:
                    known[name] = stores.library.get_file(tenant_id, name).object
                except NotFound:
                    known[name] = None
            ref = known[name]
            if ref is None or entry["at"] + entry["bytes"] > ref.byte_size:
                yield number, line, _missing(f"There is no such part of a file {name}.", "file")
                continue
            entry["object"] = ref.key
        yield number, line, entry


def _missing(detail: str, field: str) -> Refused:
    return Refused(detail, field=field, expected="what you uploaded")


def _listed(listed: PrefixInputs, tenant_id: str, stores: Stores) -> Iterator[Read]:
    source = stores.sources.open(tenant_id, listed.bucket, field="inputs.bucket")
    if listed.prefix.strip("/"):
        checked_source_key(listed.prefix.strip("/"), field="inputs.prefix")
    found = sorted(key for key in source.list(listed.prefix) if key.lower().endswith(PICTURES))
    for number, key in enumerate(found, 1):
        yield number, key.encode("utf-8", "replace"), judged(number, partial(dict, key=key))


def _packed(tars: TarInputs, tenant_id: str, stores: Stores) -> Iterator[Read]:
    """Members are never unpacked: what is kept of each is where its bytes lie in the tar."""
    number = 0
    for index, file in enumerate(tars.files):
        ref = stores.library.get_file(tenant_id, file).object
        for member in _members(stores.objects.stream(ref), f"inputs.files.{index}"):
            number += 1
            if member.isfile() and not member.name.lower().endswith(PICTURES):
                continue  # what belongs to a picture, as labels in a WebDataset do
            if not member.isdir():
                name = member.name.encode("utf-8", "replace")
                yield number, name, _member(number, file, ref.key, member)


def _members(blocks: Iterator[bytes], field: str) -> Iterator[tarfile.TarInfo]:
    """Raises InvalidInput for what is no tar, or ends early: tarfile takes a damaged header for the end."""
    stream: Any = _Stream(blocks)  # it reads, and no more is asked of it
    try:
        with tarfile.open(fileobj=stream, mode="r|", bufsize=BLOCK_BYTES) as tar:
            while (member := tar.next()) is not None:
                tar.members = []  # type: ignore[attr-defined]  # it would keep them, of millions
                yield member
            ended = tar.offset
    except (tarfile.TarError, EOFError) as error:
        raise InvalidInput(
            f"The file cannot be read as a tar: {error}.", field=field, expected="a tar"
        ) from error
    if not stream.ends_at(ended):
        raise InvalidInput(
            f"The tar is damaged, or was cut off, at byte {ended}.", field=field, expected="a whole tar"
        )


def _member(number: int, file: str, key: str, member: tarfile.TarInfo) -> Entry | EditqError:
    if not member.isreg() or member.issparse():
        return Refused(
            f"{member.name[:80]!r} is a link, or no plain file.", field="name", expected="a plain file"
        )
    name = member.name.removeprefix("./")
    if not ITEM_ID.fullmatch(name):
        return Refused(
            f"{member.name[:80]!r} is no name for an input.",
            field="name",
            expected="letters, digits and . _ -, in up to 8 parts divided by /",
        )
    return {
        "n": number, "id": name, "file": file, "at": member.offset_data, "bytes": member.size, "object": key,
    }  # fmt: skip


class _Stream:
    """What tarfile reads of, a block at a time; it keeps the end of what it gave."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks, self._rest, self._given, self._tail = blocks, b"", 0, b""

    def read(self, size: int) -> bytes:
        parts, have = [self._rest], len(self._rest)
        while have < size and (block := next(self._blocks, b"")):
            parts.append(block)
            have += len(block)
        data = b"".join(parts)
        data, self._rest = data[:size], data[size:]
        self._given += len(data)
        self._tail = (self._tail + data)[-2 * BLOCK_BYTES :]
        return data

    def ends_at(self, offset: int) -> bool:
        """Whether an end of a tar, two blocks of zeros, is there."""
        self.read(tarfile.RECORDSIZE)
        start = offset - (self._given - len(self._tail))
        return start >= 0 and self._tail[start : start + END_BYTES] == bytes(END_BYTES)


def _sampled(seeds: SeedInputs) -> Iterator[Read]:
    for index in range(seeds.count):
        seed = (seeds.seed + index) % 2**32
        yield index + 1, str(seed).encode(), {"n": index + 1, "id": f"seed-{seed}", "seed": seed}


def _left_over(earlier: BatchInputs, tenant_id: str, stores: Stores) -> Iterator[Read]:
    batch = stores.batches.get(tenant_id, earlier.batch)
    if "errors" not in batch.files:
        raise InvalidInput(f"Batch {batch.id} has no list of errors (any more).", field="inputs.batch")
    entries = jsonl_entries(stores.objects.stream(batch.files["errors"]))
    return _with_files(_with_images(entries, tenant_id, stores), tenant_id, stores)


def bucket_of(spec: BatchSpec) -> str | None:
    """Where an item's `key` is looked for."""
    return getattr(spec.inputs, "bucket", None)
