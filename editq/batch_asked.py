"""What `editq batch submit` was told, as a batch's spec and inputs."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from pydantic import ValidationError

from editq.client import Client
from editq.vector_use import use_of
from storage.batch_specs import BATCH_SPEC

JSON = dict[str, Any]
MANIFESTS = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv"}
TAR, COMPRESSED = ".tar", (".tar.gz", ".tgz", ".tar.xz", ".tar.zst", ".tar.bz2", ".zip")


def spec_of(client: Client, asked: Mapping[str, Any]) -> JSON:
    """A job's spec without its picture. Raises click's errors."""
    ways = [name for name in ("apply", "edit", "invert", "spec_file") if asked[name]]
    if len(ways) != 1:
        raise click.UsageError("say what is to be done by one of --apply, --edit, --invert and --spec")
    (way,) = ways
    for option, wanted in (("sweep", "apply"), ("refine", "apply"), ("mode", "apply")):
        if asked[option] is not None and way != wanted:
            raise click.UsageError(f"--{option} goes with --apply")
    model = {"model": asked["model"]} if asked["model"] else {}
    match way:
        case "apply":
            spec = {"kind": "apply", **model, **_applied(client, asked)}
        case "edit":
            told = read_json(asked["edit"])
            operations = told if isinstance(told, list) else [told]
            spec = {"kind": "edit", **model, "mask_operations": operations}
        case "invert":
            spec = {"kind": "invert", **model}
        case _:
            spec = {**_object(asked["spec_file"]), **model}
    return {**spec, **asked["options"]}


def _applied(client: Client, asked: Mapping[str, Any]) -> JSON:
    vectors = [use_of(client, text, asked["model"] or "cars") for text in asked["apply"]]
    given = {"sweep": asked["sweep"], "refine_steps": asked["refine"], "mode": asked["mode"]}
    return {"vectors": vectors, **{name: value for name, value in given.items() if value is not None}}


def check(members: Mapping[str, Any]) -> None:
    """What is wrong with a batch's members is said before anything is uploaded. Raises click.UsageError."""
    inputs = members.get("inputs") or {"type": "seeds", "count": 1}
    try:
        BATCH_SPEC.validate_json(json.dumps({**members, "inputs": inputs}))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"] if part not in ("function-wrap",))
        message = first["msg"].removeprefix("Value error, ")
        raise click.UsageError(f"{place}: {message}" if place else message) from None


def kind_of_paths(paths: Sequence[Path]) -> str:
    """folder, manifest or tar: what the inputs are. Raises click.UsageError."""
    if len(paths) == 1 and paths[0].is_dir():
        return "folder"
    if len(paths) == 1 and paths[0].suffix.lower() in MANIFESTS:
        return "manifest"
    for path in paths:
        if path.name.lower().endswith(COMPRESSED):
            raise click.UsageError(f"{path}: only plain tars are read, since pictures are read in place")
        if path.is_dir() or path.suffix.lower() != TAR:
            known = f"one folder, one manifest ({', '.join(MANIFESTS)}), or {TAR} files"
            raise click.UsageError(f"{path}: give {known}")
    return "tar"


def seeds(text: str) -> JSON:
    """FIRST:COUNT. Raises click.UsageError."""
    found = re.fullmatch(r"([0-9]{1,10}):([0-9]{1,10})", text)
    if found is None:
        raise click.UsageError(f"--seeds {text}: give FIRST:COUNT, as in 0:1000")
    return {"type": "seeds", "seed": int(found[1]), "count": int(found[2])}


def factors(text: str) -> list[float]:
    """Numbers with commas between. Raises click.UsageError."""
    try:
        return [float(number) for number in text.split(",")]
    except ValueError:
        raise click.UsageError(f"--sweep {text}: give numbers, as in -1,0,0.5,1") from None


def output_place(text: str) -> JSON:
    bucket, _, prefix = text.partition("/")
    return {"bucket": bucket, "prefix": prefix}


def read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise click.UsageError(f"{path} is no JSON: {error}") from None


def _object(path: Path) -> JSON:
    told = read_json(path)
    if not isinstance(told, dict):
        raise click.UsageError(f"{path} holds no JSON object")
    return told
