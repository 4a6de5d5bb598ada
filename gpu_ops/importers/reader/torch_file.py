"""The two kinds of files that torch.save writes: a zip file, and, before torch 1.6, a row of pickles."""

from typing import BinaryIO

from gpu_ops.importers.reader.allowed import STORAGE, TORCH
from gpu_ops.importers.reader.archive import Archive
from gpu_ops.importers.reader.dtypes import BYTES, STORAGES
from gpu_ops.importers.reader.instructions import read_pickle
from gpu_ops.importers.reader.machine import Machine, Steps
from gpu_ops.importers.reader.nodes import Global, Storage, Value, described
from gpu_ops.importers.refusals import DamagedFile, ForbiddenContent, LayoutMismatch

MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_START = b"\x80\x02\x8a\n" + MAGIC.to_bytes(10, "little")
PROTOCOL = 1001


def read_zip(file: BinaryIO, data: memoryview, steps: Steps) -> Value:
    """The value that a zip file of torch.save holds, its storages in place."""
    archive = Archive(file, data)
    if "byteorder" in archive and bytes(archive.read("byteorder")) != b"little":
        raise LayoutMismatch("the file has big-endian numbers; little-endian ones were expected")
    known: dict[str, Storage] = {}

    def persistent(key: Value) -> Storage:
        name, kind, count = _storage_id(key)
        storage = known.get(name)
        if storage is None:
            storage = known[name] = Storage(kind, count, archive.read(f"data/{name}"))
        if storage.kind != kind or count * BYTES[kind] > len(storage.data or b""):
            raise DamagedFile(
                f"storage {described(name)} has {len(storage.data or b'')} bytes, not {count} {kind}"
            )
        return storage

    machine = Machine(archive.read("data.pkl"), TORCH, steps, persistent)
    return read_pickle(machine)[0]


def read_legacy(data: memoryview, steps: Steps) -> Value:
    """The value of a row of pickles: magic number, protocol, system, value, keys; then the numbers."""
    return _read_row(data, Machine(data, TORCH, steps), steps)


def read_storage(data: memoryview, steps: Steps) -> Storage:
    """A storage that was saved by itself, as storages within pickles are."""
    value = _read_row(data, Machine(data, STORAGE, steps), steps)
    if not isinstance(value, Storage):
        raise ForbiddenContent(f"a storage within the pickle holds {described(value)}")
    return value


def _read_row(data: memoryview, plain: Machine, steps: Steps) -> Value:
    known: dict[str, Storage] = {}

    def persistent(key: Value) -> Storage:
        name, kind, count = _storage_id(key)
        storage = known.setdefault(name, Storage(kind, count))
        if (storage.kind, storage.count) != (kind, count):
            raise DamagedFile(f"storage {described(name)} is declared twice, and not the same")
        return storage

    magic, at = read_pickle(plain)
    protocol, at = read_pickle(plain, at)
    system, at = read_pickle(plain, at)
    if magic != MAGIC or protocol != PROTOCOL:
        raise DamagedFile(f"the file is of torch's protocol {described(protocol)}; {PROTOCOL} was expected")
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise LayoutMismatch("the file has big-endian numbers; little-endian ones were expected")
    value, at = read_pickle(Machine(data, plain.allowed, steps, persistent), at)
    keys, at = read_pickle(plain, at)
    _place(data, at, keys, known)
    return value


def _place(data: memoryview, at: int, keys: Value, known: dict[str, Storage]) -> None:
    """Find each storage's numbers, which follow in the order of keys, each after its count."""
    if (
        not isinstance(keys, list)
        or not all(type(key) is str for key in keys)
        or sorted(keys) != sorted(known)
    ):
        raise DamagedFile("the file's list of storages is not the list of those that its tensors name")
    for key in keys:
        storage = known[key]
        size = storage.count * BYTES[storage.kind]
        count, begin = int.from_bytes(data[at : at + 8], "little"), at + 8
        if count != storage.count or begin + size > len(data):
            raise DamagedFile(
                f"storage {described(key)} at byte {at} has {count} numbers, and {max(len(data) - begin, 0)} "
                f"bytes are left; {storage.count} numbers of kind {storage.kind} were expected"
            )
        storage.data = data[begin : begin + size]
        at = begin + size


def _storage_id(key: Value) -> tuple[str, str, int]:
    """(key, kind, count) of the persistent id ("storage", kind, key, place, count)."""
    if not isinstance(key, tuple) or len(key) not in (5, 6) or key[0] != "storage":
        raise ForbiddenContent(f"a persistent id is {described(key)}; a storage's was expected")
    _, kind, name, place, count = key[:5]
    if len(key) == 6 and key[5] is not None:
        raise ForbiddenContent("a storage is a view of another one, as torch before 0.4 wrote them")
    if not isinstance(kind, Global) or kind.name not in STORAGES:
        raise ForbiddenContent(f"a storage is of kind {described(kind)}")
    if not isinstance(name, str) or not isinstance(place, str) or not name.isalnum() or len(name) > 40:
        raise ForbiddenContent(f"a storage has the key {described(name)}; a number was expected")
    if type(count) is not int or not 0 <= count < 1 << 48:
        raise DamagedFile(f"a storage declares {described(count)} numbers")
    return name, STORAGES[kind.name], count
