"""Pictures as files have them (uint8, H W 3) and as networks do (float32, 3 H W, [-1, 1])."""

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

Picture = npt.NDArray[np.uint8]


def to_square(picture: Picture, size_px: int) -> Picture:
    """Cut the central square out of picture [H, W, 3] and resize it to [size_px, size_px, 3]."""
    height, width = picture.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = picture[top : top + side, left : left + side]
    if side == size_px:
        return square.copy()
    resized = Image.fromarray(square).resize((size_px, size_px), Image.Resampling.LANCZOS)
    return np.asarray(resized, dtype=np.uint8)


def to_tensor(pictures: Picture, device: torch.device | str = "cpu") -> torch.Tensor:
    """uint8 [N, H, W, 3] -> float32 [N, 3, H, W] in [-1, 1]."""
    tensor = torch.from_numpy(np.ascontiguousarray(pictures)).to(device)
    return tensor.permute(0, 3, 1, 2).float() / 127.5 - 1  # [N, 3, H, W]


def to_uint8(pictures: torch.Tensor) -> Picture:
    """float [N, 3, H, W] about [-1, 1] -> uint8 [N, H, W, 3], clamped and rounded."""
    levels = (pictures.detach().float() * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8)
    array: Picture = levels.permute(0, 2, 3, 1).contiguous().cpu().numpy()
    return array
