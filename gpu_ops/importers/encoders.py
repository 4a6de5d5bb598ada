"""EditGAN's encoder: its tensors are kept, and not run.

What its file holds is known to be a model_state_dict; how the layers are named and joined is described in no
paper, so this project has no network to put the tensors into. They are kept as safetensors under the names
that the file gives them: nothing is lost, and nothing of the file needs to be unpickled again.
"""

import json
from pathlib import Path

from safetensors.torch import save_file

from gpu_ops.importers.refusals import LayoutMismatch
from gpu_ops.importers.sandbox import Checkpoint
from gpu_ops.network_file import CONFIG_KEY

NOTE = "kept, not run: how EditGAN's encoder joins its layers is described nowhere that this project may read"
_PARALLEL = "module."


def is_encoder(checkpoint: Checkpoint) -> bool:
    """A state with convolutions and dense layers, which a feature pyramid with heads has."""
    axes = {tensor.dim() for tensor in checkpoint.tensors.values()}
    return checkpoint.format == "state_dict" and {2, 4} <= axes


def save_encoder(path: Path, checkpoint: Checkpoint) -> None:
    """Write its tensors, without the prefix that parallel training adds. Raises LayoutMismatch."""
    tensors = {name.removeprefix(_PARALLEL): tensor for name, tensor in checkpoint.tensors.items()}
    if len(tensors) != len(checkpoint.tensors):
        raise LayoutMismatch(f"two tensors differ only in the prefix {_PARALLEL!r}")
    config = {"kind": "encoder of another project", "runs": False, "source": checkpoint.path.name}
    contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
    save_file(contiguous, path, metadata={CONFIG_KEY: json.dumps(config)})
