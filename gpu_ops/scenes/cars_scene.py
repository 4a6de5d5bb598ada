"""Car scenes: what may vary in them, and how one is drawn by its seed.

A scene is a side view of one car facing left. Every length is a fraction of the picture's
side and every position has its origin at the top left, so a scene renders at any resolution.
Drawing is in `cars_draw`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

PARTS: tuple[str, ...] = (
    "sky",
    "road",
    "shadow",
    "body",
    "window",
    "door",
    "tyre",
    "rim",
    "spokes",
    "hub",
    "headlight",
    "taillight",
    "mirror",
    "bumper",
    "plate",
    "handle",
)
"""Part names; a part's index is its class id in a mask. `sky` takes in everything far away."""

PART_IDS: dict[str, int] = {name: index for index, name in enumerate(PARTS)}

GROUPS: dict[str, tuple[str, ...]] = {
    "wheel": ("tyre", "rim", "spokes", "hub"),
    "light": ("headlight", "taillight"),
    "car": PARTS[3:],
    "background": PARTS[:3],
}

COLOURS: tuple[tuple[int, int, int], ...] = (
    (135, 190, 235),
    (128, 128, 128),
    (64, 64, 72),
    (214, 62, 62),
    (70, 110, 200),
    (240, 150, 60),
    (30, 30, 30),
    (190, 190, 200),
    (250, 230, 90),
    (150, 90, 200),
    (255, 255, 190),
    (150, 0, 40),
    (60, 180, 90),
    (110, 75, 45),
    (255, 255, 255),
    (240, 120, 200),
)
"""RGB in 0..255 in which a mask's parts are shown, one for each of PARTS."""

BODY_TYPES: tuple[str, ...] = ("sedan", "hatchback", "coupe", "van", "pickup")

# Mixed into every seed, so that other domains draw other scenes from the same seed.
_DOMAIN_KEY = 0xCA25


@dataclass(frozen=True)
class Scene:
    """Every choice that makes one picture; lengths are fractions of the picture's side."""

    seed: int  # also seeds the road's texture and the clutter
    body_type: str  # one of BODY_TYPES
    spoke_count: int  # 4 to 6
    # where the car is, and its wheels
    centre_x: float
    axle_y: float  # height of both wheel centres in the picture
    length: float
    wheel_radius: float  # outer edge of the tyre; drawn apart from every other length
    front_wheel: float  # wheel centres, as fractions of the length from the nose
    rear_wheel: float
    rim_ratio: float  # rim radius / wheel radius
    spoke_angle: float  # fraction of the gap between two spokes, 0 to 1
    spoke_width: float  # share of the turn that spokes take, 0 to 1
    hub_ratio: float  # hub radius / rim radius
    rim_shade: float  # 0 dark to 1 bright
    # the body
    sill_drop: float  # how far the body reaches below the axles (less is more ground clearance)
    belt_height: float  # from the axles up to the lower edge of the windows
    nose_drop: float  # how far the nose is below the belt line
    cabin_height: float  # from the belt line to the roof
    hood_length: float  # fractions of the length from here on
    windscreen_run: float
    rear_run: float
    cabin_end: float
    deck_drop: float  # how far the tail is below the belt line, a fraction of the picture
    # what is on it
    paint_hue: float  # 0 to 1
    paint_saturation: float
    paint_value: float
    window_tint: float  # 0 clear to 1 black
    reflection: float  # strength of what windows and paint mirror, 0 to 1
    reflection_x: float
    door_split: float  # where the front door ends, as a fraction of the door room
    headlight_size: float
    taillight_size: float
    mirror_size: float
    bumper_size: float
    bumper_shade: float
    plate_height: float  # 0 low to 1 high on the front bumper
    handle_height: float
    # light and surroundings
    light_side: float  # -1 from the left, 1 from the right
    light_strength: float
    sky_hue: float
    sky_saturation: float
    sky_value: float
    horizon: float
    road_shade: float
    road_warmth: float
    shadow_depth: float
    shadow_reach: float  # how far below the axles the shadow lies
    clutter: float  # contrast of what stands on the horizon
    clutter_height: float
    texture: float  # contrast of the road's texture

    def labels(self) -> dict[str, Any]:
        """The parameters as plain values, to be stored as attribute labels."""
        return asdict(self)


