"""The StyleGAN2 generator: mapping and synthesis.

Source: Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN", and 2020,
"Training Generative Adversarial Networks with Limited Data". Parameter names follow the published
PyTorch checkpoints, so that those load without renaming.
"""

from dataclasses import dataclass

import torch
from torch import nn

from gpu_ops.stylegan2.mapping import Mapping
from gpu_ops.stylegan2.synthesis import ChannelMax, NoiseMode, Synthesis, SynthesisOutput


@dataclass(frozen=True)
class GeneratorConfig:
    """The shape of a generator; channels at resolution R are min(channel_base // R, channel_max).

    channel_max may be a cap for each resolution, from 4 x 4 up: imported networks can have any table.
    """

    resolution: int = 64
    z_dim: int = 128
    w_dim: int = 128
    mapping_layers: int = 4
    channel_base: int = 2048
    channel_max: ChannelMax = 128
    conv_clamp: float | None = None


class Generator(nn.Module):
    """z -> w_plus -> picture."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        self.synthesis = Synthesis(
            config.resolution,
            config.w_dim,
            config.channel_base,
            config.channel_max,
            config.conv_clamp,
        )
        self.mapping = Mapping(config.z_dim, config.w_dim, config.mapping_layers)

    @property
    def num_ws(self) -> int:
        """L, the number of layers that take a w: 2 log2(R) - 2."""
        return self.synthesis.num_ws

    def map(self, z: torch.Tensor, truncation_psi: float = 1.0) -> torch.Tensor:
        """Map z [N, Z], normal, to w_plus [N, L, D], drawn towards w_avg where truncation_psi < 1."""
        w: torch.Tensor = self.mapping(z)  # [N, D]
        if truncation_psi != 1.0:
            w = self.mapping.w_avg.lerp(w, truncation_psi)
        return w.unsqueeze(1).expand(-1, self.num_ws, -1)  # [N, L, D]

    def synthesise(
        self,
        w_plus: torch.Tensor,
        noise: NoiseMode = "const",
        rng: torch.Generator | None = None,
    ) -> SynthesisOutput:
        """Draw the pictures of w_plus [N, L, D].

        noise "const" takes the stored noise, "random" draws it from rng, "none" adds none. Under
        autocast the four highest resolutions compute in low precision; the picture is float32 anyway.
        """
        output: SynthesisOutput = self.synthesis(w_plus, noise, rng)
        return output

    def forward(
        self, z: torch.Tensor, truncation_psi: float = 1.0, noise: NoiseMode = "const"
    ) -> torch.Tensor:
        """Draw the pictures [N, 3, H, W] of z [N, Z]."""
        return self.synthesise(self.map(z, truncation_psi), noise).picture
