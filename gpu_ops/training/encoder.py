"""Training the encoder: redraw pictures, and find the codes of the generator's own.

python -m gpu_ops.training.encoder --model BUNDLE --data DIR --out encoder.safetensors

Told to end, it leaves a checkpoint beside the weights, from which the same command goes on.
"""

import argparse
import math
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from gpu_ops.bundle import Bundle, load_bundle
from gpu_ops.encoder import Encoder, EncoderConfig
from gpu_ops.errors import NonFiniteError
from gpu_ops.invert import LAMBDA_LPIPS
from gpu_ops.losses import squared_error
from gpu_ops.metrics import psnr_db
from gpu_ops.network_file import save_network
from gpu_ops.picture import Picture, to_tensor, to_uint8
from gpu_ops.progress import Progress, State, Steps
from gpu_ops.training.place import add_device, low_precision
from gpu_ops.training.tensors import adam_state, network_state, restore_adam, restore_network

CODE_WEIGHT = 0.01  # against MSE on [0, 1]; the published 5 stands beside a calibrated LPIPS
MIXED = 0.5  # share of samples whose layers come from two codes: nearer to what W+ inversions are
PSI = (0.5, 1.0)


@dataclass(frozen=True)
class EncoderTraining:
    """pictures: their share of a batch, samples are the rest; in the first `warm_up` steps samples alone."""

    steps: int = 20_000
    batch: int = 16
    warm_up: int = 1_000
    lr: float = 1e-3
    seed: int = 0
    pictures: float = 0.5


def encoder_for(bundle: Bundle, *, seed: int = 0, **shape: int) -> Encoder:
    """An untrained encoder that fits a model."""
    generator = bundle.generator
    config = EncoderConfig(bundle.resolution_px, generator.num_ws, generator.config.w_dim, **shape)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        encoder = Encoder(config).to(bundle.device)
    encoder.w_avg.copy_(generator.mapping.w_avg)
    return encoder


def train_encoder(
    encoder: Encoder,
    bundle: Bundle,
    pictures: Picture,
    training: EncoderTraining,
    *,
    resume: State | None = None,
) -> Steps[int]:
    """Train on pictures uint8 [n, R, R, 3] (n may be 0) and on samples of the model, yielding Progress.

    Losses: 10 LPIPS (times the backbone's recorded factor) + MSE of what is redrawn; on samples also
    the mean squared error of the code, in units of the codes' own variance. AdamW, warm-up and cosine.
    What a step draws follows from its number. Leaves the encoder frozen, in evaluation mode; returns how many
    steps were done: fewer than asked for when sent True. Raises NonFiniteError.
    Source: Ling et al. 2021, supplement; departures: learning rate, weight and unit of the code's error,
    samples mixed of two codes.
    """
    encoder.requires_grad_(True).train()
    optimiser = torch.optim.AdamW(encoder.parameters(), lr=training.lr, betas=(0.9, 0.99), weight_decay=1e-4)
    variance, done = _variance(bundle), 0
    if resume is not None:
        done = int(resume["step"])
        restore_network(encoder, resume, "network")
        restore_adam(optimiser, resume, "adam")

    def state() -> State:
        own = network_state(encoder, "network") | adam_state(optimiser, "adam")
        return own | {"step": torch.tensor(done)}

    while done < training.steps:
        optimiser.param_groups[0]["lr"] = training.lr * _rate(done, training.steps)
        losses = _losses(encoder, bundle, *_examples(bundle, pictures, training, done), variance)
        if not bool(torch.isfinite(losses["total"])):
            raise NonFiniteError(f"the encoder's loss is no longer finite at step {done + 1}")
        optimiser.zero_grad(set_to_none=True)
        losses["total"].backward()
        torch.nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
        optimiser.step()
        done += 1
        told = {name: float(value.detach()) for name, value in losses.items()}
        enough = yield Progress(done, training.steps, told, state=state)
        if enough:
            break
    encoder.requires_grad_(False).eval()
    return done


