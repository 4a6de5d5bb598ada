"""Hostile, broken and wrong files: each is refused by name, nothing of it runs, and nothing stays behind."""

import gzip
import io
import os
import pickle
import random
import stat
import struct
import subprocess
import sys
import tempfile
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from importers_files import (
    Persistent,
    published_modules,
    write_persistent,
    write_rosinality,
    write_tensorflow,
)
from importers_hostile import (
    RUNNING,
    Runs,
    legacy,
    pickled,
    state,
    storage_id,
    tensor,
    text,
    torch_file_that_runs,
    zipped,
)
from importers_networks import Shape, persistent_network, rosinality_network, tensorflow_network

from gpu_ops.importers.importing import import_files
from gpu_ops.importers.limits import Limits
from gpu_ops.importers.reader.recognise import read_contents
from gpu_ops.importers.refusals import (
    CheckpointRefused,
    DamagedFile,
    ForbiddenContent,
    LayoutMismatch,
    LimitExceeded,
    UnknownFormat,
)

ONE = b"K\x01\x85"  # the tuple (1,)


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    return tmp_path / "canary"


@pytest.fixture(autouse=True)
def _leaves_nothing(tmp_path: Path, canary: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    """No test of this file may leave a canary, a model, a temporary folder or a process behind."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    yield
    assert not canary.exists()
    assert not list(temporary.iterdir())
    assert {path.name for path in tmp_path.iterdir() if not path.name.startswith("given")} == {"temporary"}


def refused(data: bytes, tmp_path: Path, limits: Limits | None = None) -> CheckpointRefused:
    """Import a file of these bytes, and return what it was refused for."""
    path = tmp_path / "given.pkl"
    path.write_bytes(data)
    with pytest.raises(CheckpointRefused) as refusal:
        import_files([path], tmp_path / "model", limits=limits)
    assert str(refusal.value).startswith("given.pkl: ")
    assert str(refusal.value).isprintable()
    assert len(str(refusal.value)) < 600
    return refusal.value


def refused_here(data: bytes, folder: Path) -> CheckpointRefused:
    """Read bytes as the reading process does, and return what they were refused for: quicker by a process."""
    with pytest.raises(CheckpointRefused) as refusal:
        in_this_process(data, folder)
    assert str(refusal.value).isprintable()
    assert len(str(refusal.value)) < 600
    return refusal.value


def in_this_process(data: bytes, folder: Path) -> None:
    path = folder / "given-here.bin"
    path.write_bytes(data)
    with path.open("rb") as file:
        read_contents(file, memoryview(data), Limits())


# what would execute something


@pytest.mark.parametrize("name", RUNNING)
@pytest.mark.parametrize("kind", ["pickle", "zip", "before torch 1.6"])
def test_nothing_runs(name: str, kind: str, tmp_path: Path, canary: Path) -> None:
    data = RUNNING[name](canary)
    if kind == "zip":
        data = zipped(data)
    elif kind != "pickle":
        data = legacy(data, [])
    refusal = refused(data, tmp_path)
    assert isinstance(refusal, ForbiddenContent)
    assert "names" in str(refusal) or "instruction" in str(refusal)


@pytest.mark.parametrize("name", RUNNING)
def test_ordinary_unpickling_would_run_them(name: str, tmp_path: Path, canary: Path) -> None:
    """Or the absent canary would prove nothing."""
    path = tmp_path / "given.pkl"
    path.write_bytes(RUNNING[name](canary))
    read = "import pickle, sys; pickle.load(open(sys.argv[1], 'rb'))"
    subprocess.run([sys.executable, "-c", read, path], check=False, stderr=subprocess.DEVNULL, timeout=60)
    assert canary.exists()
    canary.unlink()


def test_a_pickle_within_a_weight_of_a_network_does_not_run(tmp_path: Path, canary: Path) -> None:
    """A weight's storage is a file of torch.save by itself; this one would execute a command."""
    hostile = torch_file_that_runs(canary)
    with published_modules() as published:
        root = Persistent(published.reconstruct, "", "Generator", _init_kwargs={})
        storage = Runs(torch.storage._load_from_bytes, hostile)
        root.state["_parameters"]["weight"] = Runs(
            torch._utils._rebuild_tensor_v2, storage, 0, (1,), (1,), False, {}
        )
        data = pickle.dumps({"G_ema": root})
    refusal = refused(data, tmp_path)
    assert isinstance(refusal, ForbiddenContent)
    assert "names 'posix.system'" in str(refusal)
    torch.storage._load_from_bytes(hostile)  # which ordinary unpickling would have called
    assert canary.exists()
    canary.unlink()


@pytest.mark.parametrize(
    "module",
    [
        "torch.load",
        "torch.storage._load_from_bytes",
        "torch.jit.load",
        "torch.serialization.load",
        "torch._utils._rebuild_sparse_tensor",
        "torch.nn.modules.linear.Linear",
        "numpy.load",
        "numpy.core.multiarray._reconstruct.__globals__",
        "builtins.getattr",
        "builtins.__import__",
        "codecs.open",
        "collections.OrderedDict.__init__",
        "copyreg._reconstructor",
        "functools.partial",
        "importlib.import_module",
        "torch_utils.persistence._reconstruct_persistent_obj",
        "dnnlib.tflib.network.Network",
        "",
    ],
)
def test_a_file_of_torch_may_not_name(module: str, tmp_path: Path) -> None:
    module, _, name = module.rpartition(".")
    data = zipped(pickled(text(module), text(name), b"\x93", protocol=4))
    assert f"names '{module}.{name}'" in str(refused_here(data, tmp_path))


@pytest.mark.parametrize(
    ("pieces", "says"),
    [
        ([b"K\x01", text("system"), b"\x93"], "builds a name of something that is not text"),
        ([text("os"), b"C\x06system\x93"], "builds a name of something that is not text"),
        ([b"ccollections\nOrderedDict\n", text("os"), b"\x93"], "builds a name of something"),
        ([b"cnumpy\nndarray\n)R"], "would call 'numpy.ndarray'"),
        ([b"cnumpy\ndtype\n)\x81"], "would call 'numpy.dtype'"),
        ([text("system"), b")R"], "would call 'system'"),
        ([b"cnumpy\ndtype\n}b"], "would set the state of 'numpy.dtype'"),
        ([b"]}b"], "would set the state of a value of type list"),
        ([b"cnumpy\ndtype\n)R}b}b"], "would set the state of 'numpy.dtype'"),
        ([b"cnumpy\ndtype\n)RK\x01a"], "would append to 'numpy.dtype'"),
        ([b"}", text("x"), b"a"], "would append to a value of type dict"),
        ([b"]K\x01K\x01s"], "would set an item of a value of type list"),
        ([b"}(K\x01\x85K\x02u"], "a dictionary has a key that is a value of type tuple"),
        ([text("0"), b"Q"], "refers to something outside itself"),
        ([b"P0\n"], "PERSID"),
        ([b"\x82\x01"], "EXT1"),
        ([b"cnumpy\ndtype\n)}\x92"], "NEWOBJ_EX"),
        ([b"\x97"], "NEXT_BUFFER"),
        ([b"I1\n"], "INT"),
        ([b"N2"], "DUP"),
    ],
)
def test_what_a_pickle_may_not_do(pieces: list[bytes], says: str, tmp_path: Path) -> None:
    refusal = refused_here(pickled(*pieces), tmp_path)
    assert isinstance(refusal, ForbiddenContent)
    assert says in str(refusal)


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (storage_id(storage_id(text("0"), b"K\x01"), b"K\x01"), "the key a value of type Storage"),
        (storage_id(text("../../etc/passwd"), b"K\x01"), "the key '../../etc/passwd'"),
        (
            storage_id(text("0"), b"K\x01", kind=storage_id(text("0"), b"K\x01")),
            "kind a value of type Storage",
        ),
        (storage_id(text("0"), b"K\x01", kind=b"cnumpy\nndarray\n"), "kind 'numpy.ndarray'"),
        (
            storage_id(text("0"), b"K\x01", kind=b"ccollections\nOrderedDict\n)R"),
            "kind a value of type Table",
        ),
        (text("0") + b"Q", "a persistent id is '0'"),
        (b"(" + text("module") + b"NNNNtQ", "a persistent id is a value of type tuple"),
        (storage_id(text("0"), storage_id(text("0"), b"K\x01")), "declares a value of type Storage numbers"),
        (storage_id(text("0"), b"J\xff\xff\xff\xff"), "declares -1 numbers"),
        (storage_id(text("1"), b"K\x01"), "no entry 'data/1'"),
        (storage_id(text("0"), b"M\xff\xff"), "has 4 bytes, not 65535 F32"),
    ],
)
@pytest.mark.parametrize("deep", [False, True], ids=["alone", "in a tensor"])
def test_persistent_ids_that_are_no_storage(made: bytes, says: str, deep: bool, tmp_path: Path) -> None:
    body = state(text("a"), tensor(made, ONE, ONE)) if deep else pickled(made)
    assert says in str(refused_here(zipped(body, {"0": b"\0\0\0\0"}), tmp_path))


