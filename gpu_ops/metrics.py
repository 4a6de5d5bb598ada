"""Scores of pictures and masks."""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]


def psnr_db(picture: Array, target: Array, where: Flags | None = None) -> float:
    """Peak signal-to-noise ratio in dB of uint8 pictures [H, W, 3], over the pixels where [H, W]."""
    squares = (picture.astype(np.float64) - target.astype(np.float64)) ** 2
    error = float(squares.mean() if where is None else squares[where].mean())
    return float("inf") if error == 0 else float(10 * np.log10(255.0**2 / error))


def iou(found: Flags, wanted: Flags) -> float:
    """Intersection over union; 1 where both are empty."""
    union = int((found | wanted).sum())
    return 1.0 if union == 0 else int((found & wanted).sum()) / union


def part_ious(found: Array, wanted: Array, part_count: int) -> npt.NDArray[np.float64]:
    """IoU of each part over whole sets of masks [N, H, W]; NaN where neither has the part: [K]."""
    scores = np.full(part_count, np.nan)
    for part in range(part_count):
        in_found, in_wanted = found == part, wanted == part
        union = int((in_found | in_wanted).sum())
        if union:
            scores[part] = int((in_found & in_wanted).sum()) / union
    return scores
