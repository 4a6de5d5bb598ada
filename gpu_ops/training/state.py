"""What a training run of the generator is made of, and its checkpoint."""

import copy
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import torch

from gpu_ops.progress import State
from gpu_ops.stylegan2.discriminator import Discriminator
from gpu_ops.stylegan2.generator import Generator, GeneratorConfig
from gpu_ops.training.augment import Adaptive
from gpu_ops.training.ranks import ALONE, Ranks
from gpu_ops.training.tensors import adam_state, network_state, restore_adam, restore_network

R1_INTERVAL = 16
PATH_LENGTH_INTERVAL = 4
NETWORKS = ("generator", "discriminator", "average")
OPTIMISERS = ("generator_adam", "discriminator_adam")


@dataclass(frozen=True)
class TrainingConfig:
    """Everything that the numbers of a run depend on, its pictures and its length aside.

    batch is of all ranks together. precision "bf16" runs the convolutions from 8 x 8 up in bfloat16, where
    the device has units for it; R1 is always in float32.
    shared_fakes lets one set of fakes serve both networks in a step. ada_target 0: no augmentation.
    discriminator_lr None: the same as lr. noise False: the generator's noise has no strength and gets none,
    for pictures that have nothing random about them (it would stay in every sample as a fixed pattern).
    """

    model: GeneratorConfig = field(default_factory=GeneratorConfig)
    batch: int = 32
    lr: float = 0.0025
    gamma: float = 0.05
    pl_weight: float = 2.0
    style_mixing: float = 0.9
    seed: int = 0
    precision: str = "bf16"
    shared_fakes: bool = True
    ada_target: float = 0.0
    ada_kimg: float = 500.0
    discriminator_lr: float | None = None
    noise: bool = True


def lazy_adam(
    parameters: Iterable[torch.nn.Parameter], lr: float, interval: int | None, device: torch.device
) -> torch.optim.Adam:
    """Return Adam with betas (0, 0.99), corrected for a regulariser that steps every interval steps."""
    ratio = 1.0 if interval is None else interval / (interval + 1)
    return torch.optim.Adam(
        parameters,
        lr=lr * ratio,
        betas=(0.0, 0.99**ratio),
        eps=1e-8,
        fused=True,
        capturable=device.type == "cuda",  # its steps are recorded there
    )


class TrainingState:
    """Networks, their moving average, optimisers, and the step: what a checkpoint holds."""

    def __init__(
        self, config: TrainingConfig, device: torch.device | str = "cpu", ranks: Ranks = ALONE
    ) -> None:
        self.config = config
        self.ranks = ranks
        self.device = torch.device(device)
        with torch.random.fork_rng():
            torch.manual_seed(config.seed)
            self.generator = Generator(config.model).to(self.device)
            model = config.model
            self.discriminator = Discriminator(model.resolution, model.channel_base, model.channel_max).to(
                self.device
            )
        self.average = copy.deepcopy(self.generator).eval().requires_grad_(False)
        self.step = 0
        self.rng = torch.Generator(self.device)
        self.mean_length = torch.zeros([], device=self.device)
        self.augmentation = Adaptive(config.ada_target, config.ada_kimg)
        interval = PATH_LENGTH_INTERVAL if config.pl_weight else None
        self.generator_adam = lazy_adam(self.generator.parameters(), config.lr, interval, self.device)
        lr = config.lr if config.discriminator_lr is None else config.discriminator_lr
        self.discriminator_adam = lazy_adam(self.discriminator.parameters(), lr, R1_INTERVAL, self.device)
        self._still()

    def _still(self) -> None:
        """Take the noise away, where there is to be none."""
        for name, strength in chain(self.generator.named_parameters(), self.average.named_parameters()):
            if not self.config.noise and name.endswith("noise_strength"):
                strength.requires_grad_(False).zero_()

    @property
    def pictures_seen(self) -> int:
        """How many real pictures the steps so far have shown."""
        return self.step * self.config.batch

    def update_average(self) -> None:
        """Move the average towards the generator: half-life batch * 10 / 32 thousand pictures.

        Early on the half-life is a twentieth of the pictures seen, so that short runs are averages of
        their end and not of their start.
        """
        batch = self.config.batch
        seen = self.pictures_seen + batch
        half_life = min(batch * 10_000 / 32, seen * 0.05)
        weight = 1 - 0.5 ** (batch / max(half_life, 1e-8))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), list(self.generator.parameters()), weight)
            torch._foreach_copy_(list(self.average.buffers()), list(self.generator.buffers()))

    def tensors(self) -> State:
        """The same as a checkpoint of a job holds it: copies, by name."""
        named = {
            "step": torch.tensor(self.step),
            "mean_length": self.mean_length.to("cpu", copy=True),
            "augmentation": self.augmentation.numbers(),
        }
        for name in NETWORKS:
            named |= network_state(getattr(self, name), name)
        for name in OPTIMISERS:
            named |= adam_state(getattr(self, name), name)
        return named

    def restore(self, state: State) -> None:
        """Go on from what `tensors` gave. Raises RuntimeError where it is of another model."""
        self.step = int(state["step"])
        self.mean_length = state["mean_length"].to(self.device, copy=True)
        self.augmentation.restore(state["augmentation"])
        for name in NETWORKS:
            restore_network(getattr(self, name), state, name)
        for name in OPTIMISERS:
            restore_adam(getattr(self, name), state, name)
        self._still()

    def save(self, path: Path) -> None:
        """Write a checkpoint, whole or not at all.

        Random numbers and the order of the data are functions of seed, step and rank, so the step stands
        for the states of both. A run of another number of ranks may go on from here, with other numbers.
        """
        unfinished = path.with_name(path.name + ".unfinished")
        torch.save(
            {
                "config": asdict(self.config),
                "step": self.step,
                "mean_length": self.mean_length,
                "augmentation": self.augmentation.numbers(),
                "generator": self.generator.state_dict(),
                "discriminator": self.discriminator.state_dict(),
                "average": self.average.state_dict(),
                "generator_adam": self.generator_adam.state_dict(),
                "discriminator_adam": self.discriminator_adam.state_dict(),
            },
            unfinished,
        )
        unfinished.replace(path)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint.

        Raises ValueError where its model, batch or seed differ from this run's. The other settings may
        be changed between runs: this run's apply.
        """
        saved: dict[str, Any] = torch.load(path, map_location=self.device, weights_only=True)
        mine = asdict(self.config)
        for name in ("model", "batch", "seed"):
            if saved["config"][name] != mine[name]:
                raise ValueError(f"{path}: {name} was {saved['config'][name]}, not {mine[name]}")
        self.step = saved["step"]
        self.mean_length = saved["mean_length"]
        if "augmentation" in saved:
            self.augmentation.restore(saved["augmentation"])
        self.generator.load_state_dict(saved["generator"])
        self.discriminator.load_state_dict(saved["discriminator"])
        self.average.load_state_dict(saved["average"])
        for adam, name in (
            (self.generator_adam, "generator_adam"),
            (self.discriminator_adam, "discriminator_adam"),
        ):
            settings = {key: adam.param_groups[0][key] for key in ("lr", "betas", "capturable")}
            adam.load_state_dict(saved[name])
            adam.param_groups[0].update(settings)
        self._still()
