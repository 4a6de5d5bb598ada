"""Jobs, queues and workers as tables for a terminal."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table

from editq.batch_errors import Wrong
from editq.live import describe
from editq.live_batch import counted, done, span, state_of

JSON = Mapping[str, Any]
_COUNTS = ("failures", "outages", "out_of_memory", "lost", "drains")


def jobs_table(jobs: Iterable[JSON], now: datetime | None = None) -> Table:
    table = _table("id", "kind", "status", "priority", "submitted")
    table.add_column("", overflow="fold")
    for job in jobs:
        submitted = _ago(job["created_at"], now or datetime.now(UTC))
        table.add_row(job["id"], job["kind"], job["status"], job["priority"], submitted, _note(job))
    return table


def job_table(job: JSON) -> Table:
    """One job, a line for each thing that there is to say of it."""
    return _lines_table(_lines(job))


def vectors_table(vectors: Iterable[JSON], now: datetime | None = None) -> Table:
    table = _table("id", "name", "model", "type", "made")
    table.add_column("tags", overflow="fold")
    for vector in vectors:
        made = "bundled" if vector["tenant"] == "system" else _ago(vector["created_at"], now or _now())
        row = (vector["id"], vector["name"], vector["model"], vector["editing_type"], made)
        table.add_row(*map(escape, row), escape(", ".join(vector["tags"])))
    return table


def vector_table(vector: JSON) -> Table:
    """One vector, a line for each thing that there is to say of it."""
    return _lines_table(_vector_lines(vector))


def models_table(models: Iterable[JSON]) -> Table:
    table = _table("name", "px", "digest", "owner")
    table.add_column("parts", overflow="fold")
    for model in models:
        owner = "bundled" if model["tenant"] == "system" else ""
        parts = ", ".join(part["name"] for part in model["parts"])
        size = str(model["resolution_px"])
        table.add_row(escape(model["name"]), size, model["digest"][:12], owner, escape(parts))
    return table


def keys_table(keys: Iterable[JSON], now: datetime | None = None) -> Table:
    table = _table("id", "begins with", "scope", "name", "state", "made", "last used")
    now = now or _now()
    for key in keys:
        used = "never" if key["last_used_at"] is None else _ago(key["last_used_at"], now)
        row = (key["id"], f"editq_{key['prefix']}_…", key["scope"], key["name"], _key_state(key, now))
        table.add_row(*map(escape, row), _ago(key["created_at"], now), used)
    return table


def _key_state(key: JSON, now: datetime) -> str:
    if key["revoked_at"] is not None:
        return "revoked"
    if key["expires_at"] is None:
        return "holds"
    expires = datetime.fromisoformat(key["expires_at"])
    return "expired" if expires <= now else f"holds until {expires:%Y-%m-%d %H:%M} UTC"


def model_table(model: JSON) -> Table:
    """One model, a line for each thing that there is to say of it."""
    return _lines_table(_model_lines(model))


def images_table(images: Iterable[JSON], now: datetime | None = None) -> Table:
    table = _table("id", "role", "size", "bytes", "uploaded")
    table.add_column("name", overflow="fold")
    for image in images:
        size = f"{image['width_px']} x {image['height_px']}"
        uploaded = _ago(image["created_at"], now or _now())
        name = escape(image["filename"] or "")
        table.add_row(image["id"], image["role"], size, f"{image['byte_size']:,}", uploaded, name)
    return table


def files_table(files: Iterable[JSON], now: datetime | None = None) -> Table:
    table = _table("id", "bytes", "uploaded")
    table.add_column("name", overflow="fold")
    for file in files:
        uploaded = _ago(file["created_at"], now or _now())
        table.add_row(file["id"], f"{file['byte_size']:,}", uploaded, escape(file["filename"] or ""))
    return table


def queues_table(queues: Iterable[JSON], now: datetime | None = None) -> Table:
    table = _table("queue", "state", "queued", "eligible", "running", "oldest")
    for queue in queues:
        state = "paused" if queue["paused"] else "open"
        counts = (str(queue[name]) for name in ("queued", "eligible", "running"))
        oldest = queue["oldest_created_at"]
        table.add_row(queue["name"], state, *counts, _ago(oldest, now or datetime.now(UTC)) if oldest else "")
    return table


def workers_table(workers: Iterable[JSON]) -> Table:
    table = _table("worker", "queue", "state", "device")
    table.add_column("runs", overflow="fold")
    for worker in workers:
        runs = [*worker["jobs"], *([f"{worker['others']} of others"] if worker["others"] else [])]
        queue, device = worker["queue"] or "", worker["device"] or ""
        table.add_row(worker["name"], queue, worker["state"], device, ", ".join(runs))
    return table


def usage_table(usage: JSON) -> Table:
    table = _table("day (UTC)", "kind", "jobs", "attempts", "GPU time")
    for item in usage["items"]:
        counts = (str(item[name]) for name in ("jobs", "attempts"))
        table.add_row(item["day"], item["kind"], *counts, _hours(item["gpu_s"]))
    table.add_section()
    table.add_row("in all", "", str(usage["jobs"]), str(usage["attempts"]), _hours(usage["gpu_s"]))
    return table


def _hours(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 3600:.2f} h"


def batches_table(batches: Iterable[JSON], now: datetime | None = None) -> Table:
    table = _table("id", "kind", "state", "items", "priority", "submitted")
    table.add_column("", overflow="fold")
    for batch in batches:
        items = f"{done(batch)}/{batch['counts']['items']}"
        submitted = _ago(batch["created_at"], now or _now())
        note = (batch["error"] or {}).get("code") or counted(batch["counts"])
        kind = batch["spec"]["spec"]["kind"]
        table.add_row(batch["id"], kind, state_of(batch), items, batch["priority"], submitted, escape(note))
    return table


def batch_table(batch: JSON) -> Table:
    """One batch, a line for each thing that there is to say of it."""
    return _lines_table(_batch_lines(batch))


def wrong_table(wrongs: Iterable[Wrong]) -> Table:
    """What went wrong in a batch, by error code, with examples."""
    table = _table("code", "items", "")
    table.add_column("such as", overflow="fold")
    for wrong in wrongs:
        examples = "\n".join(f"{example['id']}: {example['detail']}" for example in wrong.examples)
        what = "refused" if wrong.refused else "failed"
        table.add_row(escape(wrong.code), str(wrong.count), what, escape(examples))
    return table


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False, header_style="dim")
    for column in columns:
        table.add_column(column, no_wrap=True)
    return table


def _lines_table(lines: Iterable[tuple[str, Any]]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in lines:
        if value not in (None, "", [], {}):
            table.add_row(escape(name), escape(str(value)))
    return table


def _note(job: JSON) -> str:
    """The one thing worth a word in a list."""
    if job["error"]:
        return str(job["error"].get("code", ""))
    if job["status"] == "running":
        asked = "canceling, " if job["cancel_requested"] else "stopping, " if job["stop_requested"] else ""
        return asked + describe(dict(job))
    return "stopped early" if job["result"].get("stopped_early") else ""


def _lines(job: JSON) -> Iterable[tuple[str, Any]]:
    counts = ", ".join(f"{job[name]} {name}" for name in _COUNTS if job[name])
    error = job["error"] or {}
    yield "id", job["id"]
    yield "kind", job["kind"]
    yield "status", describe(dict(job))
    yield "priority", job["priority"]
    yield "model", job["spec"].get("model")
    yield "submitted", job["created_at"]
    yield "started", job["started_at"]
    yield "ended", job["ended_at"]
    yield "start by", job["start_by"]
    yield "finish by", job["finish_by"]
    yield "attempts", f"{job['attempt']}" + (f" ({counts})" if counts else "") if job["attempt"] else None
    yield "worker", job["worker"]
    open_deeds = () if job["ended_at"] else ("cancel", "stop")
    yield "asked to", ", ".join(deed for deed in open_deeds if job[f"{deed}_requested"])
    yield "retry of", job["retry_of"]
    yield "webhook", (job["webhook"] or {}).get("url")
    yield "error", f"{error.get('code')}: {error.get('detail')}" if error else None
    yield from ((name, value) for name, value in job["result"].items() if name != "model")
    yield "outputs", ", ".join(job["outputs"]) or ("expired" if job["outputs_expired_at"] else None)


def _vector_lines(vector: JSON) -> Iterable[tuple[str, Any]]:
    report = vector["report"] or {}
    low, high = report.get("recommended") or (None, None)
    yield "id", vector["id"]
    yield "name", vector["name"]
    yield "editing type", vector["editing_type"]
    yield "tags", ", ".join(vector["tags"])
    yield "model", f"{vector['model']} ({vector['model_digest'][:12]})"
    yield "parts", ", ".join(vector["q_edit"])
    yield "owner", "bundled" if vector["tenant"] == "system" else None
    yield "learned by job", vector["job_id"]
    yield "made", vector["created_at"]
    yield "strengths", None if low is None else f"{low} to {high} recommended"
    yield "refinement", "advised" if report.get("refinement_advised") else None
    plain = {name: value for name, value in vector["facts"].items() if not isinstance(value, dict | list)}
    yield from plain.items()
    yield "files", ", ".join(vector["files"])


def _batch_lines(batch: JSON) -> Iterable[tuple[str, Any]]:
    spec, result, error = batch["spec"], batch["result"], batch["error"] or {}
    estimate = result.get("estimate")
    yield "id", batch["id"]
    yield "kind", spec["spec"]["kind"] + (", a dry run" if spec["dry_run"] else "")
    yield "model", spec["spec"].get("model")
    yield "inputs", spec["inputs"]["type"]
    yield "state", state_of(batch)
    yield "priority", batch["priority"]
    yield "items", f"{done(batch)}/{batch['counts']['items']}" if batch["validated_at"] else None
    yield "of them", counted(batch["counts"])
    yield "chunks", f"{batch['chunks_ended']}/{batch['chunks']}" if batch["chunks"] else None
    yield "rate", f"{batch['items_per_s']:.3g} items/s" if batch["items_per_s"] else None
    yield "left", span(batch["seconds_left"]) if batch["seconds_left"] else None
    yield "estimate", estimated(estimate) if estimate else None
    yield "device", f"{span(batch['device_s'])} of work" if batch["device_s"] else None
    yield "device busy", f"{100 * batch['busy_share']:.0f} %" if batch["busy_share"] else None
    yield "errors", ", ".join(f"{count} {code}" for code, count in batch["errors"].items())
    yield "error", f"{error.get('code')}: {error.get('detail')}" if error else None
    yield "retry of", batch["retry_of"]
    for worker in batch["workers"] or ():
        yield "worker", f"{worker['worker']}: chunk {worker['chunk']}, {worker['done']}/{worker['items']}"
    yield "submitted", batch["created_at"]
    yield "inputs read", batch["validated_at"]
    yield "ended", batch["ended_at"]
    lists = [role for role in batch["files"] if "." not in role]
    yield "lists", ", ".join(lists) or ("expired" if batch["outputs_expired_at"] else None)
    yield (
        "data set",
        f"{len(batch['files']) - len(lists)} files" if len(batch["files"]) > len(lists) else None,
    )


def estimated(estimate: JSON) -> str:
    each_s, measured = estimate["device_s_per_item"], estimate["measured_items"]
    return f"{span(estimate['device_s'])} of a device ({each_s:.2g} s an item, measured on {measured})"


def _model_lines(model: JSON) -> Iterable[tuple[str, Any]]:
    yield "name", model["name"]
    yield "resolution", f"{model['resolution_px']} px"
    yield "parts", ", ".join(part["name"] for part in model["parts"])
    yield from ((f"group {name}", ", ".join(of)) for name, of in model["groups"].items())
    yield "digest", model["digest"]
    yield "owner", "bundled" if model["tenant"] == "system" else None
    yield "made", model["created_at"]
    plain = {name: value for name, value in model["card"].items() if not isinstance(value, dict | list)}
    yield from plain.items()
    yield "files", ", ".join(model["files"])


def _now() -> datetime:
    return datetime.now(UTC)


def _ago(moment: str, now: datetime) -> str:
    seconds = max(0.0, (now - datetime.fromisoformat(moment)).total_seconds())
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"
