"""The state of a pickle machine that executes nothing: it notes what unpickling would have done.

A name outside the list of allowed ones is refused where it stands. Nothing recurses, and all work costs
steps, so a file cannot ask for more memory or time than its size and the limits allow. The instructions are
in instructions.py.
"""

from collections.abc import Callable, Mapping

from gpu_ops.importers.reader.nodes import Call, Global, Storage, Table, Use, Value, described
from gpu_ops.importers.refusals import DamagedFile, ForbiddenContent, LimitExceeded, shown

Persistent = Callable[[Value], Storage]
_PROTO = 0x80
_KEYS = (str, int, type(None))  # bool is an int


class Steps:
    """A purse that all machines of one file draw on."""

    def __init__(self, allowed: int) -> None:
        self.left = self.allowed = allowed

    def spend(self, count: int = 1) -> None:
        self.left -= count
        if self.left < 0:
            raise LimitExceeded(f"the file has more than {self.allowed} instructions, the most allowed")


class Machine:
    """Reads one pickle after another from data.

    allowed     the names that may be mentioned, and what for
    persistent  makes a storage of a persistent id; None refuses them
    """

    def __init__(
        self,
        data: memoryview,
        allowed: Mapping[str, Use],
        steps: Steps,
        persistent: Persistent | None = None,
    ) -> None:
        self._data, self.allowed, self._steps, self._persistent = data, allowed, steps, persistent
        self.at = 0
        self._stack: list[Value] = []
        self._marks: list[int] = []
        self._memo: dict[int, Value] = {}

    def begin(self, at: int) -> None:
        """Forget all, and go to a byte of the data where a pickle begins."""
        self.at, self._stack, self._marks, self._memo = at, [], [], {}
        start, version = self.number(1), self.number(1)
        if start != _PROTO or not 2 <= version <= 5:
            raise DamagedFile(f"no pickle of protocol 2 to 5 begins at byte {at}")

    def result(self) -> Value:
        if len(self._stack) != 1 or self._marks:
            raise DamagedFile(f"the pickle ends at byte {self.at} with values left over, or none")
        return self._stack[0]

    def spend(self, count: int = 1) -> None:
        self._steps.spend(count)

    # what instructions are made of

    def take(self, count: int) -> memoryview:
        """The next bytes of the file, not copied."""
        if count > len(self._data) - self.at:
            left = len(self._data) - self.at
            raise DamagedFile(f"at byte {self.at} the file promises {count} more bytes, and has {left}")
        self.at += count
        return self._data[self.at - count : self.at]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def line(self) -> str:
        """Text up to the end of a line."""
        piece = bytes(self._data[self.at : self.at + 512])
        end = piece.find(b"\n")
        if end < 0:
            raise DamagedFile(f"a name at byte {self.at} has no end")
        self.at += end + 1
        return self.text(memoryview(piece[:end]))

    def text(self, data: memoryview) -> str:
        try:
            return str(data, "utf-8", "surrogatepass")
        except UnicodeDecodeError:
            raise DamagedFile(f"the text before byte {self.at} is not UTF-8") from None

    def push(self, value: Value) -> None:
        self._stack.append(value)

    def pop(self) -> Value:
        if len(self._stack) <= (self._marks[-1] if self._marks else 0):
            raise DamagedFile(f"the pickle takes a value at byte {self.at - 1} where there is none")
        return self._stack.pop()

    def mark(self) -> None:
        self._marks.append(len(self._stack))

    def since_mark(self) -> list[Value]:
        if not self._marks:
            raise DamagedFile(f"the pickle needs a mark at byte {self.at - 1} where there is none")
        start = self._marks.pop()
        values = self._stack[start:]
        del self._stack[start:]
        return values

    def forbidden(self, what: str) -> ForbiddenContent:
        return ForbiddenContent(f"{what}, at byte {self.at}; a checkpoint needs no such thing")

    # names, and what is made of them

    def named(self, module: Value, name: Value) -> None:
        if not isinstance(module, str) or not isinstance(name, str):
            raise self.forbidden("the pickle builds a name of something that is not text")
        full = f"{module}.{name}"
        use = self.allowed.get(full)
        if use is None:
            raise self.forbidden(f"the pickle names {shown(full)}")
        self.push(Global(full, use))

    def make(self, target: Value, arguments: Value, uses: tuple[Use, ...]) -> None:
        if not isinstance(target, Global) or target.use not in uses or not isinstance(arguments, tuple):
            raise self.forbidden(f"the pickle would call {described(target)}")
        if target.use is not Use.TABLE:
            self.push(Call(target.name, arguments))
            return
        table = Table()
        for pairs in arguments:  # Python 2 and early torch write their pairs as one argument
            _fill(self, table, _flattened(self, pairs))
        self.push(table)

    def build(self, target: Value, state: Value) -> None:
        """The state of an object; the attributes of a dictionary say nothing that is needed."""
        if isinstance(target, Table):
            return
        if not isinstance(target, Call) or target.built:
            raise self.forbidden(f"the pickle would set the state of {described(target)}")
        target.state, target.built = state, True

    def persistent(self, key: Value) -> None:
        if self._persistent is None:
            raise self.forbidden("the pickle refers to something outside itself")
        self.push(self._persistent(key))

    # what lasts

    def remember(self, index: int) -> None:
        value = self.pop()
        self.push(value)
        self._memo[index] = value

    def recall(self, index: int) -> None:
        if index not in self._memo:
            raise DamagedFile(f"the pickle recalls value {index} at byte {self.at}, and never kept it")
        self.push(self._memo[index])

    def memoize(self) -> None:
        self.remember(len(self._memo))

    def extend(self, values: list[Value]) -> None:
        target = self.pop()
        if type(target) is not list:
            raise self.forbidden(f"the pickle would append to {described(target)}")
        target.extend(values)
        self.push(target)

    def fill(self, values: list[Value]) -> None:
        target = self.pop()
        if not isinstance(target, dict):
            raise self.forbidden(f"the pickle would set an item of {described(target)}")
        _fill(self, target, values)
        self.push(target)


def _fill(machine: Machine, table: dict[Value, Value], values: list[Value]) -> None:
    if len(values) % 2:
        raise DamagedFile("a dictionary of the pickle has a key without a value")
    for key, value in zip(values[::2], values[1::2], strict=True):
        if not isinstance(key, _KEYS):
            raise machine.forbidden(f"a dictionary has a key that is {described(key)}")
        table[key] = value


def _flattened(machine: Machine, pairs: Value) -> list[Value]:
    if isinstance(pairs, list):
        machine.spend(len(pairs))  # a list that is named twice is walked twice
    if not isinstance(pairs, list) or not all(isinstance(p, list | tuple) and len(p) == 2 for p in pairs):
        raise machine.forbidden("a dictionary is made of something other than pairs")
    return [value for pair in pairs for value in pair]
