"""The instructions of pickles, of protocols 2 to 5; the others are refused.

Written from the descriptions in Python's own pickletools. Left out are those of protocols 0 and 1, the
extension registry, keyword arguments, buffers outside the file, and the ones that only tuples within
themselves need.
"""

import struct
from collections.abc import Callable
from pickletools import opcodes  # nosec B403  # a table of names, which reads no pickle

from gpu_ops.importers.reader.machine import Machine
from gpu_ops.importers.reader.nodes import Use, Value
from gpu_ops.importers.refusals import DamagedFile, ForbiddenContent

_NAMES = {ord(opcode.code): opcode.name for opcode in opcodes}
_STOP = ord(".")


def read_pickle(machine: Machine, at: int = 0) -> tuple[Value, int]:
    """The value of the pickle that begins at a byte, and the byte after its end."""
    machine.begin(at)
    while True:
        machine.spend()
        code = machine.number(1)
        if code == _STOP:
            return machine.result(), machine.at
        instruction = _INSTRUCTIONS.get(code)
        if instruction is None:
            name = _NAMES.get(code)
            if name is None:
                raise DamagedFile(f"byte {machine.at - 1} is no pickle instruction: 0x{code:02x}")
            raise ForbiddenContent(f"pickle instruction {name} at byte {machine.at - 1} is not read here")
        instruction(machine)


def _tuple(count: int) -> Callable[[Machine], None]:
    def operation(machine: Machine) -> None:
        machine.push(tuple(reversed([machine.pop() for _ in range(count)])))

    return operation


def _sized(width: int, *, text: bool = False) -> Callable[[Machine], None]:
    """Bytes or text after their length."""

    def operation(machine: Machine) -> None:
        data = machine.take(machine.number(width))
        machine.push(machine.text(data) if text else data.toreadonly())

    return operation


def _pushed(value: Value) -> Callable[[Machine], None]:
    return lambda machine: machine.push(value)


def _number(width: int) -> Callable[[Machine], None]:
    return lambda machine: machine.push(machine.number(width))


def _signed(machine: Machine) -> None:
    machine.push(int.from_bytes(machine.take(4), "little", signed=True))


def _long(machine: Machine) -> None:
    machine.push(int.from_bytes(machine.take(machine.number(1)), "little", signed=True))


def _float(machine: Machine) -> None:
    machine.push(struct.unpack(">d", machine.take(8))[0])


def _frame(machine: Machine) -> None:
    """Frames are for readers of streams; all that follows is here already."""
    size, begin = machine.number(8), machine.at
    machine.take(size)
    machine.at = begin


def _global(machine: Machine) -> None:
    machine.named(machine.line(), machine.line())


def _stack_global(machine: Machine) -> None:
    name, module = machine.pop(), machine.pop()
    machine.named(module, name)


def _reduce(machine: Machine) -> None:
    arguments, target = machine.pop(), machine.pop()
    machine.make(target, arguments, (Use.CALL, Use.TABLE))


def _new(machine: Machine) -> None:
    arguments, target = machine.pop(), machine.pop()
    machine.make(target, arguments, (Use.RECORD, Use.TABLE))


def _build(machine: Machine) -> None:
    state, target = machine.pop(), machine.pop()
    machine.build(target, state)
    machine.push(target)


def _append(machine: Machine) -> None:
    machine.extend([machine.pop()])


def _set_item(machine: Machine) -> None:
    value, key = machine.pop(), machine.pop()
    machine.fill([key, value])


_INSTRUCTIONS: dict[int, Callable[[Machine], None]] = {
    ord("N"): _pushed(None),
    0x88: _pushed(True),
    0x89: _pushed(False),
    ord(")"): _pushed(()),
    ord("K"): _number(1),
    ord("M"): _number(2),
    ord("J"): _signed,
    0x8A: _long,
    ord("G"): _float,
    ord("U"): _sized(1),  # Python 2's strings: taken as bytes
    ord("T"): _sized(4),
    ord("C"): _sized(1),
    ord("B"): _sized(4),
    0x8E: _sized(8),
    0x96: _sized(8),
    0x8C: _sized(1, text=True),
    ord("X"): _sized(4, text=True),
    0x8D: _sized(8, text=True),
    ord("}"): lambda machine: machine.push({}),
    ord("]"): lambda machine: machine.push([]),
    0x8F: lambda machine: machine.push([]),  # a set: nothing that is read here is in one
    ord("("): Machine.mark,
    ord("t"): lambda machine: machine.push(tuple(machine.since_mark())),
    0x85: _tuple(1),
    0x86: _tuple(2),
    0x87: _tuple(3),
    ord("a"): _append,
    ord("e"): lambda machine: machine.extend(machine.since_mark()),
    0x90: lambda machine: machine.extend(machine.since_mark()),
    ord("s"): _set_item,
    ord("u"): lambda machine: machine.fill(machine.since_mark()),
    ord("q"): lambda machine: machine.remember(machine.number(1)),
    ord("r"): lambda machine: machine.remember(machine.number(4)),
    0x94: Machine.memoize,
    ord("h"): lambda machine: machine.recall(machine.number(1)),
    ord("j"): lambda machine: machine.recall(machine.number(4)),
    0x95: _frame,
    ord("c"): _global,
    0x93: _stack_global,
    ord("R"): _reduce,
    0x81: _new,
    ord("b"): _build,
    ord("Q"): lambda machine: machine.persistent(machine.pop()),
}
