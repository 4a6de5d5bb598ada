"""The networks that read faces: what they are taught, that they learn it, and that they go on to the bit."""

import json
import math
import os
import signal
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from gpu_ops.identity import Identity, IdentityConfig
from gpu_ops.network_file import load_network
from gpu_ops.picture import Picture, to_tensor
from gpu_ops.progress import Progress, State, Steps
from gpu_ops.smile import SmileConfig, SmileReader
from gpu_ops.training import identity, smile
from gpu_ops.training.going_on import go_on
from gpu_ops.training.identity import (
    Classified,
    Margin,
    angular_logits,
    embedded,
    imprint,
    numbered,
    train_identity,
    verification,
)
from gpu_ops.training.perceptual import read_attributes
from gpu_ops.training.reader_command import train_and_score
from gpu_ops.training.reading import Reading
from gpu_ops.training.smile import accuracy, labels, train_smile

PEOPLE = np.repeat(np.arange(4), 12)


def plain(levels: np.ndarray) -> Picture:
    """Pictures [n, 16, 16, 3] of one colour each, of levels [n, 3], and a little noise."""
    noise = np.random.default_rng(0).normal(0, 4, (len(levels), 16, 16, 3))
    return np.clip(levels[:, None, None] + noise, 0, 255).astype(np.uint8)


@pytest.fixture
def people() -> Picture:
    """Four people whom a tinge tells apart, in any light."""
    tinges = np.array([(25, 0, 0), (0, 25, 0), (0, 0, 25), (20, 20, 0)])
    return plain(tinges[PEOPLE] + np.random.default_rng(1).integers(20, 220, (len(PEOPLE), 1)))


def classified(seed: int = 0) -> Classified:
    torch.manual_seed(seed)
    return Classified(Identity(IdentityConfig(resolution=16, width=4, size=8)), 4)


def test_the_margin_widens_the_right_angle_alone() -> None:
    angles = torch.tensor([[0.4, 1.2], [2.0, 0.7]], dtype=torch.float64)
    logits = angular_logits(angles.cos(), torch.tensor([0, 1]), angle=0.3, scale=10.0)
    wanted = [[math.cos(0.7), math.cos(1.2)], [math.cos(2.0), math.cos(1.0)]]
    assert torch.allclose(logits, 10 * torch.tensor(wanted, dtype=torch.float64), atol=1e-5)


def test_the_margin_always_lowers_and_keeps_the_order_up_to_the_opposite_side() -> None:
    cosines = torch.linspace(-1, 1, 400)[:, None]
    logits = angular_logits(cosines, torch.zeros(400, dtype=torch.int64), angle=0.3, scale=1.0)[:, 0]
    assert bool((logits < cosines[:, 0] - 1e-4).all())
    assert bool((logits.diff() > 0).all())


def test_centres_begin_where_the_untrained_network_puts_each_person(people: Picture) -> None:
    network = classified()
    imprint(network, people, PEOPLE, of_each=2)
    with torch.no_grad():
        cosines = network.train().cosines(to_tensor(people)).numpy()
    own = cosines[np.arange(len(PEOPLE)), PEOPLE].mean()
    assert own > 0.3 + (cosines.sum() / len(PEOPLE) - own) / 3
    assert torch.allclose(network.centres.norm(dim=1), torch.ones(4), atol=1e-5)


def test_it_learns_to_tell_people_apart(people: Picture) -> None:
    network = classified()
    before = verification(embedded(network.identity.eval(), people), PEOPLE)
    run = train_identity(network, people, PEOPLE, Reading(100, batch=16, lr=5e-3), Margin())
    assert [progress.step for progress in run] == list(range(1, 101))
    after = verification(embedded(network.identity, people), PEOPLE)
    assert after["equal_error"] < 0.2 < before["equal_error"]
    assert after["nearest"] > max(0.8, before["nearest"])
    assert after["cosine_same"] - after["cosine_other"] > before["cosine_same"] - before["cosine_other"]


def test_pairs_are_told_apart_without_error_where_no_two_people_are_near() -> None:
    vectors = torch.eye(3).repeat_interleave(2, dim=0)
    figures = verification(vectors, np.array([0, 0, 1, 1, 2, 2]))
    assert (figures["n"], figures["people"], figures["nearest"]) == (6, 3, 1.0)
    assert (figures["cosine_same"], figures["cosine_other"], figures["equal_error"]) == (1.0, 0.0, 0.0)


