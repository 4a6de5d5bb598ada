"""What differs between the bundled models' domains: how much is rendered, and what is annotated."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from gpu_ops.scenes import cars, faces
from gpu_ops.training.annotate import choose

SceneLabels = dict[str, Any]
ANNOTATED = 16

ROLES = ("generator", "segmenter", "perceptual", "judge", "encoder")


@dataclass(frozen=True)
class Domain:
    """One kind of scene, and how its model is made.

    scenes          the module that draws it
    annotated       picks the scenes to annotate, by their index, from the labels of the first ones
    kind            the attribute that samples are counted by
    own_from        parts from this id on are the subject's own, the rest is what surrounds it
    per_identity    pictures of each person; None where scenes have no identity
    edit_factor     of the perceptual backbone, as is invert_factor: fitted by gpu_ops.training.edits
    roles           the networks of its model
    options         further ones of the generator's training
    gpu_options     and of that on a GPU, which serves larger batches
    """

    name: str
    scenes: ModuleType
    description: str
    annotated: Callable[[list[SceneLabels]], list[int]]
    kind: str
    own_from: int
    held_out_pictures: int
    kimg: float
    per_identity: int | None = None
    edit_factor: float = 0.3
    invert_factor: float = 0.0005
    roles: tuple[str, ...] = ROLES
    options: tuple[str, ...] = ()
    gpu_options: tuple[str, ...] = ()
    training_pictures: int = 50_000
    annotated_steps: int = 1_000
    batch: int = (
        16  # twice the steps per picture of the usual 32; docs/measurements.md says what was trained how
    )

    @property
    def parts(self) -> tuple[str, ...]:
        parts: tuple[str, ...] = self.scenes.PARTS
        return parts

    @property
    def files(self) -> dict[str, str]:
        """The file of each network, by its role."""
        return {role: f"{role}.safetensors" for role in self.roles}


def cars_to_annotate(scenes: list[SceneLabels]) -> list[int]:
    """The body types in turn."""
    return choose([scene["body_type"] for scene in scenes[:200]], ANNOTATED)


def faces_to_annotate(scenes: list[SceneLabels]) -> list[int]:
    """Different people, with all hair styles and expressions, some glasses, open mouths and closed eyes."""
    return spread([face_traits(scene) for scene in scenes[:2000]], ANNOTATED, FACE_SHARES)


FACE_SHARES = {"glasses": 0.5, "eyes closed": 0.3}


def face_traits(scene: SceneLabels) -> list[str]:
    """What a face to annotate is chosen by: words, each about one thing."""
    return [
        f"identity {scene['identity']}",
        f"{scene['hair_style']} hair",
        scene["expression"],
        "no glasses" if scene["glasses"] == "none" else "glasses",
        "mouth open" if scene["mouth_open"] > 0.2 or scene["smile"] > 0.6 else "mouth shut",
        "eyes closed" if scene["eye_open"] < 0.06 else "eyes open",
    ]


def spread(traits: list[list[str]], count: int, shares: Mapping[str, float]) -> list[int]:
    """Indices of `count` rows: one after another, that whose traits were chosen least so far.

    A trait with a share of 0.5 is chosen half as often as another about the same thing.
    """
    seen: Counter[str] = Counter()
    waiting = list(range(len(traits)))
    chosen: list[int] = []
    while waiting and len(chosen) < count:
        index = min(
            waiting, key=lambda row: sum(seen[trait] / shares.get(trait, 1.0) for trait in traits[row])
        )
        waiting.remove(index)
        chosen.append(index)
        seen.update(traits[index])
    return sorted(chosen)


DOMAINS = {
    "cars": Domain(
        name="cars",
        scenes=cars,
        description="Rendered cars, side view, facing left",
        annotated=cars_to_annotate,
        kind="body_type",
        own_from=3,
        held_out_pictures=1_000,
        kimg=400,
    ),
    "faces": Domain(
        name="faces",
        scenes=faces,
        description="Rendered faces, about from the front",
        annotated=faces_to_annotate,
        kind="hair_style",
        own_from=2,
        held_out_pictures=2_000,
        kimg=900,
        per_identity=10,
        roles=(*ROLES, "identity", "smile"),
        options=("--no-noise", "--lr", "0.0015", "--discriminator-lr", "0.003"),
        gpu_options=("--batch", "64", "--lr", "0.002", "--gamma", "0.03"),
    ),
}
