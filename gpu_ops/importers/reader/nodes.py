"""What a pickle becomes here: inert values. Nothing in this file, or made from it, can be called."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from gpu_ops.importers.refusals import shown

Value = Any  # None, bool, int, float, str, memoryview, tuple, list, dict, or a node of this file


class Use(Enum):
    """What a pickle may do with a name that it mentions."""

    CALL = "call it"  # becomes a Call
    TABLE = "make a dictionary of it"  # becomes a Table
    RECORD = "make an object of it"  # becomes a Call without arguments, with a state
    NAME = "mention it"  # stays a Global


@dataclass(frozen=True, slots=True)
class Global:
    """A name that the pickle mentions; nothing is looked up under it."""

    name: str  # module and name, "collections.OrderedDict"
    use: Use


@dataclass(slots=True, eq=False)
class Call:
    """What ordinary unpickling would have called, with what, and the state it would have set."""

    name: str
    arguments: tuple[Value, ...] = ()
    state: Value = None
    built: bool = False


class Table(dict[Any, Any]):
    """A dictionary of a class of its own (OrderedDict, EasyDict)."""


@dataclass(slots=True, eq=False)
class Storage:
    """Numbers of one kind; torch's tensors are views of it. data is set once its place is known."""

    kind: str  # a key of dtypes.STORAGES
    count: int
    data: memoryview | None = field(default=None, repr=False)


def described(value: Value) -> str:
    """A value for a message: what a pickle names, or shown(value)."""
    return shown(value.name) if isinstance(value, Global | Call) else shown(value)
