"""A model's folder as gpu_ops/pretrained has them: random weights, 32 px, four parts; the same every time."""

import json
from collections.abc import Sequence
from pathlib import Path

import torch

import gpu_ops.torchvision_shim  # noqa: F401  before torchvision
from gpu_ops.judge import Judge
from gpu_ops.network_file import save_network
from gpu_ops.segmenter import Segmenter, SegmenterConfig
from gpu_ops.stylegan2.files import save_generator
from gpu_ops.stylegan2.generator import Generator, GeneratorConfig

from torchvision.models import squeezenet1_1  # isort: skip

SIZE_PX = 32
PARTS = ("sky", "body", "tyre", "rim")


def make_tiny_model(folder: Path, name: str = "cars", seed: int = 0, parts: Sequence[str] = PARTS) -> Path:
    """Write folder/name and return it."""
    torch.manual_seed(seed)
    home = folder / name
    home.mkdir(parents=True)
    generator = Generator(
        GeneratorConfig(
            resolution=SIZE_PX, z_dim=16, w_dim=16, mapping_layers=2, channel_base=256, channel_max=16
        )
    )
    save_generator(home / "generator.safetensors", generator)
    features = generator.synthesise(torch.zeros(1, generator.num_ws, 16)).features
    config = SegmenterConfig(
        tuple(f.shape[1] for f in features), SIZE_PX, len(parts), classifiers=2, widths=(16, 8)
    )
    save_network(home / "segmenter.safetensors", Segmenter(config), config.as_dict())
    save_network(home / "judge.safetensors", Judge(len(parts), width=4), {"parts": len(parts), "width": 4})
    about = {"name": "random", "edit_factor": 1.0, "invert_factor": 1.0}
    save_network(home / "perceptual.safetensors", squeezenet1_1(), about, half=True)
    description = {
        "name": name,
        "resolution_px": SIZE_PX,
        "parts": [{"id": i, "name": p, "colour": [60 * i % 256, 0, 200]} for i, p in enumerate(parts)],
        "groups": {"wheel": ["tyre", "rim"]} if parts is PARTS else {},
        "files": {role: f"{role}.safetensors" for role in ("generator", "segmenter", "judge", "perceptual")},
        "license": "none",
        "description": "random weights",
    }
    (home / "model.json").write_text(json.dumps(description))
    (home / "card.md").write_text("# random weights\n")
    return home
