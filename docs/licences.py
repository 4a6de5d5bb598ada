"""Writes docs/licences.md: the licence of every package of deploy/requirements.txt, as each states it itself.

python docs/licences.py
"""

import re
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

HERE = Path(__file__).resolve().parent
PINNED = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^ ;\s]+)")
HEAD = """# Licences of what editq runs on

Made by `python docs/licences.py` from what the installed packages say of themselves: every package that
`deploy/requirements.txt` pins, those for development and tests too.

| package | version | licence |
|---|---|---|
"""


def licence_of(name: str) -> str:
    """Its SPDX expression; else its classifiers; else the first line of its text."""
    try:
        about = distribution(name).metadata
    except PackageNotFoundError:
        return "not installed here"
    classifiers = [
        text.rpartition(" :: ")[2]
        for text in about.get_all("Classifier", [])
        if text.startswith("License ::")
    ]
    text = (about.get("License") or "").strip().splitlines()
    found = about.get("License-Expression") or ", ".join(classifiers) or (text[0] if text else "not stated")
    return found.replace("|", "/")[:80]


def main() -> None:
    pinned = [PINNED.match(line) for line in (HERE.parent / "deploy" / "requirements.txt").open()]
    rows = [f"| {found[1]} | {found[2]} | {licence_of(found[1])} |" for found in pinned if found]
    (HERE / "licences.md").write_text(HEAD + "\n".join(rows) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