# bombs


@pytest.mark.parametrize(
    ("shape", "stride", "count", "error"),
    [
        (b"J\xff\xff\xff\x7fJ\xff\xff\xff\x7f\x86", b"K\x00K\x00\x86", b"K\x01", LimitExceeded),
        (b"J\xff\xff\xff\x7f\x85", b"K\x00\x85", b"K\x01", LimitExceeded),
        (b"J\xff\xff\xff\x7f\x85", b"K\x01\x85", b"K\x01", DamagedFile),
        (b"\x8a\x10" + b"\xff" * 15 + b"\x7f\x85", b"K\x00\x85", b"K\x01", DamagedFile),
        (b"(" + b"K\x02" * 100_000 + b"t", b"(" + b"K\x00" * 100_000 + b"t", b"K\x01", LimitExceeded),
        (b"J\xff\xff\xff\xff\x85", ONE, b"K\x01", DamagedFile),
        (ONE, ONE, b"\x8a\x07\xff\xff\xff\xff\xff\xff\x7f", DamagedFile),
        (b"K\x02\x85", b"K\x03\x85", b"K\x01", DamagedFile),
        (b"K\x02K\x01\x86", ONE, b"K\x01", DamagedFile),
    ],
)
def test_a_tensor_that_declares_more_than_is_there(
    shape: bytes, stride: bytes, count: bytes, error: type, tmp_path: Path
) -> None:
    made = state(text("a"), tensor(storage_id(text("0"), count), shape, stride))
    assert isinstance(refused_here(zipped(made, {"0": b"\0\0\0\0"}), tmp_path), error)