def test_vectors_that_say_nothing_err_half_the_time() -> None:
    rng = np.random.default_rng(0)
    vectors = torch.nn.functional.normalize(torch.from_numpy(rng.normal(size=(200, 8))), dim=1)
    assert verification(vectors, np.arange(200) // 4)["equal_error"] == pytest.approx(0.5, abs=0.06)


def test_a_training_that_was_cut_goes_on_to_the_same_weights(people: Picture) -> None:
    reading = Reading(6, batch=16)
    unbroken, cut, again = classified(), classified(), classified(seed=1)
    list(train_identity(unbroken, people, PEOPLE, reading))
    state: State = {}
    for progress in train_identity(cut, people, PEOPLE, reading):
        assert progress.state is not None
        state = progress.state()
        if progress.step == 3:
            break
    assert [each.step for each in train_identity(again, people, PEOPLE, reading, resume=state)] == [4, 5, 6]
    for name, tensor in unbroken.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name


def test_it_learns_how_much_a_face_smiles() -> None:
    """A smile is how bright these pictures are."""
    amounts = np.linspace(-1, 1, 48).astype(np.float32)
    pictures = plain(np.repeat((amounts * 100 + 128)[:, None], 3, axis=1))
    torch.manual_seed(0)
    reader = SmileReader(SmileConfig(resolution=16, width=4))
    losses = [each.losses["loss"] for each in train_smile(reader, pictures, amounts, Reading(60, 16, 5e-3))]
    assert np.mean(losses[-5:]) < 0.5 * np.mean(losses[:5])
    assert np.corrcoef(reader.amounts(pictures).numpy(), amounts)[0, 1] > 0.9
    found = reader.expressions(pictures[[0, 24, -1]])
    assert found == ["frowning", "neutral", "smiling"]


def test_scenes_between_two_expressions_are_of_no_class() -> None:
    figures = accuracy(
        ["smiling", "neutral", "smiling", "frowning"], ["smiling", "frowning", "between", "frowning"]
    )
    assert (figures["n"], figures["accuracy"], figures["smiling_or_not"]) == (3, 0.6667, 1.0)
    assert (figures["smiling"], figures["frowning"]) == (1.0, 0.5)


def test_what_a_scene_is_called_is_no_attribute_of_its_look(tmp_path: Path) -> None:
    rows = [
        {"seed": 3, "identity": 70, "smile": 0.5, "expression": "smiling"},
        {"seed": 4, "identity": 9, "smile": -0.5, "expression": "frowning"},
        {"seed": 5, "identity": 70, "smile": 0.6, "expression": "smiling"},
    ]
    path = tmp_path / "scenes.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    names, table = read_attributes(path)
    assert names == ["expression=frowning", "expression=smiling", "smile"]
    assert table.shape == (3, 3)
    assert numbered(path).tolist() == [1, 0, 1]
    amounts, words = labels(path)
    assert (amounts.tolist(), words) == (pytest.approx([0.5, -0.5, 0.6]), [row["expression"] for row in rows])


def test_a_command_that_is_told_to_end_goes_on_where_it_was(tmp_path: Path) -> None:
    seen: list[int] = []

    def begin(kept: State | None) -> Steps[str]:
        for step in range(int(kept["step"]) if kept else 0, 5):
            seen.append(step + 1)
            if seen == [1, 2]:
                os.kill(os.getpid(), signal.SIGTERM)
            yield Progress(step + 1, 5, state=lambda done=step + 1: {"step": torch.tensor(done)})
        return "done"

    kept = tmp_path / "x.state"
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit, match="step 2"):
        go_on(begin, kept, "counting")
    assert signal.getsignal(signal.SIGTERM) is before
    assert go_on(begin, kept, "counting") == "done"
    assert seen == [1, 2, 3, 4, 5]
    assert not kept.exists()


@pytest.mark.parametrize("module", [identity, smile])
def test_the_command_leaves_a_network_that_loads_and_its_figures(
    module: ModuleType, people: Picture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"identity": int(who), "smile": 0.5, "expression": "smiling"} for who in PEOPLE]
    np.save(tmp_path / "pictures.npy", people)
    (tmp_path / "scenes.jsonl").write_text("\n".join(map(json.dumps, rows)))
    out, folder = tmp_path / "weights.safetensors", str(tmp_path)
    asked = ["--data", folder, "--held-out", folder, "--out", str(out), "--steps", "1"]
    monkeypatch.setattr(sys, "argv", ["command", *asked])
    train_and_score("a reader", "about it", 9, module.begin)
    config, weights = load_network(out)
    assert config["resolution"] == 16
    assert all(bool(tensor.isfinite().all()) for tensor in weights.values())
    assert json.loads(out.with_suffix(".json").read_text())["n"] == len(PEOPLE)
    assert not out.with_suffix(".state").exists()
