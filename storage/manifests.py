"""Manifests: the inputs of a batch, one a line. Read as a stream, each line judged by itself.

A line is a JSON object (or a row of a CSV with a header):

    {"id": "car-17", "key": "lot/17.jpg"}                         an object of the bucket
    {"image": "<id of an uploaded picture>"}
    {"seed": 17}                                                  a sample of the model
    {"file": "<id of an uploaded file>", "at": 512, "bytes": 9000} a part of a file, such as a tar
    {..., "strengths": {"<id of a vector of the spec>": 0.5}}     of this item alone

What was read, and looked up, is kept in the same form with `n`, the line's number from 1, and where the bytes
lie. Such lines, and those of an errors manifest, may be sent again: `n`, `error` and what was looked up are
read over.
"""

import csv
import hashlib
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from storage.batch_specs import ITEM_ID
from storage.errors import EditqError, InvalidInput
from storage.sources import checked_source_key

MAX_LINE_BYTES = 16 << 10
SOURCES = ("image", "key", "seed", "file")
LOOKED_UP = ("n", "error", "object", "sha256")
_MEMBERS = frozenset({"id", *SOURCES, "at", "bytes", "strengths", *LOOKED_UP})
_IDENTIFIER = re.compile(r"[0-9a-f]{32}")
_MAX_SEED = 2**32 - 1
_MAX_STRENGTH = 10.0
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")

Entry = dict[str, Any]


class Refused(InvalidInput):
    """A line is not as it should be."""

    code = "invalid_item"


def lines_of(
    blocks: Iterable[bytes], max_line_bytes: int = MAX_LINE_BYTES
) -> Iterator[tuple[int, bytes | None]]:
    """(number from 1, line without its end); None for one that is too long, of which no more is kept."""
    rest, number, skipping = b"", 0, False
    for block in blocks:
        rest += block
        *whole, rest = rest.split(b"\n")
        for line in whole:
            number += 1
            yield number, None if skipping or len(line) > max_line_bytes else line.rstrip(b"\r")
            skipping = False
        if len(rest) > max_line_bytes:
            rest, skipping = b"", True
    if rest or skipping:
        yield number + 1, None if skipping or len(rest) > max_line_bytes else rest.rstrip(b"\r")


def jsonl_entries(blocks: Iterable[bytes]) -> Iterator[tuple[int, bytes, Entry | EditqError]]:
    """(line's number, the line, what it says or what is wrong with it); empty lines are passed over."""
    for number, line in lines_of(blocks):
        if line is None:
            yield number, b"", Refused("The line is too long.", expected=f"at most {MAX_LINE_BYTES} bytes")
        elif line.strip():
            yield number, line, judged(number, partial(_object, line))


def csv_entries(blocks: Iterable[bytes]) -> Iterator[tuple[int, bytes, Entry | EditqError]]:
    """The same of a CSV: its first line names the columns; `strengths.<vector>` is a strength."""
    header: list[str] | None = None
    for number, line in lines_of(blocks):
        if line is None:
            yield number, b"", Refused("The line is too long.", expected=f"at most {MAX_LINE_BYTES} bytes")
            continue
        if not line.strip():
            continue
        try:
            row = next(csv.reader(io.StringIO(line.decode("utf-8-sig"))))
        except (UnicodeDecodeError, csv.Error, StopIteration):
            yield number, line, Refused("The line is no CSV in UTF-8.")
            continue
        if header is None:
            header = [name.strip() for name in row]
            continue
        yield number, line, judged(number, partial(_row, header, row))


def judged(number: int, read: Callable[[], Any]) -> Entry | EditqError:
    """What `read` gives, checked; or what is wrong with it."""
    try:
        return {"n": number, **checked_entry(read())}
    except EditqError as error:
        return error


def _object(line: bytes) -> Any:
    try:
        return _DECODER.decode(line.decode())
    except (ValueError, RecursionError):
        raise Refused("The line is no JSON.", expected="a JSON object in UTF-8") from None


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number")


_DECODER = json.JSONDecoder(parse_constant=_no_constant)


