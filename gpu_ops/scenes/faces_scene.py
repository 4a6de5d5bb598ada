"""Face scenes: what may vary in them, and how one is drawn by its seeds.

A scene is one person (an identity) in one picture. Left and right are the picture's. Lengths
are fractions of the picture's side, so a scene renders at any resolution. Drawing is in
`faces_draw`.
"""

from __future__ import annotations

import functools
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gpu_ops.scenes.faces_parts import BACKDROPS, GLASSES, HAIR_STYLES, NECKLINES
from gpu_ops.scenes.faces_ranges import HAIR_RANGES, IDENTITY_RANGES, PICTURE_RANGES
from gpu_ops.scenes.seeds import range_start

SMILING_FROM = 0.4
FROWNING_TO = -0.4
NEUTRAL_WITHIN = 0.15
"""The labels of an expression by `smile`; what lies in the gaps is of no class ("between")."""

PICTURES_PER_IDENTITY = 4  # of neighbouring seeds, unless the caller names the identity
GLASSES_SHARE = 0.24

# Mixed into every seed, so that other domains draw other scenes from the same seed.
_IDENTITY_KEY, _PICTURE_KEY = 0xFACE1D, 0xFACE

Bounds = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Scene:
    """Every choice that makes one picture; lengths are fractions of the picture's side."""

    seed: int
    identity: int  # whose face it is; also seeds the freckles and curls
    hair_style: str  # one of HAIR_STYLES; belongs to the identity
    glasses: str  # one of GLASSES
    neckline: str  # one of NECKLINES
    backdrop: str  # one of BACKDROPS
    # ---- the identity ----
    face_width: float  # half the width at the cheekbones
    face_length: float  # from the eyes' line to the chin
    jaw_width: float  # of the face's width
    chin_width: float  # of the face's width
    cheek_fullness: float
    ear_size: float
    skin_tone: float  # 0 light to 1 dark
    skin_warmth: float
    freckles: float  # none below 0
    stubble: float  # none below 0
    eye_width: float
    eye_height: float  # of the eye's width, when open
    eye_spacing: float  # from the middle of the face to the middle of an eye
    eye_tilt: float  # radians, outer corners up
    iris_size: float  # radius
    iris_hue: float
    iris_saturation: float
    iris_value: float
    lashes: float
    lid_shade: float
    brow_thickness: float
    brow_height: float  # above the eyes' line
    brow_length: float
    brow_arch: float
    brow_shade: float  # 0 as the hair, 1 darker
    nose_length: float  # below the eyes' line
    nose_width: float  # half the width of its wings
    nose_bridge: float
    mouth_width: float  # half of it
    mouth_height: float  # 0 near the chin, 1 near the nose
    upper_lip: float
    lower_lip: float
    lip_redness: float
    hair_hue: float
    hair_saturation: float
    hair_value: float
    hairline: float  # above the eyes' line
    fringe: float  # how far hair falls over the forehead
    parting: float  # -1 left, 1 right
    hair_streaks: float
    hair_length: float  # where it ends, below the eyes' line
    hair_volume: float
    # ---- the picture ----
    smile: float  # -1 frown to 1 broad smile
    mouth_open: float  # shut below 0
    eye_open: float  # closed below 0, fully open from 1
    gaze_x: float  # -1 left, 1 right
    gaze_y: float  # -1 up, 1 down
    brow_lift: float
    brow_frown: float  # 1 inner ends down, -1 up
    blush: float  # none below 0
    yaw: float  # radians, the nose to the right
    pitch: float  # radians, the nose up
    roll: float  # radians, clockwise
    zoom: float
    centre_x: float
    centre_y: float  # of the eyes' line
    light_side: float  # -1 from the left, 1 from the right
    light_height: float
    light_strength: float
    light_warmth: float
    shine: float
    glasses_size: float
    glasses_frame: float  # thickness
    glasses_hue: float
    glasses_value: float
    clothes_hue: float
    clothes_saturation: float
    clothes_value: float
    neckline_depth: float
    backdrop_hue: float
    backdrop_saturation: float
    backdrop_value: float
    backdrop_turn: float
    clutter: float

    @property
    def expression(self) -> str:
        """One of EXPRESSIONS."""
        if self.smile >= SMILING_FROM:
            return "smiling"
        if self.smile <= FROWNING_TO:
            return "frowning"
        return "neutral" if abs(self.smile) <= NEUTRAL_WITHIN else "between"

    def labels(self) -> dict[str, Any]:
        """The parameters and the expression's word, to be stored as attribute labels."""
        return asdict(self) | {"expression": self.expression}


def identity_of(seed: int, pictures: int = PICTURES_PER_IDENTITY) -> int:
    """The identity of a seed: so many neighbouring seeds share one, and it stays in its seed's range.

    So nobody who was seen in training is among the held-out seeds, whatever `pictures` was.
    """
    start = range_start(seed)
    return start + (seed - start) // pictures


def sample_scene(seed: int, identity: int | None = None) -> Scene:
    """The scene of a seed >= 0: always the same one, uniform in each of the ranges.

    identity >= 0 names the person; otherwise it is identity_of(seed). The same identity has the
    same face with every seed, and the same seed the same expression, light and place with every
    identity.
    """
    identity = identity_of(seed) if identity is None else identity
    person = np.random.default_rng([_IDENTITY_KEY, identity])
    hair_style = _word(person, HAIR_STYLES)
    face = _numbers(person, hair_style)
    picture = np.random.default_rng([_PICTURE_KEY, seed])
    worn = picture.random() < GLASSES_SHARE
    look: dict[str, Any] = {
        "glasses": _word(picture, GLASSES[1:]) if worn else GLASSES[0],
        "neckline": _word(picture, NECKLINES),
        "backdrop": _word(picture, BACKDROPS),
    }
    look |= _numbers(picture)
    return Scene(seed=seed, identity=identity, hair_style=hair_style, **look, **face)


def _word(rng: np.random.Generator, words: tuple[str, ...]) -> str:
    return words[int(rng.integers(len(words)))]


@functools.cache
def _bounds(hair_style: str | None) -> tuple[tuple[str, ...], Bounds, Bounds]:
    """Names, lowest and highest values of a picture's numbers, or of an identity's by its hair."""
    ranges = IDENTITY_RANGES | HAIR_RANGES[hair_style] if hair_style else PICTURE_RANGES
    names = tuple(sorted(ranges))
    lows, highs = np.array([ranges[name] for name in names]).T
    return names, lows, highs


def _numbers(rng: np.random.Generator, hair_style: str | None = None) -> dict[str, Any]:
    names, lows, highs = _bounds(hair_style)
    values: list[float] = rng.uniform(lows, highs).tolist()
    return dict(zip(names, values, strict=True))
