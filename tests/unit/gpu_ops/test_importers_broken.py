"""Files that end early, are broken or are something else, and zip files that torch does not write."""

import gzip
import io
import os
import pickle
import random
import stat
import struct
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from importers_files import (
    write_persistent,
    write_rosinality,
    write_tensorflow,
)
from importers_hostile import (
    legacy,
    pickled,
    zipped,
)
from importers_networks import Shape, persistent_network, rosinality_network, tensorflow_network
from importers_refused import in_this_process, leaving_nothing, refused, refused_here

from gpu_ops.importers.importing import import_files
from gpu_ops.importers.refusals import (
    CheckpointRefused,
    DamagedFile,
    ForbiddenContent,
    LayoutMismatch,
    UnknownFormat,
)


@pytest.fixture(autouse=True)
def _leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with leaving_nothing(tmp_path, monkeypatch):
        yield


def published_files(folder: Path) -> dict[str, bytes]:
    canary = folder / "canary"
    shape = Shape(8, base=24, most=3, w_dim=4, z_dim=3, layers=1)
    np.save(folder / "given.npy", np.ones((1, 4, 4), np.float32))
    one = write_persistent(folder / "given-1.pkl", persistent_network(shape), canary=canary)
    two = write_tensorflow(folder / "given-2.pkl", tensorflow_network(shape), canary=canary)
    three = write_rosinality(folder / "given-3.pt", rosinality_network(shape))
    four = write_rosinality(folder / "given-4.pt", rosinality_network(shape), zipped=False)
    five = folder / "given.npy"
    return {path.name: path.read_bytes() for path in (one, two, three, four, five)}


