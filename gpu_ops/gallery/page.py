"""The gallery's page and the files of its pictures."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gpu_ops.gallery.sections import Figure, Section

FOLDER, PAGE = "gallery", "gallery.md"
QUALITY = 88


@dataclass(frozen=True)
class Chapter:
    """What is shown of one model. lacking: sections that are not there, each with its reason."""

    title: str
    legend: Figure
    sections: tuple[Section, ...]
    lacking: tuple[str, ...]


def write_page(docs: Path, chapters: Sequence[Chapter], absent: Sequence[str], conditions: str) -> list[Path]:
    """Write docs/gallery.md and docs/gallery/; pictures of a former gallery that are no more go.

    absent: models that are not bundled. Returns the files that were written.
    """
    folder = docs / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    figures = [figure for chapter in chapters for figure in _figures(chapter)]
    written = [_save(figure, folder) for figure in figures]
    for old in set(folder.glob("*.webp")) - set(written):
        old.unlink()
    page = docs / PAGE
    blocks = [_wrapped(block) for block in _page(chapters, absent, conditions)]
    page.write_text("\n\n".join(blocks) + "\n", encoding="utf-8")
    return [page, *written]


def _figures(chapter: Chapter) -> list[Figure]:
    return [chapter.legend, *(figure for section in chapter.sections for figure in section.figures)]


def _save(figure: Figure, folder: Path) -> Path:
    path = folder / f"{figure.stem}.webp"
    figure.image.save(path, quality=QUALITY)
    return path


def _page(chapters: Sequence[Chapter], absent: Sequence[str], conditions: str) -> list[str]:
    blocks = [
        "# Gallery",
        "Drawn by `make gallery` from the models that are bundled. The scenes are held-out renders, chosen "
        "by eye among the renders before anything was edited; only the car that is edited in the photograph "
        "was chosen afterwards, of three (`gpu_ops/gallery/table.py`). The models draw 64 px, and are "
        "enlarged here. These are single pictures: what holds for many is in "
        "[measurements](measurements.md), and what the figures are in [the method](method.md).",
        conditions,
    ]
    for chapter in chapters:
        blocks += [f"## {chapter.title}", _image(chapter.legend)]
        for section in chapter.sections:
            blocks += [f"### {section.title}", section.text, *map(_image, section.figures)]
            if section.table:
                blocks.append(_table(section.table))
        if chapter.lacking:
            blocks.append("Not shown: " + "; ".join(chapter.lacking) + ".")
    if absent:
        blocks.append("Not shown, since no such model is bundled: " + ", ".join(absent) + ".")
    return blocks


def _wrapped(block: str) -> str:
    """Prose in lines of the docs' length; headings, pictures and tables as they are."""
    return block if block.startswith(("#", "!", "|")) else textwrap.fill(block, 130, break_on_hyphens=False)


def _image(figure: Figure) -> str:
    return f"![{figure.shows}]({FOLDER}/{figure.stem}.webp)"


def _table(rows: Sequence[Sequence[str]]) -> str:
    head, *rest = rows
    lines = [head, ["---"] * len(head), *rest]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
