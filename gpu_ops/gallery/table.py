"""What the gallery shows of each bundled model: scenes by their seeds, and vectors by their names.

The scenes are held-out ones, chosen by eye among the renders before anything was edited; only the car that
is edited in the photograph was chosen afterwards, of three.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gpu_ops.scenes.dataset import HELD_OUT_SEEDS_FROM
from gpu_ops.training.starter_table import Members

FIRST = HELD_OUT_SEEDS_FROM + 500_000  # nothing is measured on these
STRENGTHS = (-1.0, 0.0, 0.5, 1.0, 1.5)


@dataclass(frozen=True)
class Effort:
    """Steps of inversions, of portraits' inversions, of refinement, and of an edit from scratch."""

    inversion: int = 300
    portrait: int = 100
    refinement: int = 30
    edit: int = 100


QUICK = Effort(1, 1, 1, 1)


@dataclass(frozen=True)
class Hard:
    """One edit done in all ways: a scene, and members of it changed, which gives the exact mask wanted."""

    seed: int
    after: Members
    group: str
    vector: str
    strength: float


@dataclass(frozen=True)
class Row:
    """A photograph: three scenes side by side under one sky, the middle one of which is edited.

    shared  members that the outer scenes take from the middle one, so that no seam shows
    fixed   members of all three
    """

    seeds: tuple[int, int, int]
    shared: tuple[str, ...]
    fixed: Members
    vector: str
    strength: float


@dataclass(frozen=True)
class Show:
    """subjects_of: by vector, other scenes than the usual ones, where these leave it nothing to do."""

    subjects: tuple[int, ...]
    pair: tuple[str, str]
    pair_subjects: tuple[int, int]
    hard: Hard
    row: Row
    subjects_of: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    portraits: tuple[int, ...] = ()
    portrait_vectors: tuple[str, str] | None = None


def scene_of(scenes: Any, seed: int) -> Any:
    """The scene of a seed counted from FIRST; where scenes are of persons, each is another one."""
    at = FIRST + seed
    return scenes.sample_scene(at, at) if hasattr(scenes, "identity_of") else scenes.sample_scene(at)


CARS = Show(
    subjects=(14, 21, 35, 12),
    pair=("larger wheels", "longer body"),
    pair_subjects=(14, 35),
    hard=Hard(seed=3, after={"wheel_radius": 0.14}, group="wheel", vector="larger wheels", strength=1.5),
    row=Row(
        seeds=(26, 3, 17),
        shared=(
            *("axle_y", "horizon", "sky_hue", "sky_saturation", "sky_value", "road_shade", "road_warmth"),
            *("light_side", "light_strength", "shadow_depth", "shadow_reach"),
        ),
        fixed={"clutter": 0.0, "clutter_height": 0.0, "texture": 0.0},
        vector="larger wheels",
        strength=1.0,
    ),
)

FACES = Show(
    subjects=(649, 3, 955, 224),
    subjects_of={"long hair": (14, 224, 363, 521), "open eyes": (249, 287, 1017, 1675)},
    pair=("smile", "gaze left"),
    pair_subjects=(649, 3),
    hard=Hard(seed=435, after={"smile": 0.85}, group="mouth", vector="smile", strength=1.0),
    row=Row(
        seeds=(649, 3, 955),
        shared=(
            *("backdrop_hue", "backdrop_saturation", "backdrop_value", "backdrop_turn"),
            *("light_side", "light_height", "light_strength", "light_warmth"),
        ),
        fixed={"backdrop": "plain", "clutter": 0.0},
        vector="smile",
        strength=1.0,
    ),
    portraits=(649, 224, 875),
    portrait_vectors=("smile", "close eyes"),
)

SHOWS = {"cars": CARS, "faces": FACES}
