"""Networks of stylegan2-ada-pytorch and stylegan3 within a pickle.

Each module is a call of one function with its class's source and its state. The source, which ordinary
loading executes, is not looked at.
"""

from collections.abc import Callable

from gpu_ops.importers.reader.contents import Contents, plain
from gpu_ops.importers.reader.nodes import Call, Storage, Value, described
from gpu_ops.importers.reader.tensors import torch_tensor
from gpu_ops.importers.refusals import DamagedFile, LayoutMismatch, LimitExceeded

PERSISTENT = "torch_utils.persistence._reconstruct_persistent_obj"
_MOST_MODULES = 2_000
_MOST_LEVELS = 12
_ATTRIBUTES = ("conv_clamp", "activation", "architecture", "bias_gain")


class StorageOf:
    """Reads the storages that lie within a pickle, each once."""

    def __init__(self, read: Callable[[memoryview], Storage]) -> None:
        self._read = read
        self._known: dict[int, tuple[memoryview, Storage]] = {}

    def __call__(self, data: memoryview) -> Storage:
        if id(data) not in self._known:
            self._known[id(data)] = (data, self._read(data))  # data is kept, so that its id stays its own
        return self._known[id(data)][1]


class PersistentReader:
    """Walks the modules of a network of torch_utils.persistence. storage_of reads a storage kept as bytes."""

    def __init__(self, storage_of: StorageOf) -> None:
        self._storage_of = storage_of
        self._modules = 0

    def read(self, root: Call) -> Contents:
        meta, state = _persistent_state(root, "the network")
        contents = Contents("persistent")
        contents.facts = {
            "class": plain(meta.get("class_name")),
            "version": plain(meta.get("version")),
            "kwargs": plain(state.get("_init_kwargs", {})),
            "attributes": {},
        }
        self._walk(state, "", contents, 0)
        return contents

    def _walk(self, state: dict[Value, Value], prefix: str, contents: Contents, level: int) -> None:
        self._modules += 1
        if self._modules > _MOST_MODULES or level > _MOST_LEVELS:
            raise LimitExceeded(
                f"the network has more than {_MOST_MODULES} modules, or {_MOST_LEVELS} levels"
            )
        for name in _ATTRIBUTES:
            if name in state:
                contents.facts["attributes"][prefix + name] = plain(state[name])
        for group in ("_parameters", "_buffers"):
            for name, value in _items(state, group, prefix):
                if value is None:
                    continue
                tensor = torch_tensor(value, self._storage_of)
                if tensor is None:
                    raise LayoutMismatch(f"{prefix}{name} is {described(value)}; a tensor was expected")
                contents.add(f"{prefix}{name}", tensor)
        for name, value in _items(state, "_modules", prefix):
            if value is not None:
                below = _persistent_state(value, f"{prefix}{name}")[1]
                self._walk(below, f"{prefix}{name}.", contents, level + 1)


def _persistent_state(value: Value, where: str) -> tuple[dict[Value, Value], dict[Value, Value]]:
    if not isinstance(value, Call) or value.name != PERSISTENT or len(value.arguments) != 1:
        raise LayoutMismatch(
            f"{where} is {described(value)}; a module of torch_utils.persistence was expected"
        )
    meta = value.arguments[0]
    if not isinstance(meta, dict) or meta.get("type") != "class" or not isinstance(meta.get("state"), dict):
        raise DamagedFile(f"{where} has no type 'class' with a state, as version 6 of persistence has")
    return meta, meta["state"]


def _items(state: dict[Value, Value], group: str, prefix: str) -> list[tuple[str, Value]]:
    found = state.get(group)
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        raise DamagedFile(f"{prefix or 'the network'} has no dictionary {group}")
    return list(found.items())
