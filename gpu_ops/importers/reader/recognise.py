"""Which kind of file this is, by its first bytes and by what it holds; and what to take from it."""

from typing import BinaryIO

from gpu_ops.importers.limits import Limits
from gpu_ops.importers.reader.allowed import PICKLE
from gpu_ops.importers.reader.contents import Contents, described_keys
from gpu_ops.importers.reader.instructions import read_pickle
from gpu_ops.importers.reader.machine import Machine, Steps
from gpu_ops.importers.reader.nodes import Call, Storage, Value, described
from gpu_ops.importers.reader.npy import NPY_START, read_npy
from gpu_ops.importers.reader.onnx import ONNX_START, read_onnx
from gpu_ops.importers.reader.persistence import PERSISTENT, PersistentReader, StorageOf
from gpu_ops.importers.reader.tensorflow import NETWORK, read_tensorflow
from gpu_ops.importers.reader.tensors import Tensor, numpy_array, torch_tensor
from gpu_ops.importers.reader.torch_file import LEGACY_START, read_legacy, read_storage, read_zip
from gpu_ops.importers.refusals import DamagedFile, ForbiddenContent, LayoutMismatch, UnknownFormat

_PICKLE_START = tuple(bytes([0x80, version]) for version in (2, 3, 4, 5))
_OTHERS = {
    b"\x1f\x8b": "a gzip file",
    b"BZh": "a bzip2 file",
    b"\xfd7zXZ": "an xz file",
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"\x89HDF": "an HDF5 file",
    b"<": "a web page",
    b"version https://git-lfs": "a pointer of Git LFS, not the file itself",
}
_STATES = ("model_state_dict", "state_dict")


def read_contents(file: BinaryIO, data: memoryview, limits: Limits) -> Contents:
    """All that is taken from a file. Raises CheckpointRefused."""
    start = bytes(data[:32])
    steps = Steps(limits.pickle_steps)
    if start.startswith(b"PK\3\4"):
        contents = _torch_contents(read_zip(file, data, steps))
    elif start.startswith(LEGACY_START):
        contents = _torch_contents(read_legacy(data, steps))
    elif start.startswith(NPY_START):
        contents = read_npy(data)
    elif start.startswith(ONNX_START):
        contents = read_onnx(data, steps)
    elif start.startswith(_PICKLE_START):
        contents = _pickle_contents(data, steps)
    else:
        kind = next((name for first, name in _OTHERS.items() if start.startswith(first)), "unknown")
        raise UnknownFormat(
            f"the file is {kind} (it begins with {start[:8].hex(' ')}); a pickle of protocol 2 to 5, "
            "a file of torch.save, an .npy file or an .onnx file was expected"
        )
    contents.check(limits)
    return contents


def _pickle_contents(data: memoryview, steps: Steps) -> Contents:
    root, end = read_pickle(Machine(data, PICKLE, steps))
    if end != len(data):
        raise DamagedFile(f"the pickle ends at byte {end}, and {len(data) - end} more bytes follow")
    network = _generator(root)
    if network.name == NETWORK:
        return read_tensorflow(network)
    return PersistentReader(StorageOf(lambda raw: read_storage(raw, steps))).read(network)


def _generator(root: Value) -> Call:
    """The network to use: G_ema of a dictionary, Gs of (G, D, Gs), or the only one that there is."""
    if isinstance(root, dict) and "G_ema" in root:
        root = root["G_ema"]
    elif isinstance(root, tuple | list) and len(root) == 3:
        root = root[2]
    if isinstance(root, Call) and root.name in (PERSISTENT, NETWORK):
        return root
    found = f"a dictionary with {described_keys(root)}" if isinstance(root, dict) else described(root)
    raise UnknownFormat(
        f"the pickle holds {found}; a dictionary with G_ema, or TensorFlow's (G, D, Gs), was expected"
    )


def _torch_contents(root: Value) -> Contents:
    if not isinstance(root, dict):
        raise UnknownFormat(f"the file holds {described(root)}; a dictionary was expected")
    if isinstance(root.get("g_ema"), dict):
        contents = _state("g_ema", root["g_ema"])
        average = None if root.get("latent_avg") is None else _tensor(root["latent_avg"], "latent_avg")
        if average is not None:
            contents.add("latent_avg", average)
        return contents
    for name in _STATES:
        if isinstance(root.get(name), dict):
            return _state("state_dict", root[name])
    if root and all(isinstance(value, Call) for value in root.values()):
        return _state("state_dict", root)
    raise UnknownFormat(
        f"the file holds a dictionary with {described_keys(root)}; g_ema, model_state_dict, state_dict, "
        "or tensors alone were expected"
    )


def _state(format: str, table: dict[Value, Value]) -> Contents:
    contents = Contents(format)
    for name, value in table.items():
        contents.add(name, _tensor(value, name))
    return contents


def _tensor(value: Value, name: Value) -> Tensor:
    tensor = torch_tensor(value, _no_storage) or numpy_array(value)
    if tensor is None:
        raise LayoutMismatch(f"{described(name)} is {described(value)}; a tensor was expected")
    return tensor


def _no_storage(_: memoryview) -> Storage:
    raise ForbiddenContent("a file of torch.save has a storage within its pickle")