def _row(header: list[str], row: list[str]) -> Entry:
    if len(row) != len(header):
        raise Refused(f"The line has {len(row)} columns.", expected=f"{len(header)}: {', '.join(header)}")
    entry: Entry = {}
    for name, text in zip(header, row, strict=True):
        if text == "":
            continue
        if name.startswith("strengths."):
            entry.setdefault("strengths", {})[name.removeprefix("strengths.")] = _number(text, name, float)
        else:
            entry[name] = _number(text, name, int) if name in ("seed", "at", "bytes") else text
    return entry


def _number(text: str, name: str, kind: type[int] | type[float]) -> int | float:
    try:
        return kind(text)
    except ValueError:
        raise Refused(f"{text[:40]!r} is no number.", field=name, expected="a number") from None


def checked_entry(entry: Any) -> Entry:
    """What a line says, with the id that it goes by; looked-up members are left out. Raises Refused."""
    if not isinstance(entry, dict):
        raise Refused("The line is no JSON object.", expected='such as {"key": "lot/17.jpg"}')
    unknown = entry.keys() - _MEMBERS
    if unknown:
        expected = ", ".join(sorted(_MEMBERS - set(LOOKED_UP)))
        raise Refused(f"There is no member {sorted(unknown)[0][:40]!r}.", expected=expected)
    given = [name for name in SOURCES if entry.get(name) is not None]
    if len(given) != 1:
        raise Refused(f"{len(given)} members say what the input is.", expected=f"one of {', '.join(SOURCES)}")
    source = given[0]
    found = {source: _SOURCE[source](entry)}
    if source == "file":
        found |= _span(entry)
    if "strengths" in entry:
        found["strengths"] = _strengths(entry["strengths"])
    return {"id": _id(entry, source), **found}


def _id(entry: Entry, source: str) -> str:
    name = entry.get("id")
    if name is None:
        own = str(entry[source]) if source != "file" else f"{entry['file']}-{entry.get('at', 0)}"
        return own if ITEM_ID.fullmatch(own) else hashlib.sha256(own.encode()).hexdigest()[:24]
    if not isinstance(name, str) or not ITEM_ID.fullmatch(name):
        raise Refused(
            "This is no item's id.",
            field="id",
            expected="letters, digits and . _ -, in up to 8 parts divided by /",
        )
    return name


def _identifier(name: str) -> Any:
    def read(entry: Entry) -> str:
        value = entry[name]
        if not isinstance(value, str) or not _IDENTIFIER.fullmatch(value):
            raise Refused(f"This is no id of an {name}.", field=name, expected="32 hexadecimal digits")
        return value

    return read


def _key(entry: Entry) -> str:
    key = entry["key"]
    if not isinstance(key, str):
        raise Refused("A key is a string.", field="key", expected="such as lot/17.jpg")
    try:
        return checked_source_key(key, field="key")
    except InvalidInput as error:
        raise Refused(error.detail, field=error.field, expected=error.expected) from None


def _seed(entry: Entry) -> int:
    return _whole(entry["seed"], "seed", _MAX_SEED)


def _span(entry: Entry) -> dict[str, int]:
    return {name: _whole(entry.get(name), name, 1 << 50) for name in ("at", "bytes")}


def _whole(value: Any, name: str, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise Refused(f"{name} is no such number.", field=name, expected=f"a whole number from 0 to {most}")
    return value


def _strengths(value: Any) -> dict[str, float]:
    if not isinstance(value, Mapping) or len(value) > 32:
        raise Refused(
            "strengths is no object.", field="strengths", expected="vectors' ids, each with a number"
        )
    for name, strength in value.items():
        number = isinstance(strength, int | float) and not isinstance(strength, bool)
        if not _IDENTIFIER.fullmatch(name) or not number or not abs(strength) <= _MAX_STRENGTH:
            raise Refused(
                "This is no strength of a vector.",
                field="strengths",
                expected=f"a vector's id, and a number from -{_MAX_STRENGTH:g} to {_MAX_STRENGTH:g}",
            )
    return {name: float(strength) for name, strength in value.items()}


_SOURCE = {"image": _identifier("image"), "key": _key, "seed": _seed, "file": _identifier("file")}


def sent_again(entry: Mapping[str, Any], error: Mapping[str, Any]) -> Entry:
    """A line of an errors manifest: the item as it was sent, and what went wrong."""
    return {name: value for name, value in entry.items() if name not in LOOKED_UP} | {"error": dict(error)}
