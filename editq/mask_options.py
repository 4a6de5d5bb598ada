"""Mask operations from the command line: `--grow wheel=25%`, and files of operations."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import click
from pydantic import TypeAdapter, ValidationError

from storage.mask_specs import MaskOperation

JSON = dict[str, Any]
_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
_ABOUT = re.compile(r"(?P<part>[a-z][a-z0-9_]*)(?::(?P<piece>all|largest|left|right|[0-9]+))?")
_LENGTH = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]+)?) ?(?P<unit>%|px|)")
_OPERATION: TypeAdapter[MaskOperation] = TypeAdapter(MaskOperation)
ORDER = ("remove", "scale", "grow", "shrink", "shift")
_OPTIONS = (
    click.option("--grow", multiple=True, metavar="PART=25%|PX",
                 help="Make a part larger: by a share of its width and height, or by pixels all around."),
    click.option("--shrink", multiple=True, metavar="PART=25%|PX", help="The same, smaller."),
    click.option("--scale", multiple=True, metavar="PART=FACTOR", help="Scale a part: 1.4, or 0.8."),
    click.option("--shift", multiple=True, metavar="PART=DX,DY", help="Move a part: pixels right, and down."),
    click.option("--remove", multiple=True, metavar="PART", help="Take a part away."),
    click.option("--operations", "operations_file", type=_FILE, metavar="FILE.json",
                 help="A list of mask operations as the API takes it, done after those of the options."),
)  # fmt: skip


def takes_operations(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def operations_of(asked: Mapping[str, Any]) -> list[JSON]:
    """The operations asked for, in the order of ORDER. Raises click.UsageError."""
    found = [_READERS[name](name, text) for name in ORDER for text in asked[name]]
    path = asked["operations_file"]
    for operation in found + (_read(path) if path else []):
        try:
            _OPERATION.validate_python(operation)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(str(part) for part in first["loc"] if part != "function-wrap")
            message = first["msg"].removeprefix("Value error, ")
            raise click.UsageError(f"{json.dumps(operation)[:200]}: {place}: {message}") from None
    return found + (_read(path) if path else [])


def check_parts(operations: Iterable[JSON], model: Mapping[str, Any]) -> None:
    """Raises click.UsageError for a part that the model does not have, saying which there are."""
    parts = [part["name"] for part in model["parts"]]
    known = {*parts, *model["groups"]}
    for operation in operations:
        for name in (operation.get(member) for member in ("part", "into", "other")):
            if name is not None and name not in known:
                groups = ", ".join(f"{group} ({', '.join(of)})" for group, of in model["groups"].items())
                raise click.UsageError(
                    f"{model['name']} has no part {name!r}. Its parts: {', '.join(parts)}"
                    + (f". Its part groups: {groups}" if groups else "")
                )


def _sized(option: str, text: str) -> JSON:
    about, value = _split(option, text, "25%, or pixels")
    found = _LENGTH.fullmatch(value)
    if found is None:
        raise click.UsageError(f"--{option} {text}: give a share or pixels, as in wheel=25% or wheel=3")
    number = float(found["number"])
    if found["unit"] != "%":
        if not number.is_integer():
            raise click.UsageError(f"--{option} {text}: give whole pixels, or a share as 25%")
        return {"op": option, **about, "px": int(number)}
    factor = 1 + number / 100 if option == "grow" else 1 - number / 100
    return {"op": "scale", **about, "factor": round(factor, 6)}


def _scaled(option: str, text: str) -> JSON:
    about, value = _split(option, text, "1.4")
    return {"op": "scale", **about, "factor": _number(option, text, value)}


def _shifted(option: str, text: str) -> JSON:
    about, value = _split(option, text, "DX,DY")
    numbers = [_number(option, text, number) for number in value.split(",")]
    if len(numbers) != 2 or not all(number.is_integer() for number in numbers):
        raise click.UsageError(f"--{option} {text}: give whole pixels right and down, as in wheel=6,-2")
    return {"op": "shift", **about, "dx_px": int(numbers[0]), "dy_px": int(numbers[1])}


def _removed(option: str, text: str) -> JSON:
    return {"op": "remove", **_about(option, text)}


_READERS = {"remove": _removed, "scale": _scaled, "grow": _sized, "shrink": _sized, "shift": _shifted}


def _split(option: str, text: str, example: str) -> tuple[JSON, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise click.UsageError(f"--{option} {text}: give PART={example}")
    return _about(option, name.strip()), value.strip()


def _about(option: str, text: str) -> JSON:
    found = _ABOUT.fullmatch(text)
    if found is None:
        raise click.UsageError(f"--{option} {text}: give a part, as wheel, or a piece of it, as wheel:left")
    piece = found["piece"]
    if piece is None:
        return {"part": found["part"]}
    return {"part": found["part"], "piece": int(piece) if piece.isdecimal() else piece}


def _number(option: str, text: str, value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise click.UsageError(f"--{option} {text}: {value!r} is no number") from None


def _read(path: Path) -> list[JSON]:
    try:
        told = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise click.UsageError(f"{path} is no JSON: {error}") from None
    operations = told if isinstance(told, list) else [told]
    if not all(isinstance(operation, dict) for operation in operations):
        raise click.UsageError(f"{path} holds no list of mask operations")
    return operations
