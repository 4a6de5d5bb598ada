"""`python -m storage.configuration > docs/configuration.md`: every variable, from where they are read."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from storage.oidc_settings import OidcSettings
from storage.settings import Settings
from storage.sources import BucketSettings

# By the field that each begins with; fields stand in the order of Settings.
SECTIONS = {
    "data_dir": "Where things are kept",
    "s3_bucket": "Objects in S3",
    "buckets": "Batches",
    "host": "The API",
    "limit_requests_per_s": "Limits of a tenant",
    "lease_s": "Jobs and leases",
    "outputs_kept_s": "What is kept, and for how long",
    "webhook_secret": "Webhooks",
    "checkpoint_s": "Workers",
    "log_level": "Logs",
    "metrics_port": "Metrics and traces",
}
HEAD = """\
# Configuration

<!-- made by `python -m storage.configuration > docs/configuration.md`: change storage/settings.py -->

Every process of the service reads the same environment variables, once, as it starts. An empty variable
counts as one that is not set; one that is wrong is named in the error that the process ends with.
`editq doctor` reads them as the service would, tries what they name, and warns of a name that nothing reads.
"""
TAIL = """
## Beside these

| variable | read by | what it is |
|---|---|---|
| `WEB_CONCURRENCY` | `web` | processes of gunicorn; 2 |
| `PORT` | `web` | stands before `EDITQ_PORT`, as platforms set it |
| `EDITQ_URL` | `editq`, `Client` | the service to talk to; default: the one that runs on this machine |
| `EDITQ_KEY` | `editq`, `Client` | the API key to send |
| `EDITQ_TORCH_INDEX` | `make install` | the package index to take torch from |
"""
READ_ELSEWHERE = ("EDITQ_URL", "EDITQ_KEY", "EDITQ_TORCH_INDEX")


def unknown(environ: Mapping[str, str]) -> list[str]:
    """EDITQ_ variables that nothing reads: mistyped, or of another version."""
    known = {f"EDITQ_{name.upper()}" for name in Settings.model_fields} | set(READ_ELSEWHERE)
    return sorted(name for name in environ if name.startswith("EDITQ_") and name not in known)


def page() -> str:
    parts = [HEAD]
    for name, field in Settings.model_fields.items():
        if name in SECTIONS:
            parts.append(
                f"\n## {SECTIONS[name]}\n\n| variable | kind | default | what it is |\n|---|---|---|---|\n"
            )
        cells = (f"`EDITQ_{name.upper()}`", kind(field), default(field), cell(field.description or ""))
        parts.append(f"| {' | '.join(cells)} |\n")
    parts += [members("A bucket in EDITQ_BUCKETS", BucketSettings), members("EDITQ_OIDC", OidcSettings)]
    return "".join(parts) + TAIL


def members(what: str, of: type[BaseModel]) -> str:
    rows = [
        f"| `{name}` | {kind(field)} | {default(field)} | {cell(field.description or '')} |\n"
        for name, field in of.model_fields.items()
    ]
    head = f"\n## {what}\n\n| member | kind | default | what it is |\n|---|---|---|---|\n"
    return head + "".join(rows)


def kind(field: FieldInfo) -> str:
    """What may be said, in a word or two."""
    return " or ".join(dict.fromkeys(words(field.annotation)))


def words(annotation: Any) -> list[str]:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        return [word for each in arguments if each is not type(None) for word in words(each)]
    if origin is Literal:
        return [f"`{each}`" for each in arguments]
    if origin is Annotated:
        return words(arguments[0])
    if origin in (tuple, list):
        return ["list"]
    if origin is dict or (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        return ["JSON"]
    known = {
        bool: "`true` or `false`",
        int: "whole number",
        float: "number",
        SecretStr: "secret",
        Path: "path",
    }
    return [known.get(annotation, "text")]


def default(field: FieldInfo) -> str:
    value = field.default
    if field.is_required():
        return "must be set"
    if value is PydanticUndefined or value is None or value in ("", (), {}):
        return ""
    shown = (
        ",".join(value)
        if isinstance(value, tuple)
        else str(value).lower()
        if isinstance(value, bool)
        else json.dumps(value)
        if isinstance(value, dict)
        else value
    )
    return f"`{shown:,.0f}`".replace(",", " ") if big(shown) else f"`{shown}`"


def big(value: Any) -> bool:
    return isinstance(value, int | float) and value >= 10_000 and value == int(value)


def cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    print(page(), end="")
