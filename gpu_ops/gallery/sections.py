"""What a section of the gallery's page consists of."""

from dataclasses import dataclass

from PIL import Image


@dataclass(frozen=True)
class Figure:
    """A picture of the page: its file's name, without suffix, and what it shows."""

    stem: str
    image: Image.Image
    shows: str


@dataclass(frozen=True)
class Section:
    """table: rows of a table below the figures, the first of them its head."""

    title: str
    text: str
    figures: tuple[Figure, ...]
    table: tuple[tuple[str, ...], ...] = ()
