"""Results of batches are garbage once no batch uses them, and not before."""

import json
from pathlib import Path

import pytest
from store_records import Records
from test_worker_garbage import garbage, stores_of

from storage.batch_records import Chunk
from storage.library_records import Kept
from storage.objects import FileObjects, output_key
from storage.records import Claim
from storage.results import Results
from storage.stores import Stores

ONE, TWO, SERVING, NOBODYS = ("1" * 64, "2" * 64, "3" * 64, "4" * 64)


@pytest.fixture
def stores(records: Records, tmp_path: Path) -> Stores:
    return stores_of(records, FileObjects(tmp_path / "objects"))


def claimed(stores: Stores, queue: str) -> Claim:
    claim = stores.jobs.claim(queue, "w", lease_s=60)
    assert claim is not None
    return claim


def batch_using(stores: Stores, *digests: str, needs: str | None = None) -> str:
    """An ended batch whose ledger names these results."""
    batch = stores.batches.add("local", {"spec": {"kind": "apply", "model": "cars"}})
    chunk = Chunk(batch.id, 0, 0, 1, "c" * 64, len(digests))
    counts = {"items": len(digests), "invalid": 0, "chunks": 1}
    stores.jobs.succeed(claimed(stores, "cpu"), {}, counts, kept=Kept(chunks=(chunk,)))
    claim = claimed(stores, "gpu")
    lines = [{"id": "a", "result": digest, "needs": [needs] if needs else []} for digest in digests]
    key = output_key("local", claim.job.id, 1, "ledger.jsonl")
    ledger = stores.objects.put(key, "\n".join(map(json.dumps, lines)).encode(), "application/jsonl")
    outcome = {"succeeded": len(digests), "failed": 0, "canceled": 0, "reused": 0, "device_s": 1.0}
    stores.jobs.succeed(claim, {"ledger.jsonl": ledger}, outcome | {"seconds": 1.0, "errors": {}})
    stores.jobs.succeed(claimed(stores, "cpu"), {}, {})
    return batch.id


def there(stores: Stores) -> list[str]:
    results = Results(stores.objects, "local")
    return [name for name in (ONE, TWO, SERVING, NOBODYS) if stores.objects.exists(results.key(name))]


def put_all(stores: Stores) -> None:
    for digest in (ONE, TWO, SERVING, NOBODYS):
        Results(stores.objects, "local").put(digest, {}, {"figures": {}})


def test_what_a_part_names_is_kept_and_the_rest_goes(stores: Stores) -> None:
    put_all(stores)
    batch_using(stores, ONE, needs=SERVING)
    garbage(stores).tidy()
    assert there(stores) == [ONE, SERVING]


def test_results_go_with_the_last_batch_that_used_them(stores: Stores) -> None:
    put_all(stores)
    batch_using(stores, ONE, TWO)
    garbage(stores, outputs_kept_s=1e-6).tidy()
    assert there(stores) == []


def test_a_result_that_comes_into_use_while_it_is_marked_is_spared(stores: Stores) -> None:
    put_all(stores)
    garbage(stores, grace_s=3600).mark()
    batch_using(stores, TWO)
    garbage(stores).collect()
    assert there(stores) == [TWO]
    key = Results(stores.objects, "local").key(TWO)
    assert stores.retention.marked(longer_than_s=-1e9) == ()
    assert stores.retention.spare([key]) == frozenset()


def test_a_mark_is_taken_away_unless_the_result_is_being_removed(stores: Stores) -> None:
    put_all(stores)
    results = Results(stores.objects, "local")
    keys = {digest: results.key(digest) for digest in (ONE, TWO)}
    stores.retention.mark(keys.values())
    assert stores.retention.condemn([keys[TWO]]) == {keys[TWO]}
    assert stores.retention.spare(keys.values()) == {keys[TWO]}
    assert stores.retention.marked(longer_than_s=-1e9) == ()
