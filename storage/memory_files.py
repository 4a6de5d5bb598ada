"""The in-memory twin of files."""

from dataclasses import replace

from storage.errors import FileNotFound
from storage.file_records import File
from storage.files import names_of, refuse_in_use
from storage.memory_jobs import MemoryJobs, page_of_all
from storage.memory_vectors import MemoryVectors
from storage.plain import storable
from storage.records import Page


class MemoryFiles(MemoryVectors):
    def __init__(self, jobs: MemoryJobs) -> None:
        super().__init__(jobs)
        self.files: dict[str, File] = {}

    def add_file(self, file: File) -> File:
        with self.lock:
            self._unmark([file.object])
            for known in self.files.values():
                if (known.tenant_id, known.object.sha256) == (file.tenant_id, file.object.sha256):
                    return known
            kept = replace(file, filename=storable(file.filename), created_at=self._jobs.clock())
            self.files[file.id] = kept
            return kept

    def get_file(self, tenant_id: str, file_id: str) -> File:
        with self.lock:
            file = self.files.get(file_id)
        if file is None or file.tenant_id != tenant_id:
            raise FileNotFound(f"There is no file {file_id}.")
        return file

    def list_files(
        self, tenant_id: str, *, sha256: str | None = None, limit: int = 50, cursor: str | None = None
    ) -> Page[File]:
        with self.lock:
            mine = [
                file
                for file in self.files.values()
                if file.tenant_id == tenant_id and sha256 in (None, file.object.sha256)
            ]
        return page_of_all(mine, limit, cursor)

    def delete_file(self, tenant_id: str, file_id: str) -> File:
        with self.lock:
            file = self.get_file(tenant_id, file_id)
            for name in names_of(file):
                refuse_in_use(self._jobs.open_job_naming(name, tenant_id))
            return self.files.pop(file_id)
