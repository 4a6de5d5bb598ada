"""JSON-plain copies of what callers hand over: every backend keeps and gives back the same values."""

import math
from collections.abc import Mapping
from typing import Any

from storage.records import ObjectRef


def plain(value: Any) -> Any:
    """A deep copy of dicts, lists, strings, numbers; NaN and infinities become None, tuples lists.

    JSON knows no NaN, and PostgreSQL refuses it: a loss that ran away must not keep a job from ending.
    Raises TypeError for anything else (a NumPy scalar, a path): a programmer's mistake.
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {_name(name): plain(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [plain(member) for member in value]
    raise TypeError(f"not a JSON value: {type(value).__name__}")


def _name(name: Any) -> str:
    if not isinstance(name, str):
        raise TypeError(f"a member's name must be a string, not {type(name).__name__}")
    return name


def storable(filename: str | None) -> str | None:
    """A file's name without what a database's text cannot hold: NUL and lone surrogates."""
    if filename is None:
        return None
    return filename.replace("\0", "").encode("utf-8", "replace").decode()


def ref_to_dict(ref: ObjectRef) -> dict[str, Any]:
    return {
        "key": ref.key,
        "sha256": ref.sha256,
        "byte_size": ref.byte_size,
        "media_type": ref.media_type,
    }


def refs_to_dict(refs: Mapping[str, ObjectRef]) -> dict[str, Any]:
    """Objects by role, as a row keeps them."""
    return {role: ref_to_dict(ref) for role, ref in refs.items()}


def refs_from_dict(members: Mapping[str, Any]) -> dict[str, ObjectRef]:
    return {role: ref_from_dict(ref) for role, ref in members.items()}


def ref_from_dict(members: Mapping[str, Any]) -> ObjectRef:
    return ObjectRef(members["key"], members["sha256"], members["byte_size"], members["media_type"])