def test_one_storage_named_many_times_counts_many_times(tmp_path: Path) -> None:
    """10,000 tensors of a megabyte each, all of them the same megabyte."""
    first = tensor(storage_id(text("0"), b"J\x00\x00\x04\x00"), b"J\x00\x00\x04\x00\x85", ONE)
    items = [text("a"), first + b"\x94"]
    for index in range(10_000):
        items += [text(f"a{index}"), b"h\x00"]
    made = zipped(pickled(b"}(", *items, b"u", protocol=4), {"0": bytes(1 << 20)})
    assert "bytes together" in str(refused(made, tmp_path))


@pytest.mark.parametrize(
    ("piece", "error"),
    [
        (b"\x8e" + struct.pack("<Q", 1 << 62), DamagedFile),
        (b"B\xff\xff\xff\xff", DamagedFile),
        (b"\x8d" + struct.pack("<Q", 1 << 40) + b"x", DamagedFile),
        (b"\x96" + struct.pack("<Q", 1 << 50), DamagedFile),
        (b"\x95" + struct.pack("<Q", 1 << 60), DamagedFile),
        (
            b"Nr\xff\xff\xff\xff",
            UnknownFormat,
        ),  # the highest place of the memo: no room is made for the others
        (b"j\xff\xff\xff\xff", DamagedFile),
    ],
)
def test_a_length_that_is_not_there(piece: bytes, error: type, tmp_path: Path) -> None:
    limits = Limits(memory_bytes=64 << 20)
    assert isinstance(refused(pickled(piece), tmp_path, limits), error)


