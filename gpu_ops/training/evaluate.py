"""The figures of a bundled model of rendered scenes.

    python -m gpu_ops.training.evaluate BUNDLE --data OUT/data --held-out OUT/held-out --out FIGURES

Writes figures.json, samples.png (8 x 8), nearest.png (samples beside the nearest training pictures) and
inversions.png. The held-out sets are those of docs/measurements.md.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from gpu_ops.bundle import Bundle, load_bundle
from gpu_ops.metrics import part_ious, psnr_db
from gpu_ops.picture import Picture, to_uint8
from gpu_ops.training.annotate import Annotated, annotate
from gpu_ops.training.distribution import frechet_distance, read_pictures, shares_of
from gpu_ops.training.domains import DOMAINS
from gpu_ops.training.perceptual import load_reader
from gpu_ops.training.place import add_device

HELD_OUT = 200
SAMPLES = 10_000
COMMON_SHARE = 0.01


def held_out_figures(
    bundle: Bundle, pictures: Picture, masks: Picture, own_from: int, steps: int = 500
) -> tuple[dict[str, Any], Annotated]:
    """Inversion PSNR, and the segmenter's IoU on inverted held-out renders against exact labels.

    Parts from own_from on are the subject's own: the car's, or the person's.
    """
    found = annotate(bundle, pictures, masks, steps=steps)
    guesses = torch.cat([bundle.draw(code[None])[1] for code in found.w_plus]).to(torch.uint8)
    own = [
        psnr_db(mine, theirs, mask >= own_from)
        for mine, theirs, mask in zip(found.pictures, pictures, masks, strict=True)
    ]
    figures = {
        "n": len(pictures),
        "inversion_psnr_db": float(np.mean(found.psnr_db)),
        "inversion_psnr_own_db": float(np.mean(own)),
        "inversion_psnr_own_p10_db": float(np.percentile(own, 10)),
        **segmentation_figures(guesses.cpu().numpy(), masks, bundle.parts, own_from, "segmenter"),
    }
    assert bundle.judge is not None, "a bundled model of rendered scenes has a judge"
    figures |= segmentation_figures(bundle.judge.predict(pictures), masks, bundle.parts, own_from, "judge")
    return figures, found


def segmentation_figures(
    found: Picture, exact: Picture, parts: list[str], own_from: int, who: str
) -> dict[str, Any]:
    """mIoU over all parts, over those of 1 % of the pixels or more, and over the subject's own among them."""
    scores = part_ious(found, exact, len(parts))
    shares = np.bincount(exact.ravel(), minlength=len(parts)) / exact.size
    common = shares >= COMMON_SHARE
    own = common & (np.arange(len(parts)) >= own_from)
    return {
        f"{who}_miou": float(np.nanmean(scores)),
        f"{who}_miou_common": float(scores[common].mean()),
        f"{who}_miou_own": float(scores[own].mean()),
        f"{who}_own_parts": int(own.sum()),
        f"{who}_iou": {name: round(float(score), 3) for name, score in zip(parts, scores, strict=True)},
    }


@torch.no_grad()
def draw_samples(bundle: Bundle, count: int, seed: int = 0) -> Picture:
    """Untruncated samples: uint8 [count, R, R, 3]."""
    rng = torch.Generator().manual_seed(seed)
    drawn = []
    for start in range(0, count, 50):
        z = torch.randn(min(50, count - start), bundle.generator.config.z_dim, generator=rng)
        drawn.append(to_uint8(bundle.generator(z.to(bundle.device))))
    return np.concatenate(drawn)


def sample_figures(
    backbone: Path, samples: Picture, training: Picture, kind: str, device: torch.device | str = "cpu"
) -> dict[str, Any]:
    """Shares of each word of the attribute `kind` by the attribute reader, and FID on its features."""
    reader, names = load_reader(backbone)
    reader.to(device)
    real, fake = read_pictures(reader, training), read_pictures(reader, samples)
    return {
        "samples": len(samples),
        f"{kind}_share_training": shares_of(kind, real.guesses, names),
        f"{kind}_share_samples": shares_of(kind, fake.guesses, names),
        "fid_own_features": frechet_distance(real.features, fake.features),
        "fid_own_features_two_halves_of_training": frechet_distance(real.features[::2], real.features[1::2]),
    }


def nearest(samples: Picture, training: Picture) -> Picture:
    """For each sample, the training picture of the smallest squared error: uint8 [n, H, W, 3]."""
    wanted = samples.reshape(len(samples), -1).astype(np.float32)
    best, which = np.full(len(samples), np.inf), np.zeros(len(samples), dtype=int)
    for start in range(0, len(training), 2000):
        rows = training[start : start + 2000].reshape(-1, wanted.shape[1]).astype(np.float32)
        error = (wanted**2).sum(1)[:, None] - 2 * wanted @ rows.T + (rows**2).sum(1)  # [n, 2000]
        here = error.argmin(axis=1)
        better = error[np.arange(len(samples)), here] < best
        best = np.where(better, error[np.arange(len(samples)), here], best)
        which = np.where(better, here + start, which)
    return np.stack([training[index] for index in which])


def save_tiles(path: Path, pictures: Picture, columns: int, scale: int = 2) -> None:
    """Tile pictures [n, H, W, 3] row by row, enlarged."""
    rows = [
        np.concatenate(list(pictures[start : start + columns]), axis=1)
        for start in range(0, len(pictures), columns)
    ]
    sheet = Image.fromarray(np.concatenate(rows))
    sheet.resize((sheet.width * scale, sheet.height * scale), Image.Resampling.NEAREST).save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure a bundled model of rendered scenes.")
    parser.add_argument("bundle", type=Path, help="the model's folder")
    parser.add_argument("--data", type=Path, required=True, help="training renders")
    parser.add_argument("--held-out", type=Path, required=True, help="renders never trained on")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--held-out-count", type=int, default=HELD_OUT)
    parser.add_argument("--samples", type=int, default=SAMPLES)
    add_device(parser)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    bundle = load_bundle(options.bundle, options.device)
    domain = DOMAINS[bundle.description["name"]]
    training = np.load(options.data / "pictures.npy", mmap_mode="r")
    count = options.held_out_count
    pictures, masks = (np.load(options.held_out / f"{name}.npy")[:count] for name in ("pictures", "masks"))
    samples = draw_samples(bundle, options.samples)
    save_tiles(options.out / "samples.png", samples[:64], 8)
    pairs = np.stack([samples[:16], nearest(samples[:16], training)], axis=1).reshape(-1, *samples.shape[1:])
    save_tiles(options.out / "nearest.png", pairs, 8)
    backbone = options.bundle / bundle.description["files"]["perceptual"]
    figures = sample_figures(backbone, samples, training[: options.samples], domain.kind, bundle.device)
    print(json.dumps(figures), flush=True)
    more, found = held_out_figures(bundle, pictures, masks, domain.own_from)
    pairs = np.stack([pictures[:32], found.pictures[:32]], axis=1).reshape(-1, *pictures.shape[1:])
    save_tiles(options.out / "inversions.png", pairs, 8)
    (options.out / "figures.json").write_text(json.dumps({**figures, **more}, indent=2) + "\n")
    print(json.dumps(more), flush=True)


if __name__ == "__main__":
    main()
