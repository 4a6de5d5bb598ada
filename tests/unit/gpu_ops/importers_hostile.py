"""Files that want something else than to be read: pickles, zip files and rows of pickles, made by hand.

Those that would execute something leave a canary: a file that appears when ordinary unpickling reads them.
"""

import io
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import torch

Maker = Callable[[Path], bytes]  # the canary's path -> a file


class Runs:
    """Pickles as a call of a function with arguments."""

    def __init__(self, function: object, *arguments: object) -> None:
        self._call = (function, arguments)

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return self._call


def touch(canary: Path) -> str:
    return f"touch {canary}"


def text(value: str) -> bytes:
    """A short text, in a pickle."""
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def pickled(*pieces: bytes, protocol: int = 4) -> bytes:
    return bytes([0x80, protocol]) + b"".join(pieces) + b"."


# names that execute something; each leaves the canary under ordinary unpickling


def os_system(canary: Path) -> bytes:
    return pickled(b"cos\nsystem\n", text(touch(canary)), b"\x85R")


def builtins_eval(canary: Path) -> bytes:
    return pickled(b"cbuiltins\neval\n", text(f"open({str(canary)!r}, 'w').close()"), b"\x85R")


def name_built_of_texts(canary: Path) -> bytes:
    """STACK_GLOBAL of two texts, the second of which comes out of the memo."""
    return pickled(text("system"), b"\x940", text("os"), b"h\x00\x93", text(touch(canary)), b"\x85R")


def name_with_dots(canary: Path) -> bytes:
    """Protocol 4 looks up attributes of attributes."""
    return pickled(text("pathlib"), text("Path.touch"), b"\x93", _path(canary), b"\x85R")


def _path(canary: Path) -> bytes:
    return b"cpathlib\nPosixPath\n" + text(str(canary)) + b"\x85R"


def instance(canary: Path) -> bytes:
    """INST, an instruction of protocol 0, calls too."""
    return pickled(b"(", text(touch(canary)), b"ios\nsystem\n")


def object_of_class(canary: Path) -> bytes:
    """OBJ, an instruction of protocol 1, calls too."""
    return pickled(b"(cos\nsystem\n", text(touch(canary)), b"o")


def within_a_dictionary_of_networks(canary: Path) -> bytes:
    return pickle.dumps({"G": None, "G_ema": {"x": Runs(_system(), touch(canary))}})


def _system() -> object:
    import os

    return os.system


def as_state(canary: Path) -> bytes:
    """BUILD updates the dictionary of whatever it is given, after the call."""
    return pickled(b"cos\nsystem\n", text(touch(canary)), b"\x85R}b")


def torch_file_that_runs(canary: Path) -> bytes:
    """A file of torch.save, as it was before torch 1.6, whose value is a call."""
    file = io.BytesIO()
    torch.save(Runs(_system(), touch(canary)), file, _use_new_zipfile_serialization=False)
    return file.getvalue()


RUNNING: dict[str, Maker] = {
    maker.__name__: maker
    for maker in (
        os_system,
        builtins_eval,
        name_built_of_texts,
        name_with_dots,
        instance,
        object_of_class,
        within_a_dictionary_of_networks,
        as_state,
    )
}


# files of torch.save


def zipped(pickle_bytes: bytes, storages: dict[str, bytes] | None = None, folder: str = "archive") -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(f"{folder}/data.pkl", pickle_bytes)
        archive.writestr(f"{folder}/byteorder", "little")
        for key, data in (storages or {}).items():
            archive.writestr(f"{folder}/data/{key}", data)
    return file.getvalue()


def legacy(pickle_bytes: bytes, keys: list[str], storages: bytes = b"") -> bytes:
    parts = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})
    return (
        b"".join(pickle.dumps(part, protocol=2) for part in parts)
        + pickle_bytes
        + pickle.dumps(keys, protocol=2)
        + storages
    )


def storage_id(key: bytes, count: bytes, kind: bytes = b"ctorch\nFloatStorage\n") -> bytes:
    """The persistent id ("storage", kind, key, "cpu", count), and the instruction that asks for it."""
    return b"(" + text("storage") + kind + key + text("cpu") + count + b"tQ"


def tensor(storage: bytes, shape: bytes, stride: bytes, offset: bytes = b"K\x00") -> bytes:
    rebuild = b"ctorch._utils\n_rebuild_tensor_v2\n("
    return rebuild + storage + offset + shape + stride + b"\x89ccollections\nOrderedDict\n)RtR"


def state(*items: bytes) -> bytes:
    """A pickle of a dictionary of keys and values."""
    return pickled(b"}(", *items, b"u", protocol=2)
