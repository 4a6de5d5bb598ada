"""Which results batches use: it stands in their ledgers, and nowhere else.

Read before a result is marked as garbage, and again before it is removed. A chunk that takes over a result
takes its mark away as it ends (workers/bulk/chunk.py); what it makes is younger than the grace period that is
between the two. Of millions of digests only their first 64 bits are held.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from storage.errors import OutputNotFound
from storage.stores import Stores

_NAMED = re.compile(rb'"([0-9a-f]{64})"')


@dataclass(frozen=True)
class Used:
    """digests: the first 64 bits of each, sorted."""

    digests: npt.NDArray[np.uint64]

    @classmethod
    def read(cls, stores: Stores) -> "Used":
        found = [np.zeros(0, np.uint64)]
        for ledger in stores.batches.kept_ledgers():
            try:
                data = stores.objects.get(ledger)
            except OutputNotFound:
                continue  # its batch has expired meanwhile
            found.append(np.array([int(digest[:16], 16) for digest in _NAMED.findall(data)], np.uint64))
        return cls(np.unique(np.concatenate(found)))

    def of(self, keys: Iterable[str]) -> frozenset[str]:
        """Those of the keys that are of results in use."""
        results = [key for key in keys if is_result(key)]
        digests = np.array([int(key.rpartition("/")[2][:16], 16) for key in results], np.uint64)
        return frozenset(
            key for key, used in zip(results, np.isin(digests, self.digests), strict=True) if used
        )


def is_result(key: str) -> bool:
    match key.split("/"):
        case [_, "results", _, digest]:
            return re.fullmatch(r"[0-9a-f]{64}", digest) is not None
    return False
