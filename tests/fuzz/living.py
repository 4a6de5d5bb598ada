"""Things that a service under test has, in every state, so that ids made up by dice name something after all.

An id of nothing is told 404 before anything else is looked at. Two of three requests therefore get one of a
thing that is there, most made for that very request, which may use it up.
"""

import itertools
import re
from collections.abc import Callable, Mapping
from typing import Any

from api_trial import Trial, cars, mask_png, picture, put_vector, upload
from flask.testing import FlaskClient

from storage.batch_records import Chunk
from storage.file_records import File
from storage.key_records import Scope
from storage.library_records import Kept, Model
from storage.objects import file_key, model_key, output_key
from storage.options import JobOptions, Webhook
from storage.records import GPU_QUEUE, LOCAL_TENANT, Claim, ObjectRef, Priority, new_id
from storage.results import Results

IDENTIFIER = re.compile(r"[0-9a-f]{32}")
WORKER, OUTPUT, RESULT = "host:1:gpu", "mask.png", "ab" * 32
HOOK = Webhook(url="https://example.org/hook", events=("queued", "succeeded", "failed", "canceled"))
FIRST = JobOptions(priority=Priority.INTERACTIVE, webhook=HOOK)  # what is to be claimed here, at once
BATCH = {"inputs": {"type": "seeds", "seed": 5, "count": 2}}
ENDED_ALONE = ("watchJob", "watchBatch", "getJob")  # the others' streams, and waits, would go on
NAMES = {
    "getModel": "cars", "getVectorFile": "delta_w", "getJobOutput": OUTPUT,
    "getResultFile": "picture_00.png", "pauseQueue": "gpu", "resumeQueue": "gpu",
    "drainWorker": WORKER, "undrainWorker": WORKER,
}  # fmt: skip


