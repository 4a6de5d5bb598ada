"""Makes `import torchvision` work beside a CPU build of torch.

torchvision's stock wheel carries operators compiled against the CUDA build; where they cannot be loaded its
import stops at the two schemas it registers shape functions for. Declaring the schemas first is enough: editq
uses its network definitions alone, never those operators. Where they can be loaded they bring the schemas
themselves, which nobody else may declare. Import this before torchvision or lpips.
"""

import importlib.util
from pathlib import Path

import torch


def _loads() -> bool:
    """Whether torchvision's own operators are there, loaded now as it loads them."""
    spec = importlib.util.find_spec("torchvision")
    folders = (spec.submodule_search_locations or []) if spec else []
    for path in (path for folder in folders for path in Path(folder).glob("_C.*")):
        try:
            torch.ops.load_library(str(path))
        except OSError:
            continue
        return True
    return False


if not _loads():
    _LIBRARY = torch.library.Library("torchvision", "FRAGMENT")  # held: its declarations end with it
    for _schema in (
        "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
        "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    ):
        if not hasattr(torch.ops.torchvision, _schema.split("(", 1)[0]):
            _LIBRARY.define(_schema)
