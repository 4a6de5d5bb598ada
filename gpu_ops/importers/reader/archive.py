"""The zip files of torch.save: entries that are stored as they are, side by side, and nothing else."""

import stat
import struct
import zipfile
import zlib
from typing import BinaryIO

from gpu_ops.importers.refusals import DamagedFile, ForbiddenContent, LimitExceeded, UnknownFormat, shown

_MOST_ENTRIES = 100_000
_LOCAL_HEADER = struct.Struct("<4s5H3I2H")
_ENCRYPTED, _UTF8 = 0x1, 0x800


class Archive:
    """The entries of one zip file, by their name below its one folder."""

    def __init__(self, file: BinaryIO, data: memoryview) -> None:
        self._data = data
        try:
            entries = zipfile.ZipFile(file).infolist()
        except (zipfile.BadZipFile, zipfile.LargeZipFile, ValueError, struct.error, NotImplementedError) as e:
            raise DamagedFile(f"the zip file cannot be read: {e}") from None
        if len(entries) > _MOST_ENTRIES:
            raise LimitExceeded(f"the zip file has {len(entries)} entries; {_MOST_ENTRIES} at most are read")
        for entry in entries:
            _check(entry)
        if sum(entry.file_size for entry in entries) > len(data):
            raise ForbiddenContent("the zip file's entries overlap: they hold more bytes than the file")
        self._folder = _common_folder(entries)
        self._entries = {entry.filename.removeprefix(self._folder): entry for entry in entries}
        if len(self._entries) != len(entries):
            raise ForbiddenContent("the zip file has two entries of one name")

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def names(self) -> list[str]:
        return list(self._entries)

    def read(self, name: str) -> memoryview:
        """An entry's bytes, not copied, checked against their checksum."""
        entry = self._entries.get(name)
        if entry is None:
            raise DamagedFile(f"the zip file has no entry {shown(name)}")
        start = self._start(entry)
        found = self._data[start : start + entry.file_size]
        if len(found) != entry.file_size or zlib.crc32(found) != entry.CRC:
            raise DamagedFile(f"entry {shown(name)} of the zip file does not match its checksum")
        return found

    def _start(self, entry: zipfile.ZipInfo) -> int:
        """Where the bytes begin: behind a header of their own, which must agree with the directory."""
        at = entry.header_offset
        header = bytes(self._data[at : at + _LOCAL_HEADER.size]) if at >= 0 else b""
        if len(header) < _LOCAL_HEADER.size:
            raise DamagedFile("an entry of the zip file begins beyond its end")
        signature, *_, name_bytes, extra_bytes = _LOCAL_HEADER.unpack(header)
        named = at + _LOCAL_HEADER.size
        name = bytes(self._data[named : named + name_bytes])
        written = entry.orig_filename.encode("utf-8" if entry.flag_bits & _UTF8 else "cp437", "replace")
        if signature != b"PK\3\4" or name != written:
            raise DamagedFile(f"entry {shown(entry.filename)} of the zip file contradicts the directory")
        return named + int(name_bytes) + int(extra_bytes)


def _check(entry: zipfile.ZipInfo) -> None:
    name, mode = entry.orig_filename, entry.external_attr >> 16
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        raise ForbiddenContent(f"entry {shown(name)} of the zip file is a link or another special file")
    if entry.flag_bits & _ENCRYPTED:
        raise ForbiddenContent(f"entry {shown(name)} of the zip file is encrypted")
    if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size:
        raise ForbiddenContent(
            f"entry {shown(name)} of the zip file is compressed, to {entry.compress_size} from "
            f"{entry.file_size} bytes; torch.save stores its entries as they are"
        )
    parts = name.split("/")
    if name.startswith("/") or "\\" in name or "\0" in name or ".." in parts or len(name) > 500:
        raise ForbiddenContent(f"entry {shown(name)} of the zip file has a name that leaves its folder")


def _common_folder(entries: list[zipfile.ZipInfo]) -> str:
    """The folder that all entries are in. Raises UnknownFormat where torch.save did not write the file."""
    pickles = [entry.filename for entry in entries if entry.filename.endswith("/data.pkl")]
    if len(pickles) != 1 or pickles[0].count("/") != 1:
        raise UnknownFormat("the zip file has no one folder with a data.pkl; torch.save writes one")
    folder = pickles[0].removesuffix("data.pkl")
    for entry in entries:
        if not entry.filename.startswith(folder):
            raise ForbiddenContent(f"entry {shown(entry.filename)} is not in the folder {shown(folder)}")
        below = entry.filename.removeprefix(folder)
        if below == "constants.pkl" or below.startswith("code/"):
            raise ForbiddenContent("the zip file is a TorchScript archive, which holds code")
    return folder
