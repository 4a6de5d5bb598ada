"""Draw docs/before-after.gif: samples as vectors change them, with their masks, made by a running service.

editq up &
python docs/before_after.py [address]
"""

import sys
from pathlib import Path

from PIL import Image

from editq import Client, JobResult

OUT = Path(__file__).with_name("before-after.gif")
SHOWN = (
    ("larger wheels", 3),
    ("longer body", 11),
    ("smaller headlights", 5),
)  # a vector, and the sample's seed
STEPS = 10  # from nothing to the whole vector
SIDE_PX, GAP_PX = 192, 6
FRAME_MS, HOLD_MS = 70, 900


def column(client: Client, vector: str, seed: int) -> list[Image.Image]:
    """The sample at every strength, its mask below it."""
    found = next(client.list_vectors(text=vector, model="cars"))
    sweep = [step / STEPS for step in range(STEPS + 1)]
    uses = [{"vector": found["id"], "strength": 1.0}]
    job = client.submit({"kind": "apply", "model": "cars", "seed": seed, "vectors": uses, "sweep": sweep})
    result = job.result(timeout_s=600)
    return [stacked(result, step) for step in range(len(sweep))]


def stacked(result: JobResult, step: int) -> Image.Image:
    both = Image.new("RGB", (SIDE_PX, 2 * SIDE_PX + GAP_PX), "white")
    picture, mask = (result.picture(f"{name}_000_{step:02d}.png") for name in ("picture", "mask"))
    both.paste(picture.resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC), (0, 0))
    both.paste(
        mask.convert("RGB").resize((SIDE_PX, SIDE_PX), Image.Resampling.NEAREST), (0, SIDE_PX + GAP_PX)
    )
    return both


def main() -> None:
    with Client(*sys.argv[1:2]) as client:
        columns = [column(client, vector, seed) for vector, seed in SHOWN]
    frames = []
    for parts in zip(*columns, strict=True):
        frame = Image.new("RGB", (len(parts) * (SIDE_PX + GAP_PX) - GAP_PX, parts[0].height), "white")
        for index, part in enumerate(parts):
            frame.paste(part, (index * (SIDE_PX + GAP_PX), 0))
        frames.append(frame.quantize(160, dither=Image.Dither.NONE))
    way = [*range(STEPS + 1), *range(STEPS - 1, 0, -1)]
    times = [HOLD_MS if step in (0, STEPS) else FRAME_MS for step in way]
    first, *rest = (frames[step] for step in way)
    first.save(OUT, save_all=True, append_images=rest, duration=times, loop=0, optimize=True)
    print(f"{OUT.name}: {OUT.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
