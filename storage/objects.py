"""The object store's key scheme, which no other file knows, and objects kept as files (S3: storage/s3.py).

    <tenant>/images/<sha256>                               inputs, by content
    <tenant>/files/<sha256>                                uploads that are no pictures, by content
    <tenant>/jobs/<job>/<attempt>/outputs/<name>           outputs, by attempt
    <tenant>/jobs/<job>/<attempt>/checkpoints/<step>       checkpoints of a job
    <tenant>/models/<name>/<digest>/<file>                 weights
    <tenant>/vectors/<sha256>                              files of vectors that no job left, by content
    <tenant>/results/<aa>/<digest>                         of batches, by what they depend on
    <tenant>/inputs/...                                    put there by others: see storage/sources.py

Nothing is kept beside an object: its size and SHA-256 are in the ObjectRef of the row that names it, and are
checked whenever it is read.
"""

import contextlib
import errno
import hashlib
import os
import re
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Protocol

from storage.errors import ObjectCorrupt, OutputNotFound, StorageFull, StorageUnavailable
from storage.records import ObjectRef

CHUNK_BYTES = 1 << 20
UNKNOWN_BYTES = -1  # byte_size of an ObjectRef made from a key and a digest alone
_SEGMENT = re.compile(
    r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}"
)  # no leading dot: so no "..", and temporary files are free
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FULL_DISK = (errno.ENOSPC, errno.EDQUOT)
_TEMPORARY = re.compile(r"\.[0-9a-f]{16}\.part")


class Readable(Protocol):
    """A file, a request's body: read once, to its end, which is an empty answer."""

    def read(self, size: int, /) -> bytes: ...


def image_key(tenant_id: str, sha256: str) -> str:
    return checked_key(f"{tenant_id}/images/{sha256}")


def file_key(tenant_id: str, sha256: str) -> str:
    return checked_key(f"{tenant_id}/files/{sha256}")


def job_prefix(tenant_id: str, job_id: str) -> str:
    """All that a job has written, by any attempt."""
    return checked_key(f"{tenant_id}/jobs/{job_id}") + "/"


def output_key(tenant_id: str, job_id: str, attempt: int, name: str) -> str:
    return checked_key(f"{tenant_id}/jobs/{job_id}/{attempt:d}/outputs/{name}")


def checkpoint_key(tenant_id: str, job_id: str, attempt: int, step: int) -> str:
    return checked_key(f"{tenant_id}/jobs/{job_id}/{attempt:d}/checkpoints/{step:08d}")


def model_key(tenant_id: str, name: str, digest: str, file: str) -> str:
    return checked_key(f"{tenant_id}/models/{name}/{digest}/{file}")


def vector_key(tenant_id: str, sha256: str) -> str:
    return checked_key(f"{tenant_id}/vectors/{sha256}")


def result_key(tenant_id: str, digest: str) -> str:
    """aa: the digest's first two digits, so that no folder grows too long."""
    return checked_key(f"{tenant_id}/results/{digest[:2]}/{digest}")


def attempt_prefix(tenant_id: str, job_id: str, attempt: int) -> str:
    """All that one attempt of a job has written."""
    return checked_key(f"{tenant_id}/jobs/{job_id}/{attempt:d}") + "/"


def of_scheme(key: str) -> bool:
    """Whether the functions above could have made this key: others are not ours to judge."""
    match segments := key.split("/"):
        case (
            [_, "images" | "files" | "vectors", _]
            | [_, "models", _, _, _]
            | [_, "results", _, _]
            | [_, "jobs", _, _, "outputs" | "checkpoints", _]
        ):
            return all(map(_SEGMENT.fullmatch, segments))
    return False


def job_of_key(key: str) -> str | None:
    """The id of the job that this object is of, if it is of one."""
    match key.split("/"):
        case [_, "jobs", job_id, *_]:
            return job_id
    return None


def checked_key(key: str) -> str:
    """Raises ValueError for a key that could leave its folder: a programmer's mistake, never a caller's."""
    if len(key) > 600 or not all(_SEGMENT.fullmatch(segment) for segment in key.split("/")):
        raise ValueError(f"not an object's key: {key[:80]!r}")
    return key


def checked_prefix(prefix: str) -> str:
    if prefix:
        checked_key(prefix.removesuffix("/"))
    return prefix


