"""Batches over HTTP: submitted, watched, paused, canceled, retried, and fetched."""

import io
import json
import tarfile
import zipfile
from typing import Any

import pytest
from api_trial import Trial, put_vector
from flask.testing import FlaskClient

from storage.batch_records import Chunk
from storage.library_records import Kept
from storage.objects import output_key
from storage.records import Claim, ObjectRef
from storage.results import Results

SEEDS = {"type": "seeds", "seed": 5, "count": 4}
DIGEST = "ab" * 32


def wanted(trial: Trial) -> dict[str, Any]:
    return {"kind": "apply", "vectors": [{"vector": put_vector(trial)}]}


def submit(client: FlaskClient, trial: Trial, **members: Any) -> dict[str, Any]:
    answer = client.post("/v1/batches", json={"spec": wanted(trial), "inputs": SEEDS, **members})
    assert answer.status_code == 202, answer.text
    assert answer.headers["Location"] == f"/v1/batches/{answer.json['id']}"
    return dict(answer.json)


def claim(trial: Trial, queue: str) -> Claim:
    claimed = trial.stores.jobs.claim(queue, f"host:1:{queue}", lease_s=30)
    assert claimed is not None
    return claimed


def put(trial: Trial, mine: Claim, name: str, *lines: Any) -> dict[str, ObjectRef]:
    key = output_key("local", mine.job.id, mine.job.attempt, name)
    data = "".join(json.dumps(line) + "\n" for line in lines).encode()
    return {name: trial.stores.objects.put(key, data, "application/jsonl")}


def read(trial: Trial, batch_id: str, chunks: int = 2) -> None:
    """Its inputs were read: chunks of two items."""
    mine = claim(trial, "cpu")
    outputs = put(trial, mine, "items.jsonl") | put(trial, mine, "invalid.jsonl")
    made = tuple(Chunk(batch_id, n, n, 1, "c" * 64, 2) for n in range(chunks))
    counts = {"items": 2 * chunks, "invalid": 0, "chunks": chunks, "estimate": None}
    trial.stores.jobs.succeed(mine, outputs, counts, kept=Kept(chunks=made))


def do_chunk(trial: Trial, **outcome: Any) -> None:
    mine = claim(trial, "gpu")
    counts = {"succeeded": 2, "failed": 0, "canceled": 0, "reused": 0, "errors": {}} | outcome
    newest = [{"id": "a", "result": DIGEST, "file": "picture_00.png"}]
    result = counts | {"device_s": 1.0, "seconds": 2.0, "newest": newest}
    trial.stores.jobs.succeed(mine, put(trial, mine, "ledger.jsonl"), result)


def finish(trial: Trial) -> None:
    mine = claim(trial, "cpu")
    line = {"id": "a/b", "n": 1, "status": "succeeded", "result": DIGEST, "item": {}}
    outputs = put(trial, mine, "results.jsonl", line) | put(trial, mine, "errors.jsonl", {"seed": 8})
    trial.stores.jobs.succeed(mine, outputs, {})


def ended(client: FlaskClient, trial: Trial, **outcome: Any) -> str:
    batch_id = str(submit(client, trial)["id"])
    read(trial, batch_id, 1)
    do_chunk(trial, **outcome)
    Results(trial.stores.objects, "local").put(DIGEST, {"picture_00.png": b"png"}, {"figures": {}})
    finish(trial)
    return batch_id


def test_a_batch_is_accepted_at_once_and_rings_for_its_inputs_to_be_read(
    client: FlaskClient, trial: Trial
) -> None:
    batch = submit(client, trial)
    assert (batch["status"], batch["priority"], batch["spec"]["on_invalid"]) == ("validating", "bulk", "skip")
    assert trial.rung == [("cpu", batch["id"])]
    assert client.get("/v1/jobs").json["items"] == []
    listed = client.get("/v1/batches?status=validating").json["items"]
    assert [each["id"] for each in listed] == [batch["id"]]


def test_a_batch_tells_counts_rate_time_left_workers_and_previews(client: FlaskClient, trial: Trial) -> None:
    batch_id = submit(client, trial)["id"]
    read(trial, batch_id, 3)
    do_chunk(trial, succeeded=1, failed=1, errors={"unreadable_picture": 1})
    running = claim(trial, "gpu").job
    message = {"type": "progress", "attempt": 1, "step": 1, "total": 2, "seconds": 0.5, "losses": {}}
    trial.stores.progress.publish(running.id, message)
    batch = client.get(f"/v1/batches/{batch_id}").json
    assert batch["status"] == "running"
    assert batch["counts"] == {
        "items": 6, "invalid": 0, "succeeded": 1, "failed": 1, "canceled": 0, "reused": 0, "running": 1,
        "left": 3,
    }  # fmt: skip
    assert (batch["items_per_s"], batch["seconds_left"], batch["busy_share"]) == (2.0, 1.5, 0.5)
    assert batch["errors"] == {"unreadable_picture": 1}
    assert [(each["worker"], each["done"]) for each in batch["workers"]] == [("host:1:gpu", 1)]
    assert batch["previews"] == [{"id": "a", "url": f"/v1/results/{DIGEST}/picture_00.png"}]


