"""A hook of the site: pages that are made from the code each time (HTTP reference, list of decisions)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

DECISIONS = Path(__file__).parent / "decisions"
METHODS = ("get", "post", "put", "patch", "delete")
HEAD = """\
# The HTTP interface

Made from `/openapi.json`, which a running service has too (`/docs/swagger` lets you try it).
[A tour](../api.md)
shows the requests in their order.
"""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    files.append(File.generated(config, "reference/http.md", content=http_page(openapi())))
    files.append(File.generated(config, "decisions/index.md", content=decisions_page()))
    return files


def openapi() -> dict[str, Any]:
    """The document of a service that keeps everything in memory."""
    from api.app import create_app
    from storage.memory import memory_stores
    from storage.settings import Settings

    app = create_app(Settings(), memory_stores(), lambda *_: None)
    found: dict[str, Any] = app.test_client().get("/openapi.json").get_json()
    return found


def http_page(document: dict[str, Any]) -> str:
    by_tag: dict[str, list[str]] = {}
    for path, operations in document["paths"].items():
        for method in METHODS:
            if operation := operations.get(method):
                lines = by_tag.setdefault(operation["tags"][0], [])
                lines.extend(told(method, path, operation))
    return HEAD + "".join(f"\n## {tag}\n\n" + "\n".join(lines) + "\n" for tag, lines in by_tag.items())


def told(method: str, path: str, operation: dict[str, Any]) -> Iterator[str]:
    yield f"### `{method.upper()} {path}` {{: #{operation['operationId']} }}\n"
    yield operation.get("summary", "") + "\n"
    if more := operation.get("description"):
        yield f"{more}\n"
    scopes = [scope for needed in operation.get("security", []) for each in needed.values() for scope in each]
    yield f"Scope: {', '.join(scopes) or 'none'}. Answers: {', '.join(sorted(operation['responses']))}.\n"
    rows = [
        f"| `{each['name']}` | {each['in']} | {one_line(each.get('description') or '')} |"
        for each in operation.get("parameters", [])
    ]
    if rows:
        yield "\n".join(["| parameter | in | |", "|---|---|---|", *rows]) + "\n"


def one_line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def decisions_page() -> str:
    rows = []
    for path in sorted(DECISIONS.glob("0*.md")):
        title = path.read_text().splitlines()[0].removeprefix("# ")
        rows.append(f"- [{title}]({path.name})")
    return "# Decisions\n\nWhat was weighed, what was chosen.\n\n" + "\n".join(rows) + "\n"
