"""Makes `import torchvision` work beside a CPU build of torch.

torchvision's stock wheel carries operators compiled against the CUDA build; without them its import
stops at the two schemas it registers shape functions for. Declaring the schemas first is enough: editq
uses its network definitions alone, never those operators. Import this before torchvision or lpips.
"""

import torch

_LIBRARY = torch.library.Library("torchvision", "FRAGMENT")

for _schema in (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
):
    _name = _schema.split("(", 1)[0]
    if not hasattr(torch.ops.torchvision, _name):
        _LIBRARY.define(_schema)
