"""Loaded by a worker (celery --include): its sample jobs hang in their third step, until a file is there."""

import os
import time
from pathlib import Path

import faulty

from workers.recipes.table import RECIPES

MENDED = "TEST_HANGS_UNTIL"


def hang() -> None:
    while not Path(os.environ[MENDED]).exists():
        time.sleep(0.05)


RECIPES["sample"] = faulty.stepping(hang, at=3)
