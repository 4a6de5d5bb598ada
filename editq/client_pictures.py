"""What the client asks of uploaded pictures and masks, and of a job's outputs."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from editq.calls import JSON, Calls
from editq.problems import check, plain_errors
from storage.errors import Unavailable

_PIECE_BYTES = 1 << 20


class PictureCalls(Calls):
    """The part of Client that is about pictures and outputs. Every method may raise EditqError."""

    def list_images(self, *, limit: int | None = None) -> Iterator[JSON]:
        """Newest first; all of them unless there is a limit."""
        return self._pages("/v1/images", {}, limit)

    def delete_image(self, image_id: str) -> None:
        """Raises ImageInUse while a job that has not ended needs it."""
        self._request("DELETE", f"/v1/images/{image_id}")

    def save_output(
        self, job: Mapping[str, Any], name: str, path: Path, *, told: Callable[[int], None] | None = None
    ) -> None:
        """Write an output of a job to a new file as it comes; the file is there once it is whole.

        `told` is told how many bytes each piece has. Raises Unavailable where the bytes that came are not
        those that the job made.
        """
        draft = path.with_name(f".{path.name}.part")
        digest = hashlib.sha256()
        try:
            with (
                plain_errors(),
                self._http.stream("GET", f"/v1/jobs/{job['id']}/outputs/{name}") as answer,
            ):
                check(answer)
                with draft.open("wb") as file:
                    for piece in answer.iter_bytes(_PIECE_BYTES):
                        digest.update(piece)
                        file.write(piece)
                        if told is not None:
                            told(len(piece))
            if digest.hexdigest() != job["outputs"][name]["sha256"]:
                raise Unavailable(f"{name} was cut off, or damaged on its way: ask for it once more")
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