def test_truncated_anywhere(tmp_path: Path) -> None:
    for name, data in published_files(tmp_path).items():
        in_this_process(data, tmp_path)
        cuts = {1, 2, 9, len(data) // 3, len(data) // 2, len(data) - 9, len(data) - 1}
        cuts |= set(random.Random(0).sample(range(1, len(data)), 60))
        for cut in sorted(cuts):
            with pytest.raises((DamagedFile, UnknownFormat)):
                in_this_process(data[:cut], tmp_path)
        assert isinstance(refused(data[: len(data) // 2], tmp_path), DamagedFile), name


def test_bytes_that_changed_on_the_way(tmp_path: Path) -> None:
    """Whatever happens, it is a refusal, or tensors: no other error, and no long wait."""
    dice = random.Random(1)
    outcomes = {"refused": 0, "read": 0}
    for data in published_files(tmp_path).values():
        for _ in range(120):
            broken = bytearray(data)
            for _ in range(dice.choice((1, 1, 3, 20))):
                broken[dice.randrange(min(len(broken), dice.choice((64, 1 << 20))))] = dice.randrange(256)
            try:
                in_this_process(bytes(broken), tmp_path)
                outcomes["read"] += 1
            except CheckpointRefused:
                outcomes["refused"] += 1
    assert min(outcomes.values()) > 30, outcomes


@pytest.mark.parametrize(
    ("data", "error", "says"),
    [
        (b"hello", UnknownFormat, "unknown (it begins with 68 65 6c 6c 6f)"),
        (b"<!doctype html>", UnknownFormat, "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", UnknownFormat, "Git LFS"),
        (b"\x89PNG\r\n\x1a\n", UnknownFormat, "a PNG picture"),
        (gzip.compress(b"x"), UnknownFormat, "a gzip file"),
        (pickle.dumps([1, 2]), UnknownFormat, "the pickle holds a value of type list"),
        (pickle.dumps({"a": 1, "b": 2}), UnknownFormat, "a dictionary with 'a', 'b'"),
        (pickle.dumps({"G_ema": 3}), UnknownFormat, "the pickle holds 3"),
        (pickle.dumps("x" * 1000), UnknownFormat, "xxx..."),
        (pickle.dumps(None) + b"more", DamagedFile, "4 more bytes follow"),
        (pickle.dumps({"x": 1}, protocol=1), UnknownFormat, "a pickle of protocol 2 to 5"),
        (b"\x93NUMPY\x09\x00", DamagedFile, "version 9"),
        (b"\x93NUMPY\x01\x00\xff\xff{}", DamagedFile, "a header of 65535 bytes"),
        (b"\x93NUMPY\x01\x00\x10\x00__import__('os')", LayoutMismatch, "one array of plain numbers"),
        (zipped(pickle.dumps([1])), UnknownFormat, "the file holds a value of type list"),
        (zipped(pickle.dumps({})), UnknownFormat, "the file holds a dictionary with"),
        (zipped(pickle.dumps({"g_ema": {}})), LayoutMismatch, "holds no tensors"),
        (zipped(pickle.dumps({"g_ema": {"a": 3}})), LayoutMismatch, "'a' is 3; a tensor was expected"),
        (zipped(b"\x80\x01."), DamagedFile, "no pickle of protocol 2 to 5"),
        (pickled(b"K"), DamagedFile, "byte"),
        (pickled(), DamagedFile, "values left over, or none"),
        (pickled(b"("), DamagedFile, "values left over, or none"),
        (pickled(b"N(t"), DamagedFile, "values left over"),
        (pickled(b"t"), DamagedFile, "needs a mark"),
        (pickled(b"\xff"), DamagedFile, "0xff"),
        (pickled(b"X\x01\x00\x00\x00\xff"), DamagedFile, "is not UTF-8"),
        (pickled(b"}(Nu"), DamagedFile, "a key without a value"),
        (legacy(b"\x80\x02N.", ["0"]), DamagedFile, "list of storages"),
        (legacy(b"\x80\x02N.", [[[]]]), DamagedFile, "list of storages"),
    ],
    ids=range(29),
)
def test_files_of_another_kind(data: bytes, error: type, says: str, tmp_path: Path) -> None:
    refusal = refused_here(data, tmp_path)
    assert isinstance(refusal, error)
    assert says in str(refusal)


def test_an_empty_file(tmp_path: Path) -> None:
    assert "is empty" in str(refused(b"", tmp_path))


def test_paths_that_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "given-pipe")
    (tmp_path / "given-folder").mkdir()
    for name in ("given-pipe", "given-folder"):
        with pytest.raises(UnknownFormat, match=f"{name}: this is no regular file"):
            import_files([tmp_path / name], tmp_path / "model")
    with pytest.raises(UnknownFormat, match="No such file"):
        import_files([tmp_path / "given-nothing"], tmp_path / "model")


# zip files


def archive(*entries: tuple[zipfile.ZipInfo | str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as made, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of two entries of one name
        for name, data in entries:
            made.writestr(name, data)
    return file.getvalue()


def link(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    return info


GOOD = ("archive/data.pkl", pickle.dumps({}))


@pytest.mark.parametrize(
    ("data", "error", "says"),
    [
        (archive(GOOD, (link("archive/data/0"), b"/etc/passwd")), ForbiddenContent, "a link"),
        (archive(GOOD, ("archive/data/0", bytes(1 << 20)), compression=8), ForbiddenContent, "compressed"),
        (archive(GOOD, ("../../etc/cron.d/x", b"")), ForbiddenContent, "leaves its folder"),
        (archive(GOOD, ("/etc/passwd", b"")), ForbiddenContent, "leaves its folder"),
        (archive(GOOD, ("archive/a\\b", b"")), ForbiddenContent, "leaves its folder"),
        (archive(GOOD, ("other/data/0", b"")), ForbiddenContent, "not in the folder"),
        (archive(GOOD, ("archive/data/0", b"1"), ("archive/data/0", b"2")), ForbiddenContent, "of one name"),
        (archive(GOOD, ("archive/constants.pkl", b"")), ForbiddenContent, "TorchScript"),
        (archive(GOOD, ("archive/code/x.py", b"")), ForbiddenContent, "TorchScript"),
        (archive(("a/data.pkl", b""), ("b/data.pkl", b"")), UnknownFormat, "no one folder with a data.pkl"),
        (archive(("readme.txt", b"hello")), UnknownFormat, "no one folder with a data.pkl"),
        (archive(GOOD, ("archive/byteorder", b"big")), LayoutMismatch, "big-endian"),
        (archive(GOOD).replace(b"PK\x01\x02", b"PK\x01\x03"), DamagedFile, "zip file cannot be read"),
        (b"PK\x03\x04" + bytes(100), DamagedFile, "zip file cannot be read"),
    ],
    ids=range(14),
)
def test_zip_files_that_torch_does_not_write(data: bytes, error: type, says: str, tmp_path: Path) -> None:
    refusal = refused_here(data, tmp_path)
    assert isinstance(refusal, error)
    assert says in str(refusal)


def test_an_encrypted_entry(tmp_path: Path) -> None:
    data = bytearray(archive(GOOD))
    at = data.index(b"PK\x01\x02") + 8
    data[at] |= 1
    assert "encrypted" in str(refused_here(bytes(data), tmp_path))


def test_entries_that_share_their_bytes(tmp_path: Path) -> None:
    """The zip bomb that needs no compression: many entries of one place."""
    data = bytes(100_000)
    made = archive(GOOD, ("archive/data/0", data))
    at = made.rindex(b"PK\x01\x02")
    end = made.index(b"PK\x05\x06")
    entry = made[at:end]
    entries = b"".join(entry.replace(b"archive/data/0", f"archive/data/{n}".encode()) for n in range(10))
    tail = bytearray(made[end:])
    tail[8:12] = struct.pack("<HH", 11, 11)
    tail[12:16] = struct.pack("<I", end - made.index(b"PK\x01\x02") + len(entries) - len(entry))
    assert "overlap" in str(refused_here(made[:at] + entries + bytes(tail), tmp_path))


def test_numbers_that_do_not_match_their_checksum(tmp_path: Path) -> None:
    torch.save({"g_ema": {"a": torch.full((64,), 3.25)}}, tmp_path / "given.pt")
    data = (tmp_path / "given.pt").read_bytes()
    broken = data.replace(struct.pack("<f", 3.25) * 8, struct.pack("<f", 3.5) * 8)
    assert "does not match its checksum" in str(refused_here(broken, tmp_path))


@pytest.mark.parametrize("name", ["模型", "café", "a b", "archive"])
def test_the_folder_in_a_zip_file_may_have_any_name(name: str, tmp_path: Path) -> None:
    network = rosinality_network(Shape(8))
    path = write_rosinality(tmp_path / f"given-{name}.pt", network)
    import_files([path], tmp_path / "given-model")
    assert (tmp_path / "given-model" / "generator.safetensors").exists()
