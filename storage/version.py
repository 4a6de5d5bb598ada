"""Which editq this is, as every answer and every output says it."""

import functools
import importlib.metadata

VERSION = "Editq-Version"  # of an answer's headers


@functools.cache
def code_version() -> str:
    try:
        return importlib.metadata.version("editq")
    except importlib.metadata.PackageNotFoundError:  # run from a bare checkout
        return "unknown"