def verified(ref: ObjectRef, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Pass chunks on; raises ObjectCorrupt, at the end at the latest, when they are not those of `ref`."""
    digest, byte_size = hashlib.sha256(), 0
    for chunk in chunks:
        digest.update(chunk)
        byte_size += len(chunk)
        if byte_size > ref.byte_size != UNKNOWN_BYTES:
            break
        yield chunk
    if ref.byte_size not in (byte_size, UNKNOWN_BYTES) or digest.hexdigest() != ref.sha256:
        raise ObjectCorrupt(f"Object {ref.key} is not what was written.")


def whole(key: str, data: bytes, byte_size: int | None) -> bytes:
    """Raises ObjectCorrupt where a range came back shorter than it was asked for."""
    if byte_size not in (None, len(data)):
        raise ObjectCorrupt(f"Object {key} ends before what was asked of it.")
    return data


def chunks_of(data: bytes | Readable, chunk_bytes: int = CHUNK_BYTES) -> Iterator[bytes]:
    if isinstance(data, bytes):
        yield data
        return
    while chunk := data.read(chunk_bytes):
        yield chunk


class FileObjects:
    """Objects as files under `root`. Whole or not there: written beside, flushed to disk, then renamed.

    Folders are opened one by one, and symbolic links are not followed: what lies below `root` stays there.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, key: str, data: bytes | Readable, media_type: str) -> ObjectRef:
        *folders, name = checked_key(key).split("/")
        with _named_errors(key, writing=True), self._folder(folders, create=True) as folder:
            temporary = f".{secrets.token_hex(8)}.part"  # as _TEMPORARY matches
            try:
                sha256, byte_size = _write(folder, temporary, data)
                os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(temporary, dir_fd=folder)
                raise
            os.fsync(folder)
        return ObjectRef(key, sha256, byte_size, media_type)

    def put_content(self, key_of: Callable[[str], str], data: Readable, media_type: str) -> ObjectRef:
        temporary = f".{secrets.token_hex(8)}.part"
        with _named_errors("", writing=True), self._folder([], create=True) as root:
            try:
                sha256, byte_size = _write(root, temporary, data)
                *folders, name = checked_key(key := key_of(sha256)).split("/")
                with self._folder(folders, create=True) as folder:
                    os.replace(temporary, name, src_dir_fd=root, dst_dir_fd=folder)
                    os.fsync(folder)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(temporary, dir_fd=root)
                raise
        return ObjectRef(key, sha256, byte_size, media_type)

    def get(self, ref: ObjectRef) -> bytes:
        return b"".join(self.stream(ref))

    def stream(self, ref: ObjectRef, *, chunk_bytes: int = CHUNK_BYTES) -> Iterator[bytes]:
        *folders, name = checked_key(ref.key).split("/")
        with _named_errors(ref.key), self._folder(folders) as folder:
            file = os.fdopen(os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder), "rb")

        def read() -> Iterator[bytes]:
            with file, _named_errors(ref.key):
                yield from verified(ref, chunks_of(file, chunk_bytes))

        return read()

    def get_range(self, key: str, start: int = 0, byte_size: int | None = None) -> bytes:
        *folders, name = checked_key(key).split("/")
        with _named_errors(key):
            with self._folder(folders) as folder:
                opened = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
            with os.fdopen(opened, "rb") as file:
                file.seek(start)
                return whole(key, file.read(-1 if byte_size is None else byte_size), byte_size)

    def exists(self, key: str) -> bool:
        *folders, name = checked_key(key).split("/")
        try:
            with _named_errors(key), self._folder(folders) as folder:
                os.stat(name, dir_fd=folder, follow_symlinks=False)
                return True
        except OutputNotFound:
            return False

    def list(self, prefix: str) -> Iterator[str]:
        start = self._root / checked_prefix(prefix).rpartition("/")[0]
        for folder, _, names in os.walk(start):
            for name in names:
                key = (Path(folder) / name).relative_to(self._root).as_posix()
                if key.startswith(prefix) and not name.startswith("."):
                    yield key

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            *folders, name = checked_key(key).split("/")
            with contextlib.suppress(OutputNotFound), _named_errors(key), self._folder(folders) as folder:
                os.unlink(name, dir_fd=folder)

    def sweep(self, *, older_than_s: float) -> int:
        """Remove temporary files of writers that died; and folders that have been empty for so long."""
        until, count = time.time() - older_than_s, 0
        if not self._root.exists():
            return 0
        for _, folders, names, parent in os.fwalk(self._root, topdown=False):
            for name in filter(_TEMPORARY.fullmatch, names):
                count += _removed(os.unlink, name, parent, until)
            for name in folders:
                _removed(os.rmdir, name, parent, until)
        return count

    def check(self) -> None:
        with _named_errors("", writing=True), self._folder([], create=True) as folder:
            if not os.access(".", os.R_OK | os.W_OK | os.X_OK, dir_fd=folder):
                raise StorageUnavailable("The folder of objects may not be written to.")

    @contextlib.contextmanager
    def _folder(self, names: Iterable[str], *, create: bool = False) -> Iterator[int]:
        """A descriptor of root/names[0]/names[1]/... Folders that had to be made are on the disk when it is
        left: flushed last, when what lies in them has taken most of that along."""
        if create and not self._root.is_dir():
            self._root.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as opened:
            folder = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            opened.callback(os.close, folder)
            grown = []
            for name in names:
                try:
                    below = os.open(name, _FOLDER, dir_fd=folder)
                except FileNotFoundError:
                    if not create:
                        raise
                    if _made(name, folder):
                        grown.append(folder)
                    below = os.open(name, _FOLDER, dir_fd=folder)
                opened.callback(os.close, below)
                folder = below
            yield folder
            for parent in reversed(grown):
                os.fsync(parent)


def _made(name: str, parent: int) -> bool:
    """Whether there was no such folder yet."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, dir_fd=parent)
        return True
    return False


def _write(folder: int, name: str, data: bytes | Readable) -> tuple[str, int]:
    digest, byte_size = hashlib.sha256(), 0
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(name, flags, 0o644, dir_fd=folder), "wb") as file:
        for chunk in chunks_of(data):
            digest.update(chunk)
            byte_size += file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest(), byte_size


def _removed(remove: Callable[..., None], name: str, parent: int, until: float) -> bool:
    """Remove it if it is older; a folder with something in it stays."""
    with contextlib.suppress(OSError):
        if os.stat(name, dir_fd=parent, follow_symlinks=False).st_mtime <= until:
            remove(name, dir_fd=parent)
            return True
    return False


@contextlib.contextmanager
def _named_errors(key: str, *, writing: bool = False) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if not writing and error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            raise OutputNotFound(f"There is no object {key}.") from error
        if error.errno in FULL_DISK:
            raise StorageFull("The disk that objects are kept on is full.") from error
        raise StorageUnavailable("The folder of objects cannot be used.") from error
