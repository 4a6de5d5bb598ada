"""A vector as files in a folder: NAME.safetensors, NAME.json that says what it is, and pictures beside them.

Bundled models keep their starter vectors in this form too.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from editq.client import Client
from storage.errors import InvalidInput

_TEXTS, _LISTS = ("name", "model", "editing_type"), ("tags", "q_edit")
_TOLD = (*_TEXTS, *_LISTS, "model_digest", "facts", "report")
_PICTURES = ("before", "after")


def write_vector(client: Client, vector_id: str, folder: Path) -> list[Path]:
    """Write a vector's files. Raises InvalidInput where one of them is there already."""
    vector = client.get_vector(vector_id)
    about = {name: vector[name] for name in _TOLD}
    contents = {
        ".safetensors": client.export_vector(vector_id),
        ".json": (json.dumps(about, indent=2) + "\n").encode(),
    }
    for moment in _PICTURES:
        if moment in vector["files"]:
            contents[f".{moment}.png"] = client.vector_file(vector_id, moment)
    stem = file_stem(vector)
    paths = {folder / f"{stem}{ending}": data for ending, data in contents.items()}
    for path in paths:
        if path.exists():
            raise InvalidInput(f"{path} is there already.")
    folder.mkdir(parents=True, exist_ok=True)
    for path, data in paths.items():
        path.write_bytes(data)
    return list(paths)


def file_stem(vector: Mapping[str, Any]) -> str:
    """A vector's name as files may be called, whoever has named it."""
    return re.sub(r"[^A-Za-z0-9_]+", "-", vector["name"]).strip("-") or str(vector["id"])


def told_beside(file: Path) -> dict[str, Any]:
    """What NAME.json beside a file says of it; nothing where there is none. Raises InvalidInput."""
    beside = file.with_suffix(".json")
    if not beside.is_file():
        return {}
    try:
        about = json.loads(beside.read_bytes())
    except (ValueError, RecursionError):
        about = None
    texts = isinstance(about, dict) and all(isinstance(about.get(name, ""), str) for name in _TEXTS)
    if not texts or not all(_is_texts(about.get(name, [])) for name in _LISTS):
        raise InvalidInput(f"{beside} does not say what a vector is: {', '.join((*_TEXTS, *_LISTS))}.")
    return {name: about[name] for name in (*_TEXTS, *_LISTS) if about.get(name)}


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)