def _examples(
    bundle: Bundle, pictures: Picture, training: EncoderTraining, step: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """What a step learns from: pictures [batch, 3, R, R], real ones first; codes of the drawn rest."""
    rng = torch.Generator().manual_seed(training.seed * 1_000_003 + step)
    real = int(training.batch * training.pictures) if step >= training.warm_up and len(pictures) else 0
    w_plus = draw_codes(bundle, training.batch - real, rng)
    with torch.no_grad():
        drawn = bundle.generator.synthesise(w_plus).picture.clamp(-1, 1)
    if not real:
        return drawn, w_plus
    chosen = torch.randint(len(pictures), (real,), generator=rng).numpy()
    return torch.cat([to_tensor(pictures[np.sort(chosen)], bundle.device), drawn]), w_plus


def _losses(
    encoder: Encoder, bundle: Bundle, x: torch.Tensor, w_plus: torch.Tensor, variance: float
) -> dict[str, torch.Tensor]:
    """Of pictures x, the last of which are of the codes w_plus."""
    with low_precision(bundle.device):
        found = encoder(x.contiguous(memory_format=torch.channels_last))
        redrawn = bundle.generator.synthesise(found).picture
    code = (found[-len(w_plus) :] - w_plus).square().div(variance).mean()
    mse = squared_error(redrawn, x).mean()
    losses = {"total": mse + CODE_WEIGHT * code, "mse": mse, "code": code}
    weight = LAMBDA_LPIPS * bundle.perceptual.invert_factor
    if weight:
        with low_precision(bundle.device):
            losses["lpips"] = bundle.perceptual(redrawn, x).mean()
        losses["total"] = losses["total"] + weight * losses["lpips"]
    return losses


@torch.no_grad()
def draw_codes(bundle: Bundle, count: int, rng: torch.Generator) -> torch.Tensor:
    """Codes [count, L, D] of samples at random truncation, half of them mixed of two."""
    generator = bundle.generator
    z = torch.randn(2 * count, generator.config.z_dim, generator=rng).to(bundle.device)
    psi = torch.empty(2 * count, 1).uniform_(*PSI, generator=rng).to(bundle.device)
    w = generator.mapping.w_avg.lerp(generator.mapping(z), psi)  # [2 count, D]
    cut = torch.randint(1, generator.num_ws, (count, 1), generator=rng)
    cut[torch.rand(count, generator=rng) >= MIXED] = generator.num_ws
    first = (torch.arange(generator.num_ws) < cut).to(bundle.device)  # [count, L]
    return torch.where(first[..., None], w[:count, None], w[count:, None])


@torch.no_grad()
def _variance(bundle: Bundle) -> float:
    z = torch.randn(2000, bundle.generator.config.z_dim, generator=torch.Generator().manual_seed(0))
    return float(bundle.generator.mapping(z.to(bundle.device)).var(dim=0).mean())


def _rate(step: int, steps: int) -> float:
    """Share of the highest rate: 200 steps up, then a cosine down to a hundredth."""
    return min(1.0, (step + 1) / 200) * (0.505 + 0.495 * math.cos(math.pi * step / steps))


@torch.no_grad()
def encoder_psnr_db(encoder: Encoder, bundle: Bundle, pictures: Picture) -> float:
    """Mean PSNR of pictures uint8 [n, R, R, 3] redrawn from the encoder's guess alone."""
    scores: list[float] = []
    for start in range(0, len(pictures), 50):
        part = pictures[start : start + 50]
        redrawn = to_uint8(bundle.generator.synthesise(encoder(to_tensor(part, bundle.device))).picture)
        scores += [psnr_db(mine, theirs) for mine, theirs in zip(redrawn, part, strict=True)]
    return float(np.mean(scores))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="the model's folder")
    parser.add_argument("--data", type=Path, required=True, help="folder with pictures.npy")
    parser.add_argument("--held-out", type=Path, required=True, help="the same, of pictures never trained on")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=EncoderTraining.steps)
    parser.add_argument("--batch", type=int, default=EncoderTraining.batch)
    parser.add_argument("--lr", type=float, default=EncoderTraining.lr)
    parser.add_argument("--seed", type=int, default=EncoderTraining.seed)
    parser.add_argument(
        "--pictures", type=float, default=EncoderTraining.pictures, help="their share of a batch, below 1"
    )
    parser.add_argument(
        "--further", action="store_true", help="begin as the model's own encoder, with a new --seed"
    )
    parser.add_argument("--threads", type=int, default=0, help="0: all cores")
    add_device(parser)
    options = parser.parse_args()
    if not 0 <= options.pictures < 1:
        parser.error(
            "--pictures: expected a share from 0 to below 1; samples are the rest, and some are needed"
        )
    if options.threads:
        torch.set_num_threads(options.threads)
    bundle = load_bundle(options.model, options.device)
    encoder = encoder_for(bundle, seed=options.seed)
    if options.further:
        assert bundle.encoder is not None, "the model has an encoder to go on from"
        encoder.load_state_dict(bundle.encoder.state_dict())
    pictures = np.load(options.data / "pictures.npy", mmap_mode="r")
    held = np.load(options.held_out / "pictures.npy")[:200]
    warm_up = 0 if options.further else EncoderTraining.warm_up
    training = EncoderTraining(
        options.steps, options.batch, warm_up, options.lr, options.seed, options.pictures
    )
    checkpoint = options.out.with_suffix(".checkpoint")
    resume = load_file(checkpoint) if checkpoint.exists() else None
    ended: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: ended.append(number))
    began = shown = time.monotonic()
    for progress in train_encoder(encoder, bundle, pictures, training, resume=resume):
        if progress.step % 1000 == 0 or ended:
            assert progress.state is not None
            unfinished = checkpoint.with_suffix(".unfinished")
            save_file(progress.state(), unfinished)
            unfinished.replace(checkpoint)
        if time.monotonic() - shown > 20:
            shown = time.monotonic()
            losses = " ".join(f"{name} {value:.4f}" for name, value in progress.losses.items())
            print(f"{progress.step}/{progress.total} {losses} {shown - began:.0f} s", flush=True)
        if ended:
            raise SystemExit("told to end; start again to go on")
    save_network(options.out, encoder, encoder.config.as_dict(), half=True)  # whole, or not there
    print(f"held-out {encoder_psnr_db(encoder, bundle, held):.2f} dB", flush=True)
    checkpoint.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
