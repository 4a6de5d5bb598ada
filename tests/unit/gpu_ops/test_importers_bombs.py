"""Files that want more memory, time or depth than there is: refused by name, and soon."""

import pickle
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from importers_files import Persistent, published_modules, write_persistent
from importers_hostile import (
    pickled,
    state,
    storage_id,
    tensor,
    text,
    zipped,
)
from importers_networks import Shape, persistent_network
from importers_refused import leaving_nothing, refused, refused_here

from gpu_ops.importers.importing import import_files
from gpu_ops.importers.limits import Limits
from gpu_ops.importers.refusals import (
    CheckpointRefused,
    DamagedFile,
    LayoutMismatch,
    LimitExceeded,
    UnknownFormat,
)

ONE = b"K\x01\x85"  # the tuple (1,)


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    return tmp_path / "canary"


@pytest.fixture(autouse=True)
def _leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with leaving_nothing(tmp_path, monkeypatch):
        yield


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
