"""The worked example: cars in, a labelled data set out, a small network trained on it.

    editq up                                           # in a terminal of its own
    python docs/worked_example.py OUT [--cars 2000]

Each step is skipped where its output is in OUT already. Writes OUT/figures.json and OUT/sheet.png.
"""

import argparse
import json
import os
import tarfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from editq import Client
from gpu_ops.judge import Judge
from gpu_ops.metrics import part_ious
from gpu_ops.scenes.cars import COLOURS, PARTS, sample_scene
from gpu_ops.scenes.dataset import HELD_OUT_SEEDS_FROM, render_many, render_seed
from gpu_ops.training.domains import cars_to_annotate
from gpu_ops.training.judge import train_judge

Pixels = NDArray[np.uint8]
Labelled = tuple[Pixels, Pixels]  # pictures [n, R, R, 3], masks [n, R, R]

CARS_FROM = 1_000_000  # no model was trained on these
STRENGTHS = {"larger wheels": (-1.0, 1.5), "longer body": (-1.0, 1.5), "smaller headlights": (-1.0, 1.5)}
TRAINING_SEEDS = (0, 1, 2)
HELD_OUT, STEPS, BATCH = 1_000, 500, 48


def upload(client: Client, folder: Path, cars: int) -> list[str]:
    """Render the cars, and send them. Their images' ids, in order."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"car-{index:05d}.png" for index in range(cars)]
    for index, path in enumerate(paths):
        if not path.exists():
            Image.fromarray(render_seed(CARS_FROM + index)[0]).save(path)
    with ThreadPoolExecutor(2) as pool:
        return [image["id"] for image in pool.map(client.upload_image, paths)]


def manifest(images: list[str], vectors: dict[str, str], path: Path) -> None:
    """A line for each car: its picture, and how strongly each vector is to change it."""
    rng = np.random.default_rng(0)
    with path.open("w") as lines:
        for index, image in enumerate(images):
            drawn = {vectors[name]: round(float(rng.uniform(*ends)), 3) for name, ends in STRENGTHS.items()}
            lines.write(json.dumps({"id": f"car-{index:05d}", "image": image, "strengths": drawn}) + "\n")


def edit_in_bulk(out: Path, cars: int, inversion_steps: int) -> dict[str, object]:
    """One batch: every car inverted, changed by the three vectors, and written with its mask as COCO."""
    with Client(os.environ.get("EDITQ_URL", "http://127.0.0.1:8000"), retry_s=60) as client:
        vectors = {name: str(next(client.list_vectors(text=name))["id"]) for name in STRENGTHS}
        manifest(upload(client, out / "cars", cars), vectors, out / "list.jsonl")
        batch = client.submit_batch(
            {
                "kind": "apply",
                "model": "cars",
                "mode": "vector",
                "vectors": [{"vector": vector} for vector in vectors.values()],
                "inversion_steps": inversion_steps,
            },
            {"type": "manifest", "file": client.upload_file(out / "list.jsonl")["id"]},
            dataset={
                "formats": ["coco_panoptic", "coco_instance"],
                "split": {"train": 1, "val": 0, "test": 0},
            },
        )
        print("batch", batch["id"], flush=True)
        view = client.wait_batch(batch["id"], progress=_teller())
        client.download_dataset(batch["id"], out / "coco")
    kept = ("counts", "errors", "device_s", "busy_share", "created_at", "ended_at")
    return {"status": view["status"], **{name: view[name] for name in kept if name in view}}


def _teller() -> Callable[[dict[str, Any]], None]:
    """Prints how a batch stands whenever that is news."""
    last = ""

    def tell(view: dict[str, Any]) -> None:
        nonlocal last
        counts = view["counts"]
        line = f"{view['status']}: {counts['succeeded'] + counts['running']} of {counts['items']} cars"
        if line != last:
            print(line, flush=True)
            last = line

    return tell


def read_coco(folder: Path) -> Labelled:
    """Pictures and masks of the panoptic data set, whose categories are the parts' ids + 1."""
    for shard in sorted(folder.glob("coco-train-*.tar")):
        with tarfile.open(shard) as tar:
            tar.extractall(folder, filter="data")
    told = json.loads((folder / "coco-train-panoptic.json").read_text())
    pictures, masks = [], []
    for each in told["annotations"]:
        colours = np.array(Image.open(folder / "panoptic_train" / each["file_name"]).convert("RGB"))
        ids = colours.astype(np.int64) @ [1, 256, 65_536]
        part_of = {segment["id"]: segment["category_id"] - 1 for segment in each["segments_info"]}
        masks.append(np.vectorize(part_of.__getitem__, otypes=[np.uint8])(ids))
        name = Path(each["file_name"]).with_suffix(".png")
        pictures.append(np.array(Image.open(folder / "train" / name).convert("RGB")))
    return np.stack(pictures), np.stack(masks)


