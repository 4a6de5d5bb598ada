"""What went wrong in a batch: its items that failed and its inputs that were refused, by error code."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from editq.client import Client
from storage.errors import OutputNotFound

JSON = dict[str, Any]
_SHOWN = 3


@dataclass
class Wrong:
    """All of one code. `refused`: they were no valid inputs; else they are items that did not succeed."""

    code: str
    refused: bool
    count: int = 0
    examples: list[JSON] = field(default_factory=list)

    def add(self, name: str, error: JSON) -> None:
        self.count += 1
        if len(self.examples) < _SHOWN:
            self.examples.append({"id": name, "detail": error.get("detail", "")})

    def as_json(self) -> JSON:
        return {"code": self.code, "refused": self.refused, "count": self.count, "examples": self.examples}


def wrong_of(client: Client, batch: JSON) -> list[Wrong]:
    """The most frequent first. Of a batch that has not ended, the codes are known and no items yet."""
    found: dict[tuple[str, bool], Wrong] = {}
    if "errors" in batch["files"]:
        for line in _lines(client, batch["id"], "errors"):
            _of(found, line["error"], refused=False).add(str(line.get("id")), line["error"])
    else:
        for code, count in batch["errors"].items():
            _of(found, {"code": code}, refused=False).count = count
    if "invalid" in batch["files"]:
        for line in _lines(client, batch["id"], "invalid"):
            name = f"line {line['n']}: {line['line'][:60]}"
            _of(found, line["error"], refused=True).add(name, line["error"])
    return sorted(found.values(), key=lambda wrong: (wrong.refused, -wrong.count, wrong.code))


def _of(found: dict[tuple[str, bool], Wrong], error: JSON, *, refused: bool) -> Wrong:
    code = str(error.get("code"))
    return found.setdefault((code, refused), Wrong(code, refused))


def _lines(client: Client, batch_id: str, role: str) -> Iterable[JSON]:
    try:
        yield from client.batch_lines(batch_id, role)
    except OutputNotFound:  # it has expired since
        return
