"""Read by every Python process that a chaos World starts (it is first on PYTHONPATH).

The recipes become those of chaos/recipes.py, which need no torch; checkpoints hold NumPy arrays, in the same
format; and in a pool child a signal can be made to fall at a call to the outside (chaos/calls.py).
"""

import importlib
import os
import select
import sys
import time
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec

INSTEAD = {"workers.recipes.table": "chaos.recipes", "safetensors.torch": "safetensors.numpy"}


class Instead(MetaPathFinder, Loader):
    def find_spec(self, name, path, target=None):
        return ModuleSpec(name, self) if name in INSTEAD else None

    def exec_module(self, module):
        module.__dict__.update(vars(importlib.import_module(INSTEAD[module.__spec__.name])))


def sleep_for(seconds):
    """time.sleep waits until a monotonic time, from which libfaketime 0.9.10 takes its offset off."""
    select.select((), (), (), max(0.0, seconds))


if "FAKETIME" in os.environ:
    time.sleep = sleep_for
if "CHAOS_DIR" in os.environ:
    sys.meta_path.insert(0, Instead())
    if any("billiard.spawn" in word for word in sys.orig_argv):
        from chaos.calls import install

        install()
