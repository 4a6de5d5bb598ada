"""In-memory twins of every store: for tests and trials in one process. Held to the same contract suite."""

import contextlib
import functools
import hashlib
import threading
import time
import weakref
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from storage.errors import ImageInUse, ImageNotFound, ModelNotFound, OutputNotFound
from storage.library import not_yours, refuse_model_in_use, visible_models
from storage.library_records import Model
from storage.listening import Listener
from storage.memory_files import MemoryFiles
from storage.memory_jobs import MemoryJobs, page_of_all
from storage.objects import CHUNK_BYTES, Readable, checked_key, checked_prefix, chunks_of, verified, whole
from storage.plain import plain, storable
from storage.records import Image, ObjectRef, Page
from storage.sources import MemorySource, Sources
from storage.stores import Stores


class MemoryLibrary(MemoryFiles):
    def __init__(self, jobs: MemoryJobs) -> None:
        super().__init__(jobs)
        self.images: dict[str, Image] = {}

    def add_image(self, image: Image) -> Image:
        kept = replace(image, filename=storable(image.filename), created_at=time.time())
        with self.lock:
            self._unmark([image.object])
            self.images[image.id] = kept
        return kept

    def get_image(self, tenant_id: str, image_id: str) -> Image:
        with self.lock:
            image = self.images.get(image_id)
        if image is None or image.tenant_id != tenant_id:
            raise ImageNotFound(f"There is no image {image_id}.")
        return image

    def get_images(self, tenant_id: str, image_ids: Collection[str]) -> dict[str, Image]:
        with self.lock:
            found = (self.images[name] for name in image_ids if name in self.images)
            return {image.id: image for image in found if image.tenant_id == tenant_id}

    def list_images(self, tenant_id: str, *, limit: int = 50, cursor: str | None = None) -> Page[Image]:
        with self.lock:
            mine = [image for image in self.images.values() if image.tenant_id == tenant_id]
        return page_of_all(mine, limit, cursor)

    def delete_image(self, tenant_id: str, image_id: str) -> Image:
        with self.lock:
            self.get_image(tenant_id, image_id)
            job_id = self._jobs.open_job_naming(image_id, tenant_id)
            job_id = job_id or self._jobs.open_job_pasting_into(image_id, tenant_id)
            if job_id is not None:
                raise ImageInUse(f"Job {job_id} has not ended and needs this image.")
            image = self.images.pop(image_id)
            self._forget_inversions_of(tenant_id, image.object.sha256)
        return image

    def _forget_inversions_of(self, tenant_id: str, sha256: str) -> None:
        if any(each.tenant_id == tenant_id and each.object.sha256 == sha256 for each in self.images.values()):
            return
        for place, saved in list(self.inversions.items()):
            if (place[0], saved.inversion.picture_sha256) == (tenant_id, sha256):
                del self.inversions[place]

    def names_object(self, key: str) -> bool:
        with self.lock:
            return any(image.object.key == key for image in self.images.values())

    def get_model(self, tenant_id: str, name: str) -> Model:
        for model in self.list_models(tenant_id):
            if model.name == name:
                return model
        raise ModelNotFound(f"There is no model named {name!r}.", field="model")

    def delete_model(self, tenant_id: str, name: str) -> Model:
        with self.lock:
            model = self.get_model(tenant_id, name)
            if model.tenant_id != tenant_id:
                raise not_yours(model)
            refuse_model_in_use(self._jobs.open_job_naming(f'"{name}"', tenant_id))
            for vector in [each for each in self.vectors.values() if each.model_digest == model.digest]:
                if vector.tenant_id == tenant_id:
                    del self.vectors[vector.id]
            return self.models.pop((tenant_id, name))

    def list_models(self, tenant_id: str) -> tuple[Model, ...]:
        with self.lock:
            return visible_models(tenant_id, self.models.values())


