"""Draw docs/masks.png: every operation of the table in docs/masks.md, done to the demo's car.

python docs/masks.py
"""

import json
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from pydantic import TypeAdapter

from gpu_ops.scenes.cars import COLOURS, GROUPS, PARTS, render, sample_scene
from gpu_ops.scenes.example import SEED
from storage.library_records import Part
from storage.mask_operations import apply_operations, copied_masks
from storage.mask_specs import MaskOperation, Polygon
from storage.masks import Mask

FOLDER = Path(__file__).parent
OTHER_SEED = SEED + 7
SIZE_PX, ZOOM, GAP_PX, LABEL_PX, COLUMNS = 64, 3, 14, 34, 6
PAPER, INK, PALENESS = (250, 250, 248), (28, 28, 30), 0.62
OPERATION: TypeAdapter[MaskOperation] = TypeAdapter(MaskOperation)

Row = tuple[str, list[MaskOperation]]


def rows() -> list[Row]:
    """Each numbered row of the table: its number, and its operations."""
    found = []
    for line in (FOLDER / "masks.md").read_text(encoding="utf-8").splitlines():
        if number := re.match(r"\| (\d+) \|", line):
            snippets = re.findall(r"`(\{.*?\})`", line)
            found.append((number[1], [OPERATION.validate_json(text, strict=True) for text in snippets]))
    return found


def done(mask: Mask, other: Mask, operations: list[MaskOperation]) -> Mask:
    parts = [Part(index, name, COLOURS[index]) for index, name in enumerate(PARTS)]
    return apply_operations(mask, operations, parts, GROUPS, dict.fromkeys(copied_masks(operations), other))


def label(number: str, operations: list[MaskOperation]) -> str:
    """What an operation asks for, a line for each."""
    lines = []
    for operation in operations:
        members = json.loads(
            operation.model_dump_json(exclude={"op", "mask", "points", "units"}, exclude_defaults=True)
        )
        words = (
            ",".join(value) if isinstance(value, list) else f"{value}".removesuffix(".0")
            for value in members.values()
        )
        lines.append(" ".join([operation.op, *words]))
    return f"{number}  " + "\n".join(lines)


def shown(mask: Mask, told: NDArray[np.bool_] | None = None) -> Image.Image:
    """A mask in its colours, pale but where it is told of."""
    colours = np.array(COLOURS, np.float64)[mask]
    if told is not None:
        colours[~told] += (np.array(PAPER) - colours[~told]) * PALENESS
    return Image.fromarray(colours.round().astype(np.uint8))


def main() -> None:
    (picture, mask), (_, other) = (render(sample_scene(seed), SIZE_PX) for seed in (SEED, OTHER_SEED))
    tiles = [("the picture", Image.fromarray(picture)), ("its mask", shown(mask))]
    tiles.append(("the mask that 19 and 20 copy from", shown(other)))
    for number, operations in rows():
        after = done(mask, other, operations)
        names = [operation.part for operation in operations if not isinstance(operation, Polygon)]
        about = np.isin(after, [PARTS.index(part) for name in names for part in GROUPS.get(name, (name,))])
        tiles.append((label(number, operations), shown(after, about | (after != mask))))
    side, lines = SIZE_PX * ZOOM, -(-len(tiles) // COLUMNS)
    step_x, step_y = side + GAP_PX, side + LABEL_PX + GAP_PX
    sheet = Image.new("RGB", (COLUMNS * step_x + GAP_PX, lines * step_y + GAP_PX), PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    for index, (text, small) in enumerate(tiles):
        left, top = GAP_PX + index % COLUMNS * step_x, GAP_PX + index // COLUMNS * step_y
        sheet.paste(small.resize((side, side), Image.Resampling.NEAREST), (left, top))
        draw.multiline_text((left, top + side + 4), text, fill=INK, font=font, spacing=2)
    sheet.quantize(128).save(FOLDER / "masks.png", optimize=True)


if __name__ == "__main__":
    main()