def annotated() -> Labelled:
    """The 16 pictures that the model's segmenter was trained on, with their exact masks."""
    chosen = cars_to_annotate([sample_scene(seed).labels() for seed in range(200)])
    return render_many(chosen, processes=1)


def mean_iou(labelled: Labelled, held_out: Labelled, seed: int, steps: int) -> float:
    """Train a small U-Net, and compare its masks of held-out renders with the exact ones."""
    pictures, masks = (np.tile(part, (-(-BATCH // len(part)), *[1] * (part.ndim - 1))) for part in labelled)
    torch.manual_seed(seed)
    network = Judge(len(PARTS))
    for progress in train_judge(network, pictures, masks, steps=steps, seed=seed):
        if progress.step % 250 == 0:
            print(f"  {progress.step}/{steps} ce {progress.losses['ce']:.3f}", flush=True)
    network.eval()
    return float(np.nanmean(part_ious(network.predict(held_out[0]), held_out[1], len(PARTS))))


def sheet(labelled: Labelled, path: Path) -> None:
    """Eight pictures of the data set above their masks."""
    pictures, masks = (part[:: max(1, len(part) // 8)][:8] for part in labelled)
    rows = [np.concatenate(list(row), axis=1) for row in (pictures, np.array(COLOURS, np.uint8)[masks])]
    drawn = Image.fromarray(np.concatenate(rows))
    drawn.resize((2 * drawn.width, 2 * drawn.height), Image.Resampling.NEAREST).save(path, optimize=True)


def compare(sets: dict[str, Labelled], steps: int, told: dict[str, Any]) -> Iterator[None]:
    """Each set in each seed, equally long, with the same augmentation: rows of `told`, once each."""
    held_out = render_many(range(HELD_OUT_SEEDS_FROM, HELD_OUT_SEEDS_FROM + HELD_OUT), processes=1)
    rows = told.setdefault("rows", [])
    for seed in TRAINING_SEEDS:
        for name, labelled in sets.items():
            row = {"set": name, "pictures": len(labelled[0]), "seed": seed, "steps": steps}
            if any(row.items() <= each.items() for each in rows):
                continue
            rows.append(row | {"miou": mean_iou(labelled, held_out, seed, steps)})
            print(json.dumps(rows[-1]), flush=True)
            yield


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--cars", type=int, default=2_000)
    parser.add_argument("--inversion-steps", type=int, default=10)
    parser.add_argument("--steps", type=int, default=STEPS, help="of the small network")
    options = parser.parse_args()
    out: Path = options.out
    figures = out / "figures.json"
    told = json.loads(figures.read_text()) if figures.exists() else {}
    if "batch" not in told:
        out.mkdir(parents=True, exist_ok=True)
        told["batch"] = edit_in_bulk(out, options.cars, options.inversion_steps)
        figures.write_text(json.dumps(told, indent=2) + "\n")
    made = read_coco(out / "coco")
    sheet(made, out / "sheet.png")
    sets = {"16 annotated pictures": annotated(), "the data set": made}
    for _ in compare(sets, options.steps, told):
        figures.write_text(json.dumps(told, indent=2) + "\n")


if __name__ == "__main__":
    main()
