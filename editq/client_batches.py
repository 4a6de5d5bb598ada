"""What the client asks of batches: many inputs under one spec."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import httpx
from httpx_sse import EventSource
from pydantic import BaseModel

from editq.archives import check_whole, checked_name, new_file, sha256_of, unpack_tar
from editq.calls import JSON, Calls
from editq.problems import check, plain_errors
from storage.batch_records import BatchStatus
from storage.batch_specs import BatchOptions, Inputs, OutputPlace
from storage.dataset_specs import Written
from storage.errors import EditqError, InvalidInput, NotFound

_PIECE_BYTES = 1 << 20
_SILENCE_S = 40.0  # of an event stream, which sends at least a comment every 15 s
_PAUSE_S, _LONGEST_PAUSE_S = 0.25, 2.0  # between two looks at a batch


class BatchCalls(Calls):
    """The part of Client that is about batches. Every method may raise EditqError."""

    def submit_batch(
        self,
        spec: Mapping[str, Any],
        inputs: Inputs | Mapping[str, Any],
        *,
        on_invalid: Literal["skip", "stop"] = "skip",
        dry_run: bool = False,
        output: OutputPlace | Mapping[str, Any] | None = None,
        dataset: Written | Mapping[str, Any] | None = None,
        truncation_psi: float | None = None,
        options: BatchOptions | Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> JSON:
        """The batch, whose inputs are read next. `spec` is a job's, of kind invert, edit or apply, without
        its picture; `inputs` are those of `upload_folder`, or another form of storage.batch_specs.

        The key is made here unless one is given: the same key again, with the same request, is the same
        batch.
        """
        asked = {"output": output, "dataset": dataset, "truncation_psi": truncation_psi, "options": options}
        body = {
            "spec": dict(spec),
            "inputs": _plain(inputs),
            "on_invalid": on_invalid,
            "dry_run": dry_run,
            **{name: _plain(value) for name, value in asked.items() if value is not None},
        }
        return self._once("/v1/batches", idempotency_key, json=body)

    def list_batches(self, *, status: str | None = None, limit: int | None = None) -> Iterator[JSON]:
        """Newest first; all of them unless there is a limit. Without workers and previews."""
        return self._pages("/v1/batches", {"status": status}, limit)

    def batch(self, batch_id: str) -> JSON:
        """As it is: counts, rate, time left, who works on it, what was made last."""
        return self._json("GET", f"/v1/batches/{batch_id}")

    def watch_batch(self, batch_id: str) -> Iterator[JSON]:
        """The batch whenever it has changed, until it has ended; that is the last item.

        Listens to the event stream, connects again where it breaks, and looks itself where there is none.
        `previews` and `result` are as new as the last look. Raises Unavailable once the service has been away
        for `retry_s`.
        """
        view = self.batch(batch_id)
        while not batch_ended(view):
            yield view
            try:
                for told in self._batch_events(batch_id):
                    if batch_ended(told):
                        break
                    view = {**view, **told}
                    yield view
            except NotFound:
                raise
            except EditqError:
                time.sleep(_LONGEST_PAUSE_S / 2)
            view = self._patiently(lambda: self.batch(batch_id))
            if not batch_ended(view):
                time.sleep(_PAUSE_S)
        yield view

    def wait_batch(
        self,
        batch_id: str,
        *,
        progress: Callable[[JSON], None] | None = None,
        timeout_s: float | None = None,
    ) -> JSON:
        """The batch once it has ended, however it ended; `progress` is told how it stands meanwhile. Raises
        TimeoutError, and Unavailable once the service has been away for `retry_s`."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        pause_s = _PAUSE_S
        while True:
            view = self._patiently(lambda: self.batch(batch_id))
            if progress is not None:
                progress(view)
            if batch_ended(view):
                return view
            if deadline is not None and time.monotonic() + pause_s > deadline:
                raise TimeoutError(f"batch {batch_id} is still {view['status']} after {timeout_s} s")
            time.sleep(pause_s)
            pause_s = min(1.5 * pause_s, _LONGEST_PAUSE_S)

    def pause_batch(self, batch_id: str) -> JSON:
        """No further chunk begins, and those that run give way at their next checkpoint."""
        return self._json("POST", f"/v1/batches/{batch_id}/pause")

    def resume_batch(self, batch_id: str) -> JSON:
        return self._json("POST", f"/v1/batches/{batch_id}/resume")

    def cancel_batch(self, batch_id: str) -> JSON:
        """What was done can still be fetched, once the batch has ended."""
        return self._json("POST", f"/v1/batches/{batch_id}/cancel")

    def retry_batch(self, batch_id: str, *, idempotency_key: str | None = None) -> JSON:
        """The new batch of those items that did not succeed."""
        return self._once(f"/v1/batches/{batch_id}/retry", idempotency_key)

    def prioritise_batch(self, batch_id: str, priority: str) -> JSON:
        """Move what is left of it to another class."""
        return self._json("PATCH", f"/v1/batches/{batch_id}", json={"priority": priority})

    def batch_lines(self, batch_id: str, role: str) -> Iterator[JSON]:
        """The lines of one of its lists, as they arrive: items and invalid once its inputs were read; results
        and errors when it has ended. Raises OutputNotFound."""
        with plain_errors(), self._http.stream("GET", f"/v1/batches/{batch_id}/files/{role}") as answer:
            check(answer)
            for line in answer.iter_lines():
                yield json.loads(line)

    def download_batch_file(self, batch_id: str, role: str, path: Path) -> None:
        """Write one of its lists, or a file of its data set, to a new file, whole or not at all. Raises
        InvalidInput where there is one of this name."""
        with new_file(path) as file:
            for piece in self._pieces(f"/v1/batches/{batch_id}/files/{role}"):
                file.write(piece)

    def download_dataset(self, batch_id: str, folder: Path) -> list[Path]:
        """The files of the data set that it has written, in a folder; those that are there already are not
        fetched again. Raises InvalidInput where it has none, or another file is in the way."""
        files = {name: told for name, told in self.batch(batch_id)["files"].items() if "." in name}
        if not files:
            raise InvalidInput(f"Batch {batch_id} has written no data set (yet, or it has expired).")
        folder.mkdir(parents=True, exist_ok=True)
        paths = [folder / checked_name(name) for name in files]
        for path in paths:
            if not (path.is_file() and sha256_of(path) == files[path.name]["sha256"]):
                self.download_batch_file(batch_id, path.name, path)
        return paths

    def result_file(self, digest: str, name: str) -> bytes:
        """One file of an item's result; `result.json` says what made it."""
        return self._request("GET", f"/v1/results/{digest}/{name}").content

    def download_batch(
        self,
        batch_id: str,
        path: Path,
        format: Literal["zip", "tar"] = "zip",
        *,
        told: Callable[[int], None] | None = None,
    ) -> None:
        """Write all its results to a new file, whole or not at all: ID/NAME for each file of each item.

        `told` is told how many bytes have come. Raises BatchNotEnded; InvalidInput where there is a file of
        this name; Unavailable for an archive that was cut off.
        """
        with new_file(path) as file:
            for piece in self._archive(batch_id, format, told):
                file.write(piece)
            file.flush()
            check_whole(Path(file.name), format)

    def unpack_batch(self, batch_id: str, folder: Path, *, told: Callable[[int], None] | None = None) -> int:
        """The same into a new folder, whole or not at all; how many files. A name that would lead out of it
        is refused."""
        return unpack_tar(self._archive(batch_id, "tar", told), folder)

    def _archive(self, batch_id: str, format: str, told: Callable[[int], None] | None) -> Iterator[bytes]:
        came = 0
        for piece in self._pieces(f"/v1/batches/{batch_id}/archive", params={"format": format}):
            came += len(piece)
            if told is not None:
                told(came)
            yield piece

    def _pieces(self, path: str, **arguments: Any) -> Iterator[bytes]:
        with plain_errors(), self._http.stream("GET", path, **arguments) as answer:
            check(answer)
            yield from answer.iter_bytes(_PIECE_BYTES)

    def _batch_events(self, batch_id: str) -> Iterator[JSON]:
        headers = {"Accept": "text/event-stream"}
        timeout = httpx.Timeout(self._http.timeout.read, read=_SILENCE_S)
        with plain_errors():
            stream = self._http.stream(
                "GET", f"/v1/batches/{batch_id}/events", headers=headers, timeout=timeout
            )
            with stream as answer:
                check(answer)
                for event in EventSource(answer).iter_sse():
                    if event.data:
                        yield event.json()


def batch_ended(view: Mapping[str, Any]) -> bool:
    return BatchStatus(view["status"]).ended


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_none=True)
    return dict(value) if isinstance(value, Mapping) else value
