"""What is being written: open shards and lines, by name. All of it can be kept, and taken up again."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from workers.datasets.lines import Lines
from workers.datasets.sink import Sink
from workers.datasets.tar import TarShards

Kept = dict[str, NDArray[np.uint8]]
_TAR, _LINES = "tar", "lines"


class Drafts:
    def __init__(self, sink: Sink, shard_bytes: int) -> None:
        self.sink, self._shard_bytes = sink, shard_bytes
        self._tars: dict[str, TarShards] = {}
        self._lines: dict[str, Lines] = {}

    def tar(self, name: str) -> TarShards:
        """The shards of this name, begun where there are none yet."""
        if name not in self._tars:
            self._tars[name] = TarShards(name, self.sink, self._shard_bytes)
        return self._tars[name]

    def lines(self, name: str) -> Lines:
        """The lines of this name, begun where there are none yet."""
        if name not in self._lines:
            self._lines[name] = Lines()
        return self._lines[name]

    def finish(self) -> None:
        """Put the open shards."""
        for tar in self._tars.values():
            tar.finish()

    def keep(self) -> Kept:
        """Copies, as bytes: shards under tar.<number>.<name>, lines under lines.<count>.<name>."""
        tars = {f"{_TAR}.{tar.number}.{name}": tar.content() for name, tar in self._tars.items()}
        lines = {f"{_LINES}.{each.count}.{name}": each.content() for name, each in self._lines.items()}
        return {name: np.frombuffer(content, np.uint8) for name, content in (tars | lines).items()}

    def restore(self, kept: Mapping[str, NDArray[np.uint8]]) -> None:
        for label, content in kept.items():
            what, number, name = label.split(".", 2)
            if what == _TAR:
                self.tar(name).restore(int(number), content.tobytes())
            else:
                self.lines(name).restore(int(number), content.tobytes())

    def close(self) -> None:
        """Let go of all that was not put."""
        for tar in self._tars.values():
            tar.close()
        for lines in self._lines.values():
            lines.close()
