"""What a job made: pictures, masks and arrays, fetched when they are asked for."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from safetensors.numpy import load

from editq.archives import checked_name
from storage.errors import InvalidInput, OutputNotFound

if TYPE_CHECKING:
    from editq.client_jobs import JobCalls


class JobResult:
    """The outputs of a succeeded job by name. Every method may raise EditqError.

    figures  what was measured, as the job's row has it
    names    of all outputs
    """

    def __init__(self, calls: "JobCalls", job: Mapping[str, Any]) -> None:
        self._calls = calls
        self._job_id = str(job["id"])
        self._outputs: dict[str, Any] = dict(job["outputs"])
        self.figures: dict[str, Any] = dict(job["result"])

    def __repr__(self) -> str:
        return f"<JobResult of {self._job_id}: {', '.join(self.names) or 'no outputs'}>"

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._outputs)

    @property
    def pictures(self) -> dict[str, Image.Image]:
        """All pictures and masks."""
        return {name: self.picture(name) for name, told in self._outputs.items() if is_picture(told)}

    def data(self, name: str) -> bytes:
        """The file as it is. Raises OutputNotFound."""
        if name not in self._outputs:
            expected = ", ".join(self.names) or "a job with outputs"
            raise OutputNotFound(f"The job has no output {name}.", field="name", expected=expected)
        return self._calls.output(self._job_id, name)

    def picture(self, name: str) -> Image.Image:
        """RGB; a mask is indexed, its pixels the part ids. Raises InvalidInput for what is no picture."""
        data = self.data(name)
        if not is_picture(self._outputs[name]):
            raise InvalidInput(f"{name} is no picture.", field="name", expected="an output of type image/png")
        picture = Image.open(io.BytesIO(data))
        picture.load()
        return picture

    def array(self, name: str) -> NDArray[Any]:
        """A picture as uint8 [H, W, 3], a mask as uint8 [H, W] of part ids, the tensor of a file with one
        (w_plus [N, L, D], delta_w [L, D]). Raises InvalidInput for what has none, or several."""
        if is_picture(self._outputs.get(name, {})):
            return np.asarray(self.picture(name))
        tensors = self.tensors(name)
        if len(tensors) != 1:
            raise InvalidInput(f"{name} has {len(tensors)} tensors: ask for tensors().", field="name")
        return next(iter(tensors.values()))

    def tensors(self, name: str) -> dict[str, NDArray[Any]]:
        """The tensors of a safetensors file by name. Raises InvalidInput for any other file."""
        data = self.data(name)
        if not name.endswith(".safetensors"):
            raise InvalidInput(f"{name} has no arrays.", field="name", expected="a picture or .safetensors")
        return dict(load(data))

    def save(self, folder: Path) -> list[Path]:
        """Write all outputs into a folder, under their names."""
        folder.mkdir(parents=True, exist_ok=True)
        paths = [folder / checked_name(name) for name in self.names]
        for path in paths:
            path.write_bytes(self.data(path.name))
        return paths


def is_picture(told: Mapping[str, Any]) -> bool:
    """told: what the API says of an output."""
    return told.get("media_type") == "image/png"
