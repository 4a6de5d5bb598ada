"""The parts of a face picture, and the words that its scenes choose from."""

from __future__ import annotations

PARTS: tuple[str, ...] = (
    "background",
    "clothes",
    "neck",
    "skin",
    "ear",
    "brow",
    "lid",
    "white",
    "iris",
    "pupil",
    "nose",
    "upper_lip",
    "lower_lip",
    "teeth",
    "mouth_inside",
    "hair",
    "glasses",
)
"""Part names; a part's index is its class id in a mask. `lid` is the upper lid with its lashes,
`glasses` the frame alone: what is seen through a lens keeps its own part."""

PART_IDS: dict[str, int] = {name: index for index, name in enumerate(PARTS)}

GROUPS: dict[str, tuple[str, ...]] = {
    "eye": ("white", "iris", "pupil"),
    "gaze": ("iris", "pupil"),
    "lips": ("upper_lip", "lower_lip"),
    "mouth": ("upper_lip", "lower_lip", "teeth", "mouth_inside"),
    "face": PARTS[3:15],
    "head": PARTS[2:],
    "surroundings": PARTS[:2],
}

COLOURS: tuple[tuple[int, int, int], ...] = (
    (92, 110, 132),
    (70, 110, 200),
    (190, 140, 105),
    (240, 190, 150),
    (225, 120, 110),
    (110, 75, 45),
    (150, 90, 200),
    (255, 255, 255),
    (60, 180, 220),
    (20, 20, 30),
    (250, 215, 90),
    (214, 62, 62),
    (240, 120, 200),
    (200, 255, 220),
    (110, 10, 40),
    (60, 140, 80),
    (250, 130, 20),
)
"""RGB in 0..255 in which a mask's parts are shown, one for each of PARTS."""

HAIR_STYLES: tuple[str, ...] = (
    "short",
    "long",
    "wavy",
    "bob",
    "curly",
    "afro",
    "cropped",
    "buns",
    "ponytail",
)
GLASSES: tuple[str, ...] = ("none", "round", "square")
NECKLINES: tuple[str, ...] = ("round", "pointed", "collar")
BACKDROPS: tuple[str, ...] = ("plain", "lights", "panels", "hills")
EXPRESSIONS: tuple[str, ...] = ("frowning", "neutral", "smiling", "between")