def test_tuples_that_double_do_not_grow(tmp_path: Path) -> None:
    """2 to the 5,000 values, if they were walked; also where they are walked, in a network's arguments."""
    doubled = b")\x94" + b"".join(
        b"j" + struct.pack("<I", n) * 1 + b"j" + struct.pack("<I", n) + b"\x86\x94" for n in range(5_000)
    )
    assert isinstance(refused(pickled(doubled), tmp_path), DamagedFile | UnknownFormat)
    twice: list[object] = ["x"]
    for _ in range(60):
        twice = [twice, twice]
    network = persistent_network(Shape(8))
    path = write_persistent(
        tmp_path / "given.pkl", network, canary=tmp_path / "canary", mapping_kwargs2=twice
    )
    import_files([path], tmp_path / "given-model")
    assert (tmp_path / "given-model" / "generator.safetensors").exists()


def test_more_instructions_than_are_allowed(tmp_path: Path) -> None:
    data = pickled(b"]" * 50_000)
    assert "more than 10000 instructions" in str(refused(data, tmp_path, Limits(pickle_steps=10_000)))


def test_a_list_that_is_copied_again_and_again_costs_again(tmp_path: Path) -> None:
    """A dictionary is made 1,000 times of one list of 10,000 pairs."""
    pairs = b"](" + b"(NNt" * 10_000 + b"e\x94"
    again = b"ccollections\nOrderedDict\nh\x00\x85R" * 1_000
    refusal = refused(pickled(pairs, again), tmp_path, Limits(pickle_steps=1_000_000))
    assert "more than 1000000 instructions" in str(refusal)


def test_more_memory_than_is_allowed(tmp_path: Path) -> None:
    data = pickled(b"]" * 1_500_000)
    refusal = refused(data, tmp_path, Limits(memory_bytes=32 << 20))
    assert isinstance(refusal, LimitExceeded)
    assert "32 MiB of memory" in str(refusal)


def test_more_time_than_is_allowed(tmp_path: Path) -> None:
    refusal = refused(pickled(b"]" * 2_000_000), tmp_path, Limits(time_s=0.01))
    assert isinstance(refusal, LimitExceeded)
    assert "longer than 0.01 s" in str(refusal)


def test_more_computing_than_is_allowed(tmp_path: Path) -> None:
    """Keys of one hash: each is compared with all before it, 100,000 times 50,000 in all."""
    step = (1 << 61) - 1
    keys = b"".join(
        b"\x8a\x0a" + (step * (n + 1)).to_bytes(10, "little", signed=True) + b"N" for n in range(100_000)
    )
    refusal = refused(pickled(b"}(", keys, b"u"), tmp_path, Limits(cpu_s=1))
    assert isinstance(refusal, LimitExceeded)
    assert "1 s of computing" in str(refusal)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "given.pkl"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # a hole: takes no room
    with pytest.raises(LimitExceeded, match="1099511627776 bytes; 4294967296 at most"):
        import_files([path], tmp_path / "model")


# recursion


def test_nesting_without_end(tmp_path: Path) -> None:
    for body in (b")" + b"\x85" * 60_000, b"]" * 60_000 + b"a" * 59_999, b"N" + b"\x85" * 60_000 + b"Q"):
        assert isinstance(refused(pickled(body), tmp_path), CheckpointRefused)
    deep = pickled(b"}(", text("model_state_dict"), b"}(", text("x"), b")" + b"\x85" * 60_000, b"uu")
    assert isinstance(refused(zipped(deep), tmp_path), LayoutMismatch)


def test_a_list_that_holds_itself(tmp_path: Path) -> None:
    loop: list[object] = []
    loop.append(loop)
    assert isinstance(refused(pickle.dumps(loop), tmp_path), UnknownFormat)
    assert isinstance(refused(pickle.dumps({"G_ema": loop}), tmp_path), UnknownFormat)


def test_a_network_within_itself(tmp_path: Path, canary: Path) -> None:
    with published_modules() as published:
        root = Persistent(published.reconstruct, "", "Generator", _init_kwargs={})
        root.state["_modules"]["synthesis"] = Persistent(published.reconstruct, "", "Layer")
        root.state["_modules"]["synthesis"].state = root.state
        data = pickle.dumps({"G_ema": root})
    assert "levels" in str(refused(data, tmp_path))


# files that end early, are broken, or are something else


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
