"""An edit at the model's resolution, pasted back into a photograph many times as large."""

from dataclasses import replace

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from gpu_ops.apply import Plan, apply
from gpu_ops.gallery.sections import Figure, Section
from gpu_ops.gallery.sheet import GAP, HEAD, INK, MARGIN, PAPER, font
from gpu_ops.gallery.shown import Shown
from gpu_ops.gallery.table import scene_of
from gpu_ops.metrics import Flags
from gpu_ops.photo import Box, Edited, cut, paste_back
from gpu_ops.picture import Picture
from gpu_ops.training.console import report

SCENE_PX = 384  # side of each of the three scenes
ZOOM = 2
CROP_PX = 188
"""Of the photograph: what is shown enlarged."""


def draw_pasted(shown: Shown) -> Section:
    """Raises NotShown."""
    row, seen_px = shown.show.row, shown.bundle.resolution_px
    original, box = photograph(shown), Box(SCENE_PX, 0, SCENE_PX)
    pasted = paste_back(original, box, _edited(shown, cut(original, box, seen_px)))
    height, width = original.shape[:2]
    text = (
        f"A photograph of {width} x {height} px: three scenes side by side. The model sees the middle "
        f"{box.size} px as {seen_px}, where `{row.vector}` is applied at strength {row.strength:g} and "
        f"refined; the change is pasted back {box.size / seen_px:g} times as large. What was replaced is as "
        "sharp as the model is. All that was not to change is the original's, bit for bit: in the last crop "
        "are the pixels that differ."
    )
    name = f"{shown.name}-pasted"
    figures = (
        Figure(name, _above(original, pasted), f"a photograph, and the same with {row.vector} pasted in"),
        Figure(f"{name}-crop", _crops(original, pasted), "a crop: original, pasted into, what differs"),
    )
    return Section("Pasted back into a photograph", text, figures)


def _edited(shown: Shown, seen: Picture) -> Edited:
    """The middle scene uint8 [R, R, 3] with the row's vector applied, and refined. Raises NotShown."""
    row = shown.show.row
    vector = shown.vector(row.vector)
    (subject,) = shown.inverted([(seen, None)])
    before, delta_w = subject.before, row.strength * vector.delta_w.to(subject.w_plus)
    plan = Plan("refinement", refine_steps=shown.effort.refinement)
    run = apply(shown.bundle, subject.w_plus, delta_w, vector.q_edit, plan, before=before)
    applied = report(run, f"{row.vector}, to be pasted")
    return Edited(before.pictures[0], applied.picture, before.masks[0], applied.mask, applied.region)


def photograph(shown: Shown) -> Picture:
    """Three scenes under one sky: uint8 [SCENE_PX, 3 SCENE_PX, 3]."""
    row = shown.show.row
    scenes = [scene_of(shown.scenes, seed) for seed in row.seeds]
    common = {name: getattr(scenes[1], name) for name in row.shared} | dict(row.fixed)
    return np.concatenate(
        [shown.scenes.render(replace(scene, **common), SCENE_PX)[0] for scene in scenes], axis=1
    )


def _above(original: Picture, pasted: Picture) -> Image.Image:
    height, width = original.shape[:2]
    image = Image.new("RGB", (width, 2 * height + GAP), PAPER)
    image.paste(Image.fromarray(original), (0, 0))
    image.paste(Image.fromarray(pasted), (0, height + GAP))
    return image


def _crops(original: Picture, pasted: Picture) -> Image.Image:
    """Around the largest change: the original, the pasted, and of that the pixels that differ."""
    differ = (original != pasted).any(axis=2)
    left, top = around_largest(differ, CROP_PX)
    area = np.s_[top : top + CROP_PX, left : left + CROP_PX]
    alone = np.where(differ[..., None], pasted, np.array(PAPER, np.uint8))
    side = ZOOM * CROP_PX
    image = Image.new("RGB", (3 * side + 2 * GAP + 2 * MARGIN, side + HEAD + 2 * MARGIN), PAPER)
    draw = ImageDraw.Draw(image)
    crops = {"original": original, "pasted into": pasted, "pixels that differ": alone}
    for index, (name, crop) in enumerate(crops.items()):
        left = MARGIN + index * (side + GAP)
        draw.text((left, MARGIN), name, fill=INK, font=font(19))
        image.paste(
            Image.fromarray(crop[area]).resize((side, side), Image.Resampling.NEAREST), (left, MARGIN + HEAD)
        )
    return image


def around_largest(flags: Flags, side: int) -> tuple[int, int]:
    """Left and upper edge of a square around the middle of the largest piece of flags bool [H, W]."""
    pieces, _ = ndimage.label(flags)
    sizes = np.bincount(pieces.ravel())[1:]  # without the ground
    found = ndimage.find_objects(pieces)[int(sizes.argmax())] if len(sizes) else np.s_[:, :]
    edges = []
    for at, length in zip(found, flags.shape, strict=True):
        start, stop, _ = at.indices(length)
        edges.append(min(max(0, (start + stop - side) // 2), length - side))
    return edges[1], edges[0]
