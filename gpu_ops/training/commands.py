"""The command line of generator training: a thin shell around train()."""

import argparse
import json
import math
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import torch

from gpu_ops.memory import keep_freed
from gpu_ops.progress import Progress
from gpu_ops.stylegan2.files import save_generator
from gpu_ops.stylegan2.generator import GeneratorConfig
from gpu_ops.training.generator import train
from gpu_ops.training.grid import save_grid
from gpu_ops.training.pictures import Pictures
from gpu_ops.training.ranks import Ranks, together
from gpu_ops.training.state import TrainingConfig, TrainingState

MODULE = "gpu_ops.training.generator"


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m gpu_ops.training.generator")
    parser.add_argument("--data", type=Path, required=True, help="folder with pictures.npy")
    parser.add_argument(
        "--repeat",
        type=repetition,
        action="append",
        default=[],
        metavar="KEY=VALUE:TIMES",
        help="show pictures whose scene has this so many times in a pass, as body_type=coupe:2",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for all that the run writes")
    parser.add_argument("--kimg", type=float, default=400, help="thousands of pictures to see in all")
    parser.add_argument("--resume", action="store_true", help="go on from OUT/checkpoint.pt")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--lr", type=float, default=0.0025)
    parser.add_argument("--discriminator-lr", type=float, default=None, help="by default --lr")
    parser.add_argument("--no-noise", action="store_true", help="a generator without noise")
    parser.add_argument("--gamma", type=float, default=0.05, help="weight of R1")
    parser.add_argument("--pl-weight", type=float, default=2.0, help="path length; 0 leaves it out")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--precision", choices=("bf16", "fp32"), default="bf16")
    parser.add_argument("--separate-fakes", action="store_true", help="the published order of updates")
    parser.add_argument("--channel-base", type=int, default=2048)
    parser.add_argument("--channel-max", type=int, default=128)
    parser.add_argument("--w-dim", type=int, default=128, help="of z as well")
    parser.add_argument("--mapping-layers", type=int, default=4)
    parser.add_argument("--threads", type=int, default=0, help="per rank; 0: all cores, shared out")
    parser.add_argument("--ranks", type=int, default=1, help="processes that train together, on a CPU")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--checkpoint-s", type=float, default=180, help="seconds between checkpoints")
    parser.add_argument("--grid-kimg", type=float, default=5, help="between sample grids")
    parser.add_argument("--log-s", type=float, default=10, help="seconds between log lines")
    return parser.parse_args(arguments)


def repetition(text: str) -> tuple[str, int]:
    """Read KEY=VALUE:TIMES. Raises argparse.ArgumentTypeError."""
    condition, _, count = text.rpartition(":")
    if "=" not in condition or not count.isdecimal() or int(count) < 1:
        raise argparse.ArgumentTypeError("KEY=VALUE:TIMES, as body_type=coupe:2")
    return condition, int(count)


def run_config(options: argparse.Namespace, resolution: int) -> TrainingConfig:
    """Turn options into the configuration of a run."""
    model = GeneratorConfig(
        resolution=resolution,
        z_dim=options.w_dim,
        w_dim=options.w_dim,
        mapping_layers=options.mapping_layers,
        channel_base=options.channel_base,
        channel_max=options.channel_max,
    )
    return TrainingConfig(
        model=model,
        batch=options.batch,
        lr=options.lr,
        gamma=options.gamma,
        pl_weight=options.pl_weight,
        seed=options.seed,
        precision=options.precision,
        shared_fakes=not options.separate_fakes,
        discriminator_lr=options.discriminator_lr,
        noise=not options.no_noise,
    )


class Log:
    """One line on the terminal and one in log.jsonl every log_s seconds."""

    def __init__(self, path: Path, log_s: float, state: TrainingState) -> None:
        self.path = path
        self.log_s = log_s
        self.batch = state.config.batch
        self.since, self.step = time.monotonic(), state.step
        self.sums: dict[str, list[float]] = {}

    def add(self, progress: Progress) -> None:
        """Note one step, and write a line when it is time or the run is over."""
        for name, value in progress.losses.items():
            self.sums.setdefault(name, []).append(value)
        passed_s = time.monotonic() - self.since
        if passed_s < self.log_s and progress.step < progress.total:
            return
        steps_per_s = (progress.step - self.step) / passed_s
        line = {
            "kimg": round(progress.step * self.batch / 1000, 3),
            "step": progress.step,
            "pictures_per_s": round(steps_per_s * self.batch, 2),
            "left_s": round((progress.total - progress.step) / steps_per_s),
            **{name: round(sum(v) / len(v), 5) for name, v in self.sums.items()},
        }
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")
        print("  ".join(f"{name} {value}" for name, value in line.items()), flush=True)
        self.since, self.step, self.sums = time.monotonic(), progress.step, {}


def run(options: argparse.Namespace, ranks: Ranks) -> int:
    """Train as the options say. SIGTERM and SIGINT save a checkpoint and end the run early.

    Returns the exit status: 0, or 128 and the signal's number.
    """
    options.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(options.threads or max((os.cpu_count() or 1) // ranks.count, 1))
    pictures = Pictures.open(options.data, dict(options.repeat))
    config = run_config(options, pictures.resolution)
    state = TrainingState(config, options.device, ranks)
    checkpoint = options.out / "checkpoint.pt"
    if options.resume and checkpoint.exists():
        state.load(checkpoint)
        say(ranks, f"resumed at {state.pictures_seen / 1000:.1f} kimg")
    stopping: list[int] = []

    def stop(signum: int, _frame: FrameType | None) -> None:
        stopping.append(signum)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    log = Log(options.out / "log.jsonl", options.log_s, state)
    saved_at = time.monotonic()
    grid_steps = max(round(options.grid_kimg * 1000 / config.batch), 1)
    for progress in train(state, pictures, math.ceil(options.kimg * 1000 / config.batch)):
        ended = ranks.any(bool(stopping))
        if ranks.rank > 0:
            if ended:
                return 0
            continue
        log.add(progress)
        if progress.step % grid_steps == 0 or progress.step == progress.total:
            kimg = state.pictures_seen // 1000
            save_grid(options.out / f"samples_{kimg:06d}.png", state.average, config.seed)
        if ended or time.monotonic() - saved_at > options.checkpoint_s:
            _save(state, options.out, checkpoint)
            saved_at = time.monotonic()
        if ended:
            print(f"stopped at {state.pictures_seen / 1000:.1f} kimg", flush=True)
            return 128 + stopping[0] if stopping else 1
    if ranks.rank == 0:
        _save(state, options.out, checkpoint)
    return 0


def say(ranks: Ranks, text: str) -> None:
    """Print a line, once for all ranks."""
    if ranks.rank == 0:
        print(text, flush=True)


def _save(state: TrainingState, out: Path, checkpoint: Path) -> None:
    state.save(checkpoint)
    save_generator(out / "generator.safetensors", state.average)


def main() -> None:
    """Run the command line."""
    keep_freed()
    options = parse(sys.argv[1:])
    with together(options.ranks, MODULE, sys.argv[1:]) as ranks:
        status = run(options, ranks)
    sys.exit(status)
