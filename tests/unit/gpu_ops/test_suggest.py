"""Which samples are suggested: unsure ones, and no two alike."""

import numpy as np
import torch
from operation import finish

from gpu_ops.bundle import Bundle
from gpu_ops.picture import to_tensor
from gpu_ops.sample import seeded_code
from gpu_ops.suggest import choose, suggest
from gpu_ops.unannotated import Unannotated
from gpu_ops.uncertainty import picture_score, uncertainty


def around(angle: float) -> list[float]:
    return [np.cos(angle), np.sin(angle)]


def test_of_twins_one_is_chosen() -> None:
    scores = np.array([0.9, 0.89, 0.5, 0.4])
    seen = np.array([around(0), around(0.001), around(1.5), around(3)])
    assert [index for index, _ in choose(scores, seen, 3)] == [0, 3, 2]


def test_of_pictures_equally_far_the_unsure_one_is_chosen() -> None:
    seen = np.array([around(0), around(1.5), around(-1.5), around(0.01)])
    assert [index for index, _ in choose(np.array([0.9, 0.2, 0.6, 0.89]), seen, 2)] == [0, 2]
    (_, first), (_, second) = choose(np.array([0.9, 0.2, 0.6, 0.89]), seen, 2)
    assert first == 2.0
    assert second == np.linalg.norm(seen[2] - seen[0])


def test_where_nothing_is_unsure_the_most_ordinary_picture_is_first_and_the_farthest_next() -> None:
    seen = np.array([around(-1.1), around(0), around(1), around(0.4)])
    assert [index for index, _ in choose(np.zeros(4), seen, 2)] == [1, 0]


def test_all_are_chosen_where_there_are_no_more() -> None:
    chosen = choose(np.array([0.1, 0.0, 0.3]), np.array([around(0)] * 3), 5)
    assert sorted(index for index, _ in chosen) == [0, 1, 2]


def test_suggestions_are_scored_as_the_segmenter_is_unsure(tiny: Bundle) -> None:
    seen, found = finish(suggest(tiny, [3, 4, 5, 6], 0.7, 2))
    assert [progress.step for progress in seen] == [1, 2, 3, 4]
    assert found.looked_at == 4
    scores = {}
    for seed in (3, 4, 5, 6):
        with torch.no_grad():
            features = tiny.generator.synthesise(seeded_code(tiny, seed, 0.7)).features
        scores[seed] = float(picture_score(uncertainty(tiny.segmenter, features)))
    assert found.items[0].seed == max(scores, key=lambda seed: scores[seed])
    for item in found.items:
        assert np.isclose(item.score, scores[item.seed], rtol=1e-4)
    views = [tiny.perceptual.pooled(to_tensor(item.picture[None])) for item in found.items]
    one, two = (torch.nn.functional.normalize(view, dim=1) for view in views)
    assert np.isclose(found.items[1].distance, float((one - two).norm()), rtol=0.02)  # of rounded pictures


def test_a_model_that_was_never_annotated_is_looked_at_for_differences_alone(tiny: Bundle) -> None:
    bundle = Bundle(**{**vars(tiny), "segmenter": Unannotated(tiny.resolution_px)})
    _, found = finish(suggest(bundle, [3, 4, 5], 0.7, 2))
    assert [item.score for item in found.items] == [0.0, 0.0]
    assert not found.items[0].mask.any()


def test_told_to_stop_it_chooses_among_what_it_saw(tiny: Bundle) -> None:
    _, found = finish(suggest(tiny, list(range(9)), 0.7, 4), stop_at=2)
    assert found.looked_at == len(found.items) == 2
