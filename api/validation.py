"""pydantic's complaints in plain words, with the field's path and what was expected.

What was expected is read off the JSON schema of the model, so that it always says the whole range.
"""

import functools
from typing import Any

from pydantic import BaseModel, ValidationError

from api.errors import InvalidRequest, MalformedBody

Schema = dict[str, Any]
MAX_FAULTS = 20
MAX_SHOWN = 60


def explain(error: ValidationError, model: type[BaseModel]) -> InvalidRequest | MalformedBody:
    """The error to raise in place of pydantic's."""
    root = _schema(model)
    complaints = error.errors(include_url=False)
    if complaints[0]["type"] == "json_invalid":
        reason = complaints[0]["ctx"]["error"]
        return MalformedBody(f"The body is not JSON: {reason}.", field="body", expected="a JSON object")
    return InvalidRequest([_fault(complaint, root) for complaint in complaints[:MAX_FAULTS]])


@functools.cache
def _schema(model: type[BaseModel]) -> Schema:
    return model.model_json_schema()


def _fault(complaint: Any, root: Schema) -> dict[str, str]:
    path, schema, parent = _locate(complaint["loc"], root)
    kind = complaint["type"]
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        path = _join(path, schema["discriminator"]["propertyName"])
        expected = "one of " + ", ".join(schema["discriminator"]["mapping"])
        found = complaint["ctx"].get("tag")
        return _entry(path, expected, "is missing" if found is None else f"is {_shown(found)}")
    if kind == "extra_forbidden":
        return _entry(path, "one of " + ", ".join(parent.get("properties", {})), "is not a known field")
    if kind == "value_error":
        reason = str(complaint["ctx"]["error"])
        named = [name for name in schema.get("properties", {}) if name in reason.split()]
        field = path or (named or ["body"])[0]
        return {"field": field, "expected": reason, "detail": reason.capitalize() + "."}
    expected = expectation(schema, root)
    return _entry(path, expected, "is missing" if kind == "missing" else f"is {_shown(complaint['input'])}")


def _entry(path: str, expected: str, fault: str) -> dict[str, str]:
    field = path or "body"
    return {"field": field, "expected": expected, "detail": f"{field} {fault}; expected {expected}."}


def _locate(loc: tuple[int | str, ...], root: Schema) -> tuple[str, Schema, Schema]:
    """Path in words, schema there, and schema of the object around it. Union tags in `loc` are no path."""
    path, schema, parent = "", _resolve(root, root), root
    for step in loc:
        mapping = schema.get("discriminator", {}).get("mapping", {})
        if step in mapping:
            schema = _resolve({"$ref": mapping[step]}, root)
            continue
        parent = schema
        if isinstance(step, int):
            path, schema = _join(path, str(step)), schema.get("items", {})
        else:
            path, schema = _join(path, step), schema.get("properties", {}).get(step, {})
        schema = _resolve(schema, root)
    return path, schema, parent


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _resolve(schema: Schema, root: Schema) -> Schema:
    """Follow a reference, and look through `or null`."""
    if "$ref" in schema:
        return _resolve(root["$defs"][schema["$ref"].rsplit("/", 1)[1]], root)
    real = [choice for choice in schema.get("anyOf", ()) if choice.get("type") != "null"]
    return _resolve(real[0], root) if len(real) == 1 else schema


def expectation(schema: Schema, root: Schema) -> str:
    """What a JSON schema asks for, in words."""
    schema = _resolve(schema, root)
    if "const" in schema:
        return repr(schema["const"])
    if "enum" in schema:
        return "one of " + ", ".join(map(str, schema["enum"]))
    if "discriminator" in schema:
        tag = schema["discriminator"]
        return f"an object whose {tag['propertyName']} is one of {', '.join(tag['mapping'])}"
    kind = schema.get("type")
    if kind in ("integer", "number"):
        return ("a whole number" if kind == "integer" else "a number") + _range(schema)
    if kind == "array":
        least = f"{schema['minItems']} to " if "minItems" in schema else "at most "
        most = f"{least}{schema['maxItems']}" if "maxItems" in schema else "any number"
        return f"a list of {most}, each {expectation(schema.get('items', {}), root)}"
    if kind == "string":
        example = f", such as {schema['examples'][0]}" if schema.get("examples") else ""
        return (
            f"text matching {schema['pattern']}{example}" if "pattern" in schema else "text" + _length(schema)
        )
    return {"boolean": "true or false", "object": "an object"}.get(str(kind), "another value")


def _range(schema: Schema) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    above = schema.get("exclusiveMinimum")
    if above is not None:
        return f" above {above:g}" + (f" and at most {high}" if high is not None else "")
    if low is not None and high is not None:
        return f" from {low} to {high}"
    if low is not None:
        return f" of at least {low}"
    return f" of at most {high}" if high is not None else ""


def _length(schema: Schema) -> str:
    return f" of at most {schema['maxLength']} characters" if "maxLength" in schema else ""


def _shown(value: object) -> str:
    """A caller's value, short enough to repeat."""
    try:
        text = repr(value)
    except ValueError:
        return "a number with thousands of digits"
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"
