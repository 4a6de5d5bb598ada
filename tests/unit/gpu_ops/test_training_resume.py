"""A run that was cut and resumed gives the numbers of an unbroken one, bit for bit."""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from gpu_ops.progress import Progress
from gpu_ops.stylegan2.generator import GeneratorConfig
from gpu_ops.training.commands import repetition
from gpu_ops.training.generator import train
from gpu_ops.training.pictures import Pictures, order
from gpu_ops.training.state import R1_INTERVAL, TrainingConfig, TrainingState

MODEL = GeneratorConfig(resolution=16, z_dim=8, w_dim=8, mapping_layers=2, channel_base=128, channel_max=8)


def pictures() -> Pictures:
    noise = np.random.default_rng(1).integers(0, 256, (11, 16, 16, 3), dtype=np.uint8)
    return Pictures(noise)


def state_tensors(state: TrainingState) -> dict[str, torch.Tensor]:
    named = {"mean_length": state.mean_length}
    for name in ("generator", "discriminator", "average"):
        for key, value in getattr(state, name).state_dict().items():
            named[f"{name}.{key}"] = value
    for name in ("generator_adam", "discriminator_adam"):
        for index, moments in getattr(state, name).state_dict()["state"].items():
            for key, value in moments.items():
                named[f"{name}.{index}.{key}"] = value
    return named


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
@pytest.mark.parametrize("shared_fakes", [True, False])
def test_two_steps_a_resume_and_two_steps_equal_four(
    tmp_path: Path, precision: str, shared_fakes: bool
) -> None:
    config = TrainingConfig(model=MODEL, batch=4, precision=precision, shared_fakes=shared_fakes, seed=3)
    unbroken = TrainingState(config)
    whole = list(train(unbroken, pictures(), 4))

    first = TrainingState(config)
    halves: list[Progress] = list(train(first, pictures(), 2))
    first.save(tmp_path / "checkpoint.pt")
    second = TrainingState(config)
    second.load(tmp_path / "checkpoint.pt")
    halves += train(second, pictures(), 4)

    assert [p.losses for p in halves] == [p.losses for p in whole]
    expected, got = state_tensors(unbroken), state_tensors(second)
    assert expected.keys() == got.keys()
    for name, value in expected.items():
        assert torch.equal(got[name], value), name


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_a_resumed_run_meets_its_lazy_regularisers_in_the_same_steps(tmp_path: Path, precision: str) -> None:
    """Cut before the steps (counted from 0) that have both: R1 every 16, path length every 4."""
    config = TrainingConfig(model=MODEL, batch=4, precision=precision, seed=5)
    unbroken, cut_at, total = TrainingState(config), 15, 18
    whole = list(train(unbroken, pictures(), total))
    first = TrainingState(config)
    halves = list(train(first, pictures(), cut_at))
    first.save(tmp_path / "checkpoint.pt")
    second = TrainingState(config)
    second.load(tmp_path / "checkpoint.pt")
    rest = list(train(second, pictures(), total))

    assert [p.step - 1 for p in whole if "r1" in p.losses] == [0, R1_INTERVAL]
    assert [p.step - 1 for p in whole if "path_length" in p.losses] == [0, 4, 8, 12, 16]
    assert {"r1", "path_length"} <= rest[1].losses.keys()
    assert [p.losses for p in halves + rest] == [p.losses for p in whole]
    assert second.mean_length > 0
    expected, got = state_tensors(unbroken), state_tensors(second)
    for name, value in expected.items():
        assert torch.equal(got[name], value), name


def test_a_state_that_is_loaded_keeps_this_runs_rates(tmp_path: Path) -> None:
    config = TrainingConfig(model=MODEL, batch=4)
    TrainingState(config).save(tmp_path / "checkpoint.pt")
    slower = TrainingState(replace(config, lr=0.001))
    slower.load(tmp_path / "checkpoint.pt")
    assert slower.discriminator_adam.param_groups[0]["lr"] == pytest.approx(0.001 * 16 / 17)
    assert slower.generator_adam.param_groups[0]["lr"] == pytest.approx(0.001 * 4 / 5)


def test_noise_can_be_taken_away_for_good_and_the_discriminator_have_its_own_rate(tmp_path: Path) -> None:
    config = TrainingConfig(model=MODEL, batch=4)
    noisy = TrainingState(config)
    list(train(noisy, pictures(), 2))
    noisy.save(tmp_path / "checkpoint.pt")
    still = TrainingState(replace(config, noise=False, discriminator_lr=0.004))
    still.load(tmp_path / "checkpoint.pt")
    list(train(still, pictures(), 4))
    for network in (still.generator, still.average):
        strengths = [float(p) for name, p in network.named_parameters() if name.endswith("noise_strength")]
        assert strengths == [0.0] * len(strengths)
    assert still.discriminator_adam.param_groups[0]["lr"] == pytest.approx(0.004 * 16 / 17)
    assert any(float(p) for name, p in noisy.generator.named_parameters() if name.endswith("noise_strength"))


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    config = TrainingConfig(model=MODEL, batch=4)
    TrainingState(config).save(tmp_path / "checkpoint.pt")
    other = TrainingState(replace(config, model=replace(MODEL, w_dim=4, z_dim=4)))
    with pytest.raises(ValueError, match="model"):
        other.load(tmp_path / "checkpoint.pt")


def test_each_epoch_shows_every_picture_once() -> None:
    seen = np.concatenate([order(11, 5, start, 4) for start in range(0, 44, 4)])
    for epoch in range(4):
        assert sorted(seen[11 * epoch : 11 * (epoch + 1)]) == list(range(11))
    assert list(seen[:11]) != list(seen[11:22])


def test_scenes_that_are_asked_for_more_often_are_seen_more_often_and_all_in_one_pass(tmp_path: Path) -> None:
    np.save(tmp_path / "pictures.npy", pictures().data)
    bodies = ["coupe", "sedan", "van"]
    lines = [json.dumps({"body_type": bodies[index % 3], "doors": index % 2}) for index in range(11)]
    (tmp_path / "scenes.jsonl").write_text("\n".join(lines))
    repeated = Pictures.open(tmp_path, {"body_type=coupe": 3, "doors=1": 2})
    expected = np.array([(3 if index % 3 == 0 else 1) * (2 if index % 2 else 1) for index in range(11)])
    in_a_pass = repeated.seen[order(len(repeated.seen), 0, 0, int(expected.sum()))]
    assert np.array_equal(np.bincount(in_a_pass), expected)
    assert len(repeated) == 11


@pytest.mark.parametrize("text", ["coupe:2", "body_type=coupe", "body_type=coupe:0", "body_type=coupe:x"])
def test_a_repetition_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="body_type=coupe:2"):
        repetition(text)
