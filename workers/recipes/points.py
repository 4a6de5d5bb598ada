"""First points of edits: read, and where they are pictures, inverted."""

from collections.abc import Iterable, Mapping

from gpu_ops.bundle import Bundle
from gpu_ops.progress import Steps
from gpu_ops.sample import seeded_code
from storage.inversion_specs import Inverting
from storage.library_records import Model
from storage.vector_specs import OnePoint
from workers.attempt import Attempt
from workers.recipes.course import Course
from workers.recipes.inversions import Inverted, Search, find_code, read_code, search_for
from workers.recipes.photographs import read_photograph

Points = Mapping[OnePoint, Inverted | Search]


def read_points(
    attempt: Attempt,
    points: Iterable[OnePoint],
    model: Model,
    bundle: Bundle,
    *,
    steps: int,
    how: Inverting,
) -> Points:
    """Each point once, in the order in which they are first named; a picture is to be looked for in so many
    steps, and so.

    Raises IncompleteModelError where an encoder is asked for that the model lacks.
    """
    found: dict[OnePoint, Inverted | Search] = {}
    for point in dict.fromkeys(points):
        if point.image is not None:
            photograph = read_photograph(attempt, point.image, point.box)
            found[point] = search_for(attempt, model, bundle, photograph, steps, how)
        elif point.inversion is not None:
            found[point] = read_code(attempt, point.inversion, model)
        else:
            assert point.seed is not None
            found[point] = Inverted(seeded_code(bundle, point.seed, point.truncation_psi))
    return found


def steps_to_find(points: Points) -> int:
    """Steps that finding the codes of all points takes at most."""
    return sum(given.most for given in points.values() if isinstance(given, Search))


def find_codes(course: Course, points: Points, bundle: Bundle) -> Steps[dict[OnePoint, Inverted]]:
    """The code of every point, on the bundle's device; pictures are inverted one after the other."""
    codes = {}
    for index, (point, given) in enumerate(points.items()):
        if isinstance(given, Search):
            codes[point] = yield from find_code(course, given, bundle, f"inversion_{index}")
        else:
            codes[point] = Inverted(given.w_plus.to(bundle.device), given.weights)
    return codes


def inversion_facts(code: Inverted, how: Inverting) -> dict[str, object]:
    """What a result says of a point that was inverted; nothing of one that was not."""
    if not code.facts:
        return {}
    return {"inversion": code.facts, **{name: told for name, told in code.told(how).items() if told}}


def inversion_steps(codes: Iterable[Inverted]) -> int:
    """Steps really done for these codes, those that were found in the library aside."""
    done = (code.facts for code in codes if code.facts and code.reused is None)
    return sum(facts["steps"] + facts.get("tune_steps", 0) for facts in done)
