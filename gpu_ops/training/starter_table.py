"""The starter vectors: what each is to make of a picture, as rendered scenes before and after.

Two renders of one scene give the exact masks; what differs between them is asked of the inverted picture.
Sources are training scenes: nothing is learned from a seed that something is measured on.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from gpu_ops.picture import Picture
from gpu_ops.training.domains import DOMAINS

Members = Mapping[str, Any]


@dataclass(frozen=True)
class Starter:
    """One vector to learn.

    q_edit    parts or part groups that it is about
    before    members of the scene that are set in both renders; the rest is the seed's
    after     members set in the second alone
    seeds     the scenes it is learned on, one after another; the vector is the mean
    cut_from  where the subject ends in the mask wanted, as a share of the picture's width; None: nowhere
    beyond    whether what is asked for lies outside the range that scenes are drawn from
    """

    name: str
    domain: str
    q_edit: tuple[str, ...]
    before: Members
    after: Members = field(default_factory=dict)
    seeds: tuple[int, ...] = ()
    tags: tuple[str, ...] = ()
    cut_from: float | None = None
    beyond: bool = False


@dataclass(frozen=True)
class Source:
    """pictures uint8 [N, R, R, 3] before; exact masks uint8 [N, R, R] before, and as they are to become."""

    pictures: Picture
    before: Picture
    after: Picture

    def wanted(self, masks: Picture) -> Picture:
        """The masks to ask of the inverted pictures, which show masks uint8 [N, R, R] as they are."""
        wanted: Picture = np.where(self.before != self.after, self.after, masks)
        return wanted


def draw_source(starter: Starter, size_px: int, sources: int | None = None) -> Source:
    """Render the first `sources` scenes of a starter, all by default."""
    domain = DOMAINS[starter.domain]
    rows = []
    for seed in starter.seeds[:sources]:
        scene = replace(domain.scenes.sample_scene(seed), **starter.before)
        picture, before = domain.scenes.render(scene, size_px)
        after = domain.scenes.render(replace(scene, **starter.after), size_px)[1]
        if starter.cut_from is not None:
            empty = domain.scenes.render(replace(scene, centre_x=9.0), size_px)[1]  # nothing but surroundings
            gone = (after >= domain.own_from) & (np.arange(size_px) >= starter.cut_from * size_px)
            after = np.where(gone, empty, after)
        rows.append((picture, before, after))
    return Source(*(np.stack(column) for column in zip(*rows, strict=True)))


def part_ids(starter: Starter) -> tuple[int, ...]:
    """The ids of q_edit, groups resolved."""
    scenes = DOMAINS[starter.domain].scenes
    names = [part for name in starter.q_edit for part in scenes.GROUPS.get(name, (name,))]
    return tuple(sorted({scenes.PARTS.index(name) for name in names}))


# People and cars to learn on: training seeds, far enough apart that no two faces are of one person.
PEOPLE = (40_003, 40_041, 40_078, 40_110)
CARS = (40_000, 40_001, 40_002, 40_003)

# A face at rest, seen from the front, with nothing before it.
AT_REST: Members = {
    "smile": 0.0,
    "mouth_open": -1.0,
    "eye_open": 1.0,
    "gaze_x": 0.0,
    "gaze_y": 0.0,
    "brow_lift": 0.0,
    "brow_frown": 0.0,
    "glasses": "none",
    "yaw": 0.0,
    "pitch": 0.0,
    "roll": 0.0,
}


def _face(name: str, q_edit: tuple[str, ...], after: Members, tags: tuple[str, ...], **more: Any) -> Starter:
    before = AT_REST | more.pop("before", {})
    return Starter(name, "faces", q_edit, before, after, PEOPLE, tags, **more)


def _car(
    name: str, q_edit: tuple[str, ...], before: Members, after: Members, tags: tuple[str, ...], **more: Any
) -> Starter:
    return Starter(name, "cars", q_edit, before, after, CARS, tags, **more)


FACES = (
    _face("smile", ("mouth",), {"smile": 0.85}, ("expression",)),
    _face("frown", ("mouth",), {"smile": -0.85}, ("expression",)),
    _face("gaze left", ("eye",), {"gaze_x": -0.9}, ("eyes",)),
    _face("gaze right", ("eye",), {"gaze_x": 0.9}, ("eyes",)),
    _face("close eyes", ("eye", "lid"), {"eye_open": -0.2}, ("eyes",)),
    _face("open eyes", ("eye", "lid"), {"eye_open": 1.2}, ("eyes",), before={"eye_open": 0.35}),
    _face("lift brows", ("brow",), {"brow_lift": 0.95}, ("expression",), before={"brow_lift": -0.4}),
    _face(
        "long hair",
        ("hair",),
        {"hair_style": "long", "hair_length": 0.5, "hair_volume": 0.09},
        ("hair",),
        before={"hair_style": "short", "hair_length": 0.0, "hair_volume": 0.04},
    ),
    _face("turn head right", ("head", "clothes"), {"yaw": 0.32}, ("pose",)),
    _face("large eyes", ("eye", "lid"), {"eye_width": 0.215}, ("eyes",), beyond=True),
)

CARS_STARTERS = (
    _car("larger wheels", ("wheel",), {"wheel_radius": 0.1}, {"wheel_radius": 0.14}, ("wheels",)),
    _car("smaller headlights", ("headlight",), {"headlight_size": 1.3}, {"headlight_size": 0.6}, ("lights",)),
    _car("longer body", ("car",), {"length": 0.77}, {"length": 0.88}, ("body",)),
    _car(
        "rear cut off",
        ("body", "window", "door", "taillight", "bumper", "handle"),
        {"body_type": "sedan", "length": 0.88, "wheel_radius": 0.085, "rear_wheel": 0.767},
        {},
        ("body",),
        cut_from=0.84,
        beyond=True,
    ),
    _car("no mirror", ("mirror",), {"mirror_size": 1.2}, {"mirror_size": 0.0}, ("body",), beyond=True),
    _car("wider spokes", ("spokes", "rim"), {"spoke_width": 0.43}, {"spoke_width": 0.75}, ("wheels",)),
)

STARTERS = {"cars": CARS_STARTERS, "faces": FACES}