Ranges = dict[str, tuple[float, float]]

# 1/64 is one pixel of the smallest model: wheels span 5 to 9.5 px there, cars 46 to 58 px.
COMMON_RANGES: Ranges = {
    "centre_x": (0.485, 0.515),
    "axle_y": (0.68, 0.75),
    "length": (0.75, 0.89),
    "wheel_radius": (0.078, 0.148),
    "front_wheel": (0.205, 0.245),
    "rear_wheel": (0.765, 0.805),
    "rim_ratio": (0.66, 0.78),
    "spoke_angle": (0.0, 1.0),
    "spoke_width": (0.42, 0.58),
    "hub_ratio": (0.42, 0.54),
    "rim_shade": (0.0, 1.0),
    "sill_drop": (0.015, 0.045),
    "belt_height": (0.185, 0.24),
    "nose_drop": (0.02, 0.06),
    "cabin_height": (0.155, 0.195),
    "deck_drop": (0.0, 0.02),
    "paint_hue": (0.0, 1.0),
    "paint_saturation": (0.05, 0.9),
    "paint_value": (0.35, 0.95),
    "window_tint": (0.2, 0.9),
    "reflection": (0.1, 0.8),
    "reflection_x": (0.0, 1.0),
    "door_split": (0.46, 0.56),
    "headlight_size": (0.7, 1.3),
    "taillight_size": (0.7, 1.3),
    "mirror_size": (0.8, 1.3),
    "bumper_size": (0.8, 1.25),
    "bumper_shade": (0.0, 1.0),
    "plate_height": (0.0, 1.0),
    "handle_height": (0.0, 1.0),
    "light_side": (-1.0, 1.0),
    "light_strength": (0.3, 1.0),
    "sky_hue": (0.52, 0.64),
    "sky_saturation": (0.05, 0.5),
    "sky_value": (0.72, 1.0),
    "horizon": (0.42, 0.60),
    "road_shade": (0.30, 0.58),
    "road_warmth": (-1.0, 1.0),
    "shadow_depth": (0.35, 0.75),
    "shadow_reach": (0.13, 0.165),
    "clutter": (0.0, 1.0),
    "clutter_height": (0.04, 0.14),
    "texture": (0.0, 1.0),
}

TYPE_RANGES: dict[str, Ranges] = {
    "sedan": {
        "hood_length": (0.25, 0.31),
        "windscreen_run": (0.11, 0.16),
        "rear_run": (0.10, 0.15),
        "cabin_end": (0.80, 0.87),
    },
    "hatchback": {
        "hood_length": (0.22, 0.28),
        "windscreen_run": (0.11, 0.17),
        "rear_run": (0.06, 0.12),
        "cabin_end": (0.96, 0.985),
        "cabin_height": (0.165, 0.205),
    },
    "coupe": {
        "hood_length": (0.31, 0.37),
        "windscreen_run": (0.14, 0.19),
        "rear_run": (0.25, 0.32),
        "cabin_end": (0.93, 0.975),
        "cabin_height": (0.13, 0.16),
    },
    "van": {
        "hood_length": (0.11, 0.17),
        "windscreen_run": (0.09, 0.15),
        "rear_run": (0.01, 0.04),
        "cabin_end": (0.975, 0.99),
        "cabin_height": (0.21, 0.255),
        "deck_drop": (0.0, 0.004),
    },
    "pickup": {
        "hood_length": (0.23, 0.29),
        "windscreen_run": (0.09, 0.13),
        "rear_run": (0.01, 0.05),
        "cabin_end": (0.58, 0.65),
        "deck_drop": (0.0, 0.01),
    },
}


def sample_scene(seed: int) -> Scene:
    """The scene of a seed >= 0: always the same one, uniform in each of the ranges above."""
    rng = np.random.default_rng([_DOMAIN_KEY, seed])
    body_type = BODY_TYPES[int(rng.integers(len(BODY_TYPES)))]
    spoke_count = int(rng.integers(4, 7))
    ranges = COMMON_RANGES | TYPE_RANGES[body_type]
    values = {name: float(rng.uniform(*ranges[name])) for name in sorted(ranges)}
    return Scene(seed=seed, body_type=body_type, spoke_count=spoke_count, **values)
