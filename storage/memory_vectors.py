"""The in-memory twin of vectors and inversions, and what the library's twins share."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from storage.errors import StorageUnavailable, VectorNotFound
from storage.keeping import objects_of
from storage.keeping import refuse_others as refuse_other_tenants
from storage.library_records import Inversion, Kept, Model, Vector
from storage.memory_jobs import MemoryJobs, page_of_all
from storage.plain import plain
from storage.records import SYSTEM_TENANT, Job, ObjectRef, Page
from storage.vectors import refuse_in_use, refuse_others, searched


@dataclass
class MemoryInversion:
    inversion: Inversion
    used_at: float


class MemoryVectors:
    """Shares the lock of the jobs, as one database would: so does retention's twin, which marks objects."""

    def __init__(self, jobs: MemoryJobs) -> None:
        self._jobs = jobs
        self.lock = jobs.lock
        self.models: dict[tuple[str, str], Model] = {}
        self.vectors: dict[str, Vector] = {}
        self.inversions: dict[tuple[str, str], MemoryInversion] = {}
        self.marked: dict[str, float] = {}  # since when an object has been unneeded, by key
        self.condemned: set[str] = set()  # of those, the ones that are being removed
        jobs.keep = self._keep

    def put_model(self, model: Model) -> Model:
        with self.lock:
            self._unmark(model.files.values())
            old = self.models.get((model.tenant_id, model.name))
            if old is not None and old.digest == model.digest:
                return old
            kept = replace(model, card=plain(model.card), created_at=self._jobs.clock())
            self.models[model.tenant_id, model.name] = kept
            return kept

    def put_vector(self, vector: Vector) -> Vector:
        with self.lock:
            old = self.vectors.get(vector.id)
            if old is not None and old.tenant_id != vector.tenant_id:
                raise ValueError(f"vector {vector.id} is another tenant's")
            self._unmark(vector.files.values())
            created_at = self._jobs.clock() if old is None else old.created_at
            self.vectors[vector.id] = _copy_of(replace(vector, created_at=created_at))
            return _copy_of(self.vectors[vector.id])

    def get_vector(self, tenant_id: str, vector_id: str) -> Vector:
        with self.lock:
            vector = self.vectors.get(vector_id)
        if vector is None or vector.tenant_id not in (tenant_id, SYSTEM_TENANT):
            raise VectorNotFound(f"There is no vector {vector_id}.", field="vector")
        return _copy_of(vector)

    def list_vectors(
        self,
        tenant_id: str,
        *,
        model: str | None = None,
        editing_type: str | None = None,
        tag: str | None = None,
        text: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[Vector]:
        with self.lock:
            found = [
                _copy_of(vector)
                for vector in self.vectors.values()
                if vector.tenant_id in (tenant_id, SYSTEM_TENANT)
                and model in (None, vector.model)
                and editing_type in (None, vector.editing_type)
                and (tag is None or tag in vector.tags)
                and (text or "").casefold() in searched(vector.name, vector.editing_type, vector.tags)
            ]
        return page_of_all(found, limit, cursor)

    def change_vector(
        self,
        tenant_id: str,
        vector_id: str,
        *,
        name: str | None = None,
        tags: Iterable[str] | None = None,
        editing_type: str | None = None,
    ) -> Vector:
        with self.lock:
            vector = refuse_others(tenant_id, self.get_vector(tenant_id, vector_id))
            self.vectors[vector_id] = replace(
                vector,
                name=vector.name if name is None else name,
                tags=vector.tags if tags is None else tuple(tags),
                editing_type=vector.editing_type if editing_type is None else editing_type,
            )
            return _copy_of(self.vectors[vector_id])

    def delete_vector(self, tenant_id: str, vector_id: str) -> Vector:
        with self.lock:
            refuse_others(tenant_id, self.get_vector(tenant_id, vector_id))
            jobs_of = None if tenant_id == SYSTEM_TENANT else tenant_id
            refuse_in_use(self._jobs.open_job_naming(vector_id, jobs_of))
            return self.vectors.pop(vector_id)

    def inversion(self, tenant_id: str, digest: str) -> Inversion | None:
        with self.lock:
            found = self.inversions.get((tenant_id, digest))
            if found is None:
                return None
            found.used_at = self._jobs.clock()
            kept = found.inversion
            return replace(kept, files=dict(kept.files), facts=plain(kept.facts))

    def _keep(self, job: Job, kept: Kept) -> None:
        """What a job leaves as it ends. All or nothing: whatever may be refused is refused first."""
        refuse_other_tenants(job, kept)
        self._unmark(objects_of(kept))
        for vector in kept.vectors:
            self.put_vector(vector)
        for model in kept.models:
            self.put_model(model)
        for inversion in kept.inversions:
            now = self._jobs.clock()
            fresh = replace(inversion, created_at=now, facts=plain(inversion.facts))
            self.inversions[inversion.tenant_id, inversion.digest] = MemoryInversion(fresh, now)

    def _unmark(self, objects: Iterable[ObjectRef]) -> None:
        if any(ref.key in self.condemned for ref in objects):
            raise StorageUnavailable("This very file is being removed as garbage: send it once more.")
        for ref in objects:
            self.marked.pop(ref.key, None)


def _copy_of(vector: Vector) -> Vector:
    return replace(vector, files=dict(vector.files), facts=plain(vector.facts), report=plain(vector.report))
