"""Files that would execute something when loaded as usual: nothing runs, and each is refused by name."""

import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from importers_files import Persistent, published_modules
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
from importers_refused import leaving_nothing, refused, refused_here

from gpu_ops.importers.refusals import (
    ForbiddenContent,
)

ONE = b"K\x01\x85"  # the tuple (1,)


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    return tmp_path / "canary"


@pytest.fixture(autouse=True)
def _leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with leaving_nothing(tmp_path, monkeypatch):
        yield


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
