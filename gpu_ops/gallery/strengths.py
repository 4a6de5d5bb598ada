"""Each vector on four pictures, at five strengths."""

import math

from gpu_ops.gallery.sections import Figure, Section
from gpu_ops.gallery.sheet import Tile, rendered, sheet
from gpu_ops.gallery.shown import NotShown, Shown, Subject
from gpu_ops.gallery.table import STRENGTHS
from gpu_ops.refine import look
from gpu_ops.vectors import Use, compose

HEADS = ("render", *(f"strength {strength:g}" for strength in STRENGTHS))


def draw_strengths(shown: Shown) -> Section:
    """Raises NotShown where the model has no vectors."""
    if not shown.vectors:
        raise NotShown("the model has no vectors yet")
    usual = shown.subjects(shown.show.subjects)
    figures = []
    for name in shown.vectors:
        seeds = shown.show.subjects_of.get(name)
        subjects = shown.subjects(seeds) if seeds else usual
        rows = [row_of(shown, subject, name) for subject in subjects]
        image = sheet(f"{shown.name}: {name}", HEADS, rows, shown.palette)
        shows = f"{name}: four pictures at strengths {', '.join(f'{strength:g}' for strength in STRENGTHS)}"
        figures.append(Figure(f"{shown.name}-{name.replace(' ', '-')}", image, shows))
    text = (
        "One forward pass each: `w_plus + strength · delta_w`. Strength 0 is the inversion; a negative one "
        "goes the other way. Below each picture are the mask that the segmenter finds, and how much the rest "
        "of the picture has changed: PSNR outside the vector's region, against the inversion."
    )
    return Section("Starter vectors", text, tuple(figures))


def row_of(shown: Shown, subject: Subject, name: str) -> list[Tile]:
    """A subject with the vector of this name, at every strength."""
    vector = shown.vectors[name]
    row = [rendered(subject.picture, subject.exact)]
    for strength in STRENGTHS:
        w_plus = compose(subject.w_plus, [Use(vector.delta_w, strength, name)])
        applied = look(shown.bundle, w_plus)
        leak = subject.leak_db(applied, applied.masks[0], vector.q_edit)
        lines = told(leak) if strength else ("inversion,", f"{subject.psnr_db:.1f} dB", "to picture")
        row.append(Tile(applied.pictures[0], applied.masks[0], lines))
    return row


def told(leak_db: float) -> tuple[str, ...]:
    """Beside a mask: what leaked."""
    return ("unchanged", "outside") if math.isinf(leak_db) else (f"{leak_db:.1f} dB", "outside")
