"""The table of docs/masks.md says what there is, and every line of it works."""

import itertools
import re
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter

from gpu_ops.scenes.cars import COLOURS, GROUPS, PARTS, render, sample_scene
from gpu_ops.scenes.example import SEED
from storage.library_records import Part
from storage.mask_operations import apply_operations, copied_masks
from storage.mask_specs import MaskOperation

PAGE = Path(__file__).parents[3] / "docs" / "masks.md"
OPERATION: TypeAdapter[MaskOperation] = TypeAdapter(MaskOperation)


def test_every_line_of_the_table_is_taken_and_changes_something() -> None:
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if re.match(r"\| \d+ \|", line)]
    parts = [Part(index, name, COLOURS[index]) for index, name in enumerate(PARTS)]
    mask, other = (render(sample_scene(seed))[1] for seed in (SEED, SEED + 7))
    shown = set()
    for line in lines:
        operations = [OPERATION.validate_json(text, strict=True) for text in re.findall(r"`(\{.*?\})`", line)]
        masks = dict.fromkeys(copied_masks(operations), other)
        after = [
            apply_operations(mask, operations[:count], parts, GROUPS, masks)
            for count in range(len(operations) + 1)
        ]
        for before, then in itertools.pairwise(after):
            assert not np.array_equal(before, then), line
        shown |= {operation.op for operation in operations}
    assert shown == OPERATION.json_schema()["discriminator"]["mapping"].keys()
