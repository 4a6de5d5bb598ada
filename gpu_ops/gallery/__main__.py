"""Draw docs/gallery.md and docs/gallery/ from the models that are bundled.

    python -m gpu_ops.gallery [--docs docs] [--kept DIR]

Sections that lack their model or their vectors are left out; the page says so. With --kept, codes that were
found are kept in a folder, and the next run reads them.
"""

import argparse
import os
import platform
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch

from gpu_ops.gallery.page import Chapter, write_page
from gpu_ops.gallery.pairs import draw_pair
from gpu_ops.gallery.pasted import draw_pasted
from gpu_ops.gallery.portraits import draw_portraits
from gpu_ops.gallery.sections import Figure, Section
from gpu_ops.gallery.sheet import legend
from gpu_ops.gallery.shown import NotShown, Shown, read_model
from gpu_ops.gallery.strengths import draw_strengths
from gpu_ops.gallery.table import QUICK, SHOWS, Effort
from gpu_ops.gallery.ways import draw_ways
from gpu_ops.training.place import add_device

BUNDLED = Path(__file__).parents[1] / "pretrained"
LEGEND_COLUMNS = 8

SECTIONS: dict[str, Callable[[Shown], Section]] = {
    "strengths": draw_strengths,
    "two vectors at once": draw_pair,
    "three ways": draw_ways,
    "portraits": draw_portraits,
    "a photograph": draw_pasted,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--docs", type=Path, default=Path("docs"), help="where the page is written")
    parser.add_argument("--models", type=Path, default=BUNDLED, help="the folder of models")
    parser.add_argument("--kept", type=Path, help="folder for codes that were found")
    parser.add_argument("--quick", action="store_true", help="one step of everything, to try the layout")
    add_device(parser)
    options = parser.parse_args()
    conditions, effort = _conditions(options.device), QUICK if options.quick else Effort()
    folders = {name: options.models / name for name in SHOWS}
    absent = [name for name, folder in folders.items() if not (folder / "model.json").is_file()]
    with tempfile.TemporaryDirectory() as fresh:
        kept = options.kept or Path(fresh)
        kept.mkdir(parents=True, exist_ok=True)
        chapters = [
            draw_chapter(read_model(folder, kept, effort, options.device))
            for name, folder in folders.items()
            if name not in absent
        ]
    written = write_page(options.docs, chapters, absent, conditions)
    size_mb = sum(path.stat().st_size for path in written) / 1e6
    print(f"{len(written)} files, {size_mb:.1f} MB; not bundled: {', '.join(absent) or 'none'}", flush=True)


def draw_chapter(shown: Shown) -> Chapter:
    """All that there is to show of a model."""
    sections, lacking = [], []
    for name, draw in SECTIONS.items():
        if draw is draw_portraits and shown.show.portrait_vectors is None:
            continue  # of cars there are none to show
        try:
            sections.append(draw(shown))
        except NotShown as reason:
            lacking.append(f"{name} ({reason})")
    parts = legend(shown.bundle.parts, shown.palette, LEGEND_COLUMNS)
    figure = Figure(f"{shown.name}-parts", parts, f"parts of {shown.name}, and their colours in masks")
    title = f"{shown.name}: {shown.bundle.description['description']}"
    return Chapter(title, figure, tuple(sections), tuple(lacking))


def _conditions(device: str) -> str:
    """What seconds on the page were measured on."""
    version = torch.__version__.partition("+")[0]
    card = "without a GPU" if device == "cpu" else f"on a {torch.cuda.get_device_name(device)}"
    return (
        f"Seconds are of one run on {torch.get_num_threads()} of {os.cpu_count()} cores "
        f"({platform.machine()}), {card}, torch {version}. The load average before it was "
        f"{os.getloadavg()[0]:.1f}."
    )


if __name__ == "__main__":
    main()