class Living:
    """All of it the local tenant's. `key`: an admin's, another one once it was revoked."""

    def __init__(self, trial: Trial) -> None:
        self._stores, self._app = trial.stores, trial.app
        self.renew_key()
        self._stores.progress.present({"name": WORKER, "queue": GPU_QUEUE}, ttl_s=3600)
        self._image = upload(self._client(), picture())
        self._mask = upload(self._client(), mask_png(), "mask")
        self._vector = put_vector(trial)
        self._inversion, self._known_file = self._inverted(), self._file()
        start = {"image": None, "inversion": self._inversion, "seed": None}
        wheel = {"op": "scale", "part": "wheel", "factor": 1.4}
        aim = {"name": "larger", "mask_operations": [wheel]}
        drawn = [{"seed": seed, "mask": self._mask} for seed in (1, 2)]
        self._fitting: dict[str, dict[str, Any]] = {
            "edit": {"image": None, "inversion": self._inversion, "mask": None, "mask_operations": [wheel]},
            "learn_vector": {**start, "targets": [aim]},
            "apply": {**start, "inputs": [], "vectors": [{"vector": self._vector}]},
            "train_segmenter": {"annotations": drawn, "folds": 0},
        }
        Results(self._stores.objects, LOCAL_TENANT).put(
            RESULT, {"picture_00.png": picture()}, {"figures": {}}
        )
        ended = [self._batch(ended=True), self._batch(ended=True, failed=1)]
        self._ended_batches = itertools.cycle(ended)
        self._jobs = itertools.cycle((self._queued, self._running, *(self._ended_jobs())))
        self._ended = itertools.cycle(self._ended_jobs())
        self._batches = itertools.cycle((self._batch, *(lambda: next(self._ended_batches) for _ in ended)))
        self._put_vector = lambda: put_vector(trial)

    def renew_key(self) -> None:
        _, key = self._stores.keys.create(LOCAL_TENANT, "fuzz", Scope.ADMIN)
        self.key = key.text

    def into_path(self, operation: str, path: dict[str, Any]) -> None:
        """Names of things that are there instead of those made up."""
        made: dict[str, str] = {}
        for name, told in path.items():
            if isinstance(told, str):
                found = self._named(operation, name, made)
                made[name] = path[name] = told if found is None else found

    def into_body(self, operation: str, body: Any, *, valid: bool) -> None:
        """The same for identifiers in it, by the member's name. A valid body is made to fit together, too, as
        no schema says it: one place to start from, one aim."""
        if isinstance(body, dict):
            self._fill(body)
            if valid and operation == "submitJob":
                body |= self._fitting.get(str(body.get("kind")), {})
            if valid and operation == "submitBatch":
                body["spec"] = {"kind": "apply", "vectors": [{"vector": self._vector}]}
                if body.get("inputs", {}).get("type") == "manifest":
                    body["inputs"] |= {"file": self._known_file, "key": None}

    def cursor(self, path: str) -> str | None:
        """Of the second page of a list."""
        page = self._client().get(path, query_string={"limit": 1}).get_json()
        return page.get("next_cursor")

    def _named(self, operation: str, name: str, made: Mapping[str, str]) -> str | None:
        if name == "delivery_id":
            return f"{made.get('job_id')}-1"
        if name == "name" and operation in ("deleteModel", "getModelPreview"):
            return self._model()
        fixed = {"digest": RESULT, "role": "results", "code": "job_not_found", "name": NAMES.get(operation)}
        if name in fixed:
            return fixed[name]
        makers: dict[str, Callable[[], str]] = {
            "job_id": next(self._ended if operation in (*ENDED_ALONE, "deleteJob") else self._jobs),
            "batch_id": (lambda: next(self._ended_batches))
            if operation in (*ENDED_ALONE, "getBatchFile", "getBatchArchive")
            else next(self._batches),
            "image_id": lambda: upload(self._client(), picture()),
            "file_id": self._file,
            "vector_id": self._put_vector,
            "key_id": lambda: self._stores.keys.create(LOCAL_TENANT, "spare", Scope.READ)[0].id,
        }
        if operation == "getJobOutput":
            return self._inversion
        if operation == "resendDelivery":
            return self._told()
        return makers[name]()

    def _fill(self, value: Any) -> None:
        known = {"image": self._image, "images": self._image, "mask": self._mask, "vector": self._vector,
                 "inversion": self._inversion, "file": self._known_file}  # fmt: skip
        members = value.items() if isinstance(value, dict) else enumerate(value)
        for name, told in list(members):
            if isinstance(told, dict | list):
                self._fill(told)
                if name == "files" and told and isinstance(told[0], str):
                    value[name] = [self._known_file]
            elif name in known and isinstance(told, str) and IDENTIFIER.fullmatch(told):
                value[name] = known[name]
            elif name == "model" and isinstance(told, str) and told[:1].isalpha():
                value[name] = "cars"

    def _client(self) -> FlaskClient:
        client = self._app.test_client()
        client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {self.key}"
        return client

    def _queued(self) -> str:
        return self._stores.jobs.add(LOCAL_TENANT, "sample", {"kind": "sample", "model": "cars"}).id

    def _claimed(self, kind: str = "sample", **spec: str) -> Claim:
        told = {"kind": kind, "model": "cars", **spec}
        added = self._stores.jobs.add(LOCAL_TENANT, kind, told, options=FIRST)
        while (claim := self._claim(GPU_QUEUE)).job.id != added.id:
            pass  # one that a request has made as hasty
        return claim

    def _claim(self, queue: str) -> Claim:
        claim = self._stores.jobs.claim(queue, "host:2:any", lease_s=3600)
        assert claim is not None
        return claim

    def _running(self) -> str:
        return self._claimed().job.id

    def _ended_jobs(self) -> tuple[Callable[[], str], ...]:
        return self._succeeded, self._failed, self._canceled

    def _succeeded(self) -> str:
        claim = self._claimed()
        self._stores.jobs.succeed(claim, self._lines(claim, OUTPUT), {"figures": {}})
        return claim.job.id

    def _inverted(self) -> str:
        claim = self._claimed("invert", image=self._image)
        key = output_key(LOCAL_TENANT, claim.job.id, claim.job.attempt, OUTPUT)
        outputs = {OUTPUT: self._stores.objects.put(key, mask_png(), "image/png")}
        self._stores.jobs.succeed(claim, outputs, {"model_digest": cars().digest})
        return claim.job.id

    def _told(self) -> str:
        """One whose first webhook call was made."""
        job_id = self._succeeded()
        self._stores.outbox.delivered(self._stores.outbox.list(LOCAL_TENANT, job_id)[0])
        return job_id

    def _failed(self) -> str:
        claim = self._claimed()
        self._stores.jobs.fail(claim, {"code": "out_of_memory", "detail": "There is too little memory."})
        return claim.job.id

    def _canceled(self) -> str:
        return self._stores.jobs.request_cancel(LOCAL_TENANT, self._queued()).id

    def _lines(self, claim: Claim, name: str) -> dict[str, ObjectRef]:
        key = output_key(LOCAL_TENANT, claim.job.id, claim.job.attempt, name)
        return {name: self._stores.objects.put(key, b'{"seed": 8}\n', "application/jsonl")}

    def _batch(self, *, ended: bool = False, failed: int = 0) -> str:
        """Being read; or ended, with what it left."""
        spec = {"kind": "apply", "model": "cars", "vectors": [{"vector": self._vector}]}
        told = {"spec": spec, **BATCH}
        batch_id = self._stores.batches.add(LOCAL_TENANT, told, priority=Priority.INTERACTIVE).id
        if ended:
            succeed = self._stores.jobs.succeed
            reading = self._claim("cpu")
            chunks = Kept(chunks=(Chunk(batch_id, 0, 0, 1, "c" * 64, 2),))
            counts = {"items": 2, "invalid": 0, "chunks": 1, "estimate": None}
            files = self._lines(reading, "items.jsonl") | self._lines(reading, "invalid.jsonl")
            succeed(reading, files, counts, kept=chunks)
            doing = self._claim(GPU_QUEUE)
            done = {"succeeded": 2 - failed, "failed": failed, "canceled": 0, "reused": 0, "errors": {}}
            newest = [{"id": "a", "result": RESULT, "file": "picture_00.png"}]
            result = {**done, "device_s": 1.0, "seconds": 2.0, "newest": newest}
            succeed(doing, self._lines(doing, "ledger.jsonl"), result)
            ending = self._claim("cpu")
            succeed(ending, self._lines(ending, "results.jsonl") | self._lines(ending, "errors.jsonl"), {})
        return batch_id

    def _file(self) -> str:
        ref = self._stores.objects.put(file_key(LOCAL_TENANT, new_id() * 2), b"text", "text/plain")
        return self._stores.library.add_file(File(new_id(), LOCAL_TENANT, ref, None, 0.0)).id

    def _model(self) -> str:
        name = f"model-{new_id()}"
        ref = self._stores.objects.put(model_key(LOCAL_TENANT, name, "e" * 64, "g"), b"x", "image/png")
        own = Model(new_id(), LOCAL_TENANT, name, "e" * 64, 16, cars().parts, {}, {"preview": ref}, {}, 0.0)
        return self._stores.library.put_model(own).name