class MemoryObjects:
    def __init__(self) -> None:
        self._objects: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def put(self, key: str, data: bytes | Readable, media_type: str) -> ObjectRef:
        content = b"".join(chunks_of(data))
        with self._lock:
            self._objects[checked_key(key)] = content
        return ObjectRef(key, hashlib.sha256(content).hexdigest(), len(content), media_type)

    def put_content(self, key_of: Callable[[str], str], data: Readable, media_type: str) -> ObjectRef:
        content = b"".join(chunks_of(data))
        return self.put(key_of(hashlib.sha256(content).hexdigest()), content, media_type)

    def get(self, ref: ObjectRef) -> bytes:
        return b"".join(self.stream(ref))

    def stream(self, ref: ObjectRef, *, chunk_bytes: int = CHUNK_BYTES) -> Iterator[bytes]:
        with self._lock:
            content = self._objects.get(checked_key(ref.key))
        if content is None:
            raise OutputNotFound(f"There is no object {ref.key}.")
        starts = range(0, len(content), chunk_bytes)
        return verified(ref, (content[start : start + chunk_bytes] for start in starts))

    def get_range(self, key: str, start: int = 0, byte_size: int | None = None) -> bytes:
        with self._lock:
            content = self._objects.get(checked_key(key))
        if content is None:
            raise OutputNotFound(f"There is no object {key}.")
        return whole(key, content[start : None if byte_size is None else start + byte_size], byte_size)

    def exists(self, key: str) -> bool:
        with self._lock:
            return checked_key(key) in self._objects

    def list(self, prefix: str) -> Iterator[str]:
        checked_prefix(prefix)
        with self._lock:
            return iter([key for key in self._objects if key.startswith(prefix)])

    def delete(self, keys: Iterable[str]) -> None:
        with self._lock:
            for key in keys:
                self._objects.pop(checked_key(key), None)

    def sweep(self, *, older_than_s: float) -> int:  # noqa: ARG002  a put here cannot be cut off
        return 0

    def check(self) -> None:
        """Always there."""


class MemoryProgressBoard:
    def __init__(self) -> None:
        self._latest: dict[str, dict[str, Any]] = {}
        self._listeners: dict[str, weakref.WeakSet[Listener]] = defaultdict(weakref.WeakSet)
        self._cancels: set[str] = set()
        self._workers: dict[str, tuple[float, dict[str, Any]]] = {}
        self._lock = threading.Lock()

    def publish(self, job_id: str, message: Mapping[str, Any]) -> None:
        with self._lock:
            self._latest[job_id] = plain(message)
            for listener in self._listeners.get(job_id, ()):
                listener.tell(plain(message))

    def publish_all(self, messages: Mapping[str, Mapping[str, Any]]) -> None:
        for job_id, message in messages.items():
            self.publish(job_id, message)

    def latest(self, job_id: str) -> dict[str, Any] | None:
        with self._lock:
            message = self._latest.get(job_id)
            return None if message is None else plain(message)

    def listen(self, job_id: str, *, timeout_s: float | None = None) -> Listener:
        listener = Listener(timeout_s=timeout_s)
        with self._lock:
            self._listeners[job_id].add(listener)
        return listener

    def notice_cancel(self, job_id: str) -> None:
        with self._lock:
            self._cancels.add(job_id)

    def cancel_noticed(self, job_id: str) -> bool:
        with self._lock:
            return job_id in self._cancels

    def present(self, worker: Mapping[str, Any], *, ttl_s: float) -> None:
        with self._lock:
            self._workers[str(worker["name"])] = (time.monotonic() + ttl_s, plain(worker))

    def absent(self, name: str) -> None:
        with self._lock:
            self._workers.pop(name, None)

    def workers(self) -> tuple[dict[str, Any], ...]:
        with self._lock:
            now = time.monotonic()
            return tuple(plain(w) for _, (until, w) in sorted(self._workers.items()) if until > now)

    def check(self) -> bool:
        return True


class MemoryLocks:
    def __init__(self) -> None:
        self._holders: dict[str, tuple[float, object]] = {}
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def hold(self, name: str, *, lease_s: float) -> Iterator[bool]:
        me = object()
        with self._lock:
            expires_at, _ = self._holders.get(name, (0.0, None))
            held = expires_at <= time.monotonic()
            if held:
                self._holders[name] = (time.monotonic() + lease_s, me)
        try:
            yield held
        finally:
            with self._lock:
                if self._holders.get(name, (0.0, None))[1] is me:
                    del self._holders[name]


def memory_stores() -> Stores:
    from storage.memory_batches import MemoryBatches
    from storage.memory_keys import MemoryKeys
    from storage.memory_limits import MemoryLimits
    from storage.memory_outbox import MemoryOutbox
    from storage.memory_retention import MemoryRetention  # imports this module
    from storage.rates import MemoryRates

    jobs = MemoryJobs()
    library = MemoryLibrary(jobs)
    batches = MemoryBatches(jobs)
    return Stores(
        jobs,
        library,
        MemoryObjects(),
        MemoryProgressBoard(),
        MemoryLocks(),
        MemoryOutbox(jobs),
        MemoryRetention(jobs, library, batches),
        batches,
        Sources(functools.cache(lambda _tenant_id: MemorySource()), {}),
        MemoryKeys(),
        MemoryLimits(jobs, library),
        MemoryRates(),
    )