def test_an_ended_batch_gives_lists_results_and_archives(client: FlaskClient, trial: Trial) -> None:
    batch_id = ended(client, trial)
    batch = client.get(f"/v1/batches/{batch_id}").json
    assert batch["status"] == "succeeded"
    assert sorted(batch["files"]) == ["errors", "invalid", "items", "results"]
    assert client.get(batch["files"]["results"]["url"]).get_json(force=True)["id"] == "a/b"
    picture = client.get(batch["previews"][0]["url"])
    assert (picture.data, picture.mimetype) == (b"png", "image/png")
    assert client.get(f"/v1/results/{DIGEST}/other.png").status_code == 404
    assert client.get(f"/v1/results/{'cd' * 32}/picture_00.png").status_code == 404
    sent = client.get(batch["archive_url"]).data
    with zipfile.ZipFile(io.BytesIO(sent)) as file:
        assert file.read("a/b/picture_00.png") == b"png"
        assert "results.jsonl" in file.namelist()
    with tarfile.open(fileobj=io.BytesIO(client.get(f"{batch['archive_url']}?format=tar").data)) as tar:
        assert "a/b/picture_00.png" in tar.getnames()


def test_no_archive_before_the_end(client: FlaskClient, trial: Trial) -> None:
    batch_id = submit(client, trial)["id"]
    answer = client.get(f"/v1/batches/{batch_id}/archive")
    assert (answer.status_code, answer.json["code"]) == (409, "batch_not_ended")
    assert client.get(f"/v1/batches/{batch_id}/files/results").status_code == 404


def test_pause_resume_priority_and_cancel(client: FlaskClient, trial: Trial) -> None:
    batch_id = submit(client, trial)["id"]
    read(trial, batch_id)
    assert client.post(f"/v1/batches/{batch_id}/pause").json["paused"]
    assert trial.stores.jobs.eligible("gpu") == 0
    assert not client.post(f"/v1/batches/{batch_id}/resume").json["paused"]
    assert trial.rung[-1] == ("gpu", batch_id)
    changed = client.patch(f"/v1/batches/{batch_id}", json={"priority": "standard"})
    assert changed.json["priority"] == "standard"
    running = claim(trial, "gpu").job
    canceled = client.post(f"/v1/batches/{batch_id}/cancel")
    assert (canceled.status_code, canceled.json["cancel_requested"]) == (202, True)
    assert trial.stores.progress.cancel_noticed(running.id)


def test_a_retry_is_a_new_batch_of_what_was_left(client: FlaskClient, trial: Trial) -> None:
    batch_id = ended(client, trial, succeeded=1, failed=1, errors={"unreadable_picture": 1})
    again = client.post(f"/v1/batches/{batch_id}/retry")
    assert (again.status_code, again.json["retry_of"]) == (202, batch_id)
    assert again.json["spec"]["inputs"] == {"type": "batch", "batch": batch_id, "bucket": None}
    running = again.json["id"]
    refused = client.post(f"/v1/batches/{running}/retry")
    assert (refused.status_code, refused.json["code"]) == (409, "batch_not_ended")


def test_a_key_answers_with_the_same_batch(client: FlaskClient, trial: Trial) -> None:
    spec, headers = wanted(trial), {"Idempotency-Key": "k"}
    asked = {"spec": spec, "inputs": SEEDS}
    first, second = (client.post("/v1/batches", json=asked, headers=headers) for _ in range(2))
    assert first.json["id"] == second.json["id"]
    assert second.headers["Idempotency-Replayed"] == "true"
    other = client.post("/v1/batches", json=asked | {"dry_run": True}, headers=headers)
    assert (other.status_code, other.json["code"]) == (422, "idempotency_key_reused")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"spec": {"kind": "sample"}}, "spec"),
        ({"spec": {"kind": "invert", "image": "0" * 32}}, "spec"),
        ({"spec": {"kind": "invert", "steps": "many"}}, "spec"),
        ({"spec": {"kind": "invert", "steps": 5, "tune_steps": 3}}, "spec.tune_steps"),
        ({"spec": {"kind": "invert"}}, "inputs.type"),
        ({"spec": {"kind": "invert", "model": "boats"}}, "spec.model"),
        ({"spec": {"kind": "apply", "vectors": [{"vector": "0" * 32}]}}, "spec.vectors.0.vector"),
        (
            {"spec": {"kind": "edit", "mask_operations": [{"op": "grow", "part": "wing", "px": 1}]}},
            "spec.mask_operations.0.part",
        ),
        ({"inputs": {"type": "manifest", "file": "0" * 32}}, "inputs.file"),
        ({"inputs": {"type": "tar", "files": ["0" * 32]}}, "inputs.files.0"),
        ({"inputs": {"type": "prefix", "bucket": "elsewhere"}}, "inputs.bucket"),
        ({"inputs": {"type": "batch", "batch": "0" * 32}}, "inputs.batch"),
        ({"output": {"bucket": "elsewhere"}}, "output.bucket"),
        ({"options": {"webhook": {"url": "https://example.org"}}}, "options.webhook"),
        ({"on_invalid": "ignore"}, "on_invalid"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_what_is_wrong_with_a_batch_is_named(
    client: FlaskClient, trial: Trial, change: dict[str, Any], field: str
) -> None:
    asked = {"spec": wanted(trial), "inputs": SEEDS} | change
    answer = client.post("/v1/batches", json=asked)
    assert answer.status_code in (404, 422), answer.text
    assert answer.json["field"] == field
    assert trial.stores.batches.list("local").items == ()
    assert trial.rung == []


def test_another_tenants_batch_is_not_there(client: FlaskClient, trial: Trial) -> None:
    other = trial.stores.batches.add("somebody", {"spec": {}})
    for method, path in (("get", ""), ("post", "/pause"), ("post", "/cancel"), ("get", "/archive")):
        answer = getattr(client, method)(f"/v1/batches/{other.id}{path}")
        assert (answer.status_code, answer.json["code"]) == (404, "batch_not_found")
