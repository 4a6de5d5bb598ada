"""Training the judge on exactly labelled renders, and on what cameras and generators make of them.

python -m gpu_ops.training.judge --data DIR --out judge.safetensors
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from gpu_ops.judge import Judge
from gpu_ops.metrics import part_ious
from gpu_ops.network_file import save_network
from gpu_ops.picture import Picture, to_tensor
from gpu_ops.progress import Progress
from gpu_ops.training.place import add_device, low_precision
from gpu_ops.training.spoil import spoil

BATCH = 48
HIGHEST_LR = 4e-3


def train_judge(
    judge: Judge, pictures: Picture, masks: Picture, *, steps: int, seed: int = 0
) -> Iterator[Progress]:
    """Train on pictures uint8 [n, H, W, 3] with masks uint8 [n, H, W], yielding Progress each step.

    Cross-entropy, rare parts weighing more (frequency to the power -1/4); AdamW with a one-cycle rate;
    three in four pictures are blurred, noisy, compressed or recoloured first.
    """
    rng, device = np.random.default_rng(seed), judge.head.weight.device
    noise = torch.Generator().manual_seed(seed)
    share = np.bincount(masks[:2000].ravel(), minlength=judge.parts) / masks[:2000].size
    weights = torch.from_numpy(np.clip(share, 1e-4, None) ** -0.25).float().to(device)
    optimiser = torch.optim.AdamW(judge.parameters(), lr=HIGHEST_LR, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, HIGHEST_LR, total_steps=steps)
    judge.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    for step in range(1, steps + 1):
        chosen = np.sort(rng.choice(len(pictures), BATCH, replace=False))
        x = spoil(to_tensor(pictures[chosen]), rng, noise).to(device, memory_format=torch.channels_last)
        y = torch.from_numpy(masks[chosen]).to(device).long()
        with low_precision(device):
            logits = judge(x)
        loss = F.cross_entropy(logits.float(), y, weight=weights)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
        yield Progress(step, steps, {"ce": float(loss.detach())})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with pictures.npy and masks.npy")
    parser.add_argument("--held-out", type=Path, required=True, help="the same, of pictures never trained on")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--parts", type=int, default=16)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    add_device(parser)
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    pictures, masks = (np.load(options.data / f"{name}.npy", mmap_mode="r") for name in ("pictures", "masks"))
    judge = Judge(options.parts).to(options.device)
    for progress in train_judge(judge, pictures, masks, steps=options.steps, seed=options.seed):
        if progress.step % 50 == 0:
            print(f"{progress.step}/{progress.total} ce {progress.losses['ce']:.4f}", flush=True)
    judge.eval()
    held, exact = (np.load(options.held_out / f"{name}.npy") for name in ("pictures", "masks"))
    scores = part_ious(judge.predict(held), exact, options.parts)
    print(f"held-out mIoU {np.nanmean(scores):.4f}", np.round(scores, 3).tolist())
    save_network(options.out, judge, {"parts": judge.parts, "width": judge.width}, half=True)


if __name__ == "__main__":
    main()
