"""The chunks of a World's batches: the real pipeline, with an operation that sleeps in place of tensors.

Apart from chaos/recipes.py, since the pipeline imports torch, which no other recipe here needs.
"""

import hashlib
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from storage.batch_specs import BatchSpec
from storage.results import Results
from workers.attempt import Attempt
from workers.bulk.chunk import recipe_of
from workers.bulk.operation import Events, Made, Operation, Stepped
from workers.bulk.pieces import Piece

ITEM_S = 0.05


class Sleeping:
    """Each item is noted in CHAOS_DIR/items as it is done."""

    def digest_of(self, item: Mapping[str, Any], picture: Any) -> str:
        return hashlib.sha256(item["id"].encode()).hexdigest()

    def known(self, picture: Any) -> None:
        return None

    def run(self, pieces: Iterator[Piece]) -> Events:
        for piece in pieces:
            time.sleep(ITEM_S)
            with (Path(os.environ["CHAOS_DIR"]) / "items").open("a") as log:
                log.write(f"{piece.item['id']} {os.getpid()}\n")
            yield Stepped()
            yield Made(piece.index, piece.digest, lambda piece=piece: {"id.txt": piece.item["id"].encode()})


def sleeping(_attempt: Attempt, _spec: BatchSpec, _results: Results) -> tuple[Operation, int, str]:
    return Sleeping(), 16, "d" * 64


RECIPE = recipe_of(sleeping)
