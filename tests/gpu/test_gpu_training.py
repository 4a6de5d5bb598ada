"""What trains on a GPU starts as it does on the CPU: the same first losses, but for bfloat16's rounding."""

import json
from itertools import islice

import numpy as np
import pytest
import torch
from nearness import finish

from gpu_ops.identity import Identity, IdentityConfig
from gpu_ops.judge import Judge
from gpu_ops.network_file import load_network, save_network
from gpu_ops.picture import to_uint8
from gpu_ops.smile import SmileConfig, SmileReader
from gpu_ops.training.annotate import Annotated, load_codes, save_codes
from gpu_ops.training.applied import Subjects, Vector, edited
from gpu_ops.training.distribution import read_pictures
from gpu_ops.training.encoder import EncoderTraining, encoder_for, encoder_psnr_db, train_encoder
from gpu_ops.training.evaluate import draw_samples, held_out_figures
from gpu_ops.training.identity import Classified, embedded, train_identity, verification
from gpu_ops.training.inverted import codes_of
from gpu_ops.training.judge import train_judge
from gpu_ops.training.perceptual import AttributeReader, train_backbone
from gpu_ops.training.reading import Reading
from gpu_ops.training.segmenter import segmenter_for, train_segmenter
from gpu_ops.training.smile import train_smile

STEPS = 3
RNG = np.random.default_rng(0)
PICTURES = RNG.integers(0, 256, (96, 64, 64, 3), dtype=np.uint8)
MASKS = RNG.integers(0, 5, (96, 64, 64), dtype=np.uint8)
PEOPLE = np.arange(96, dtype=np.int64) % 8
AMOUNTS = RNG.normal(size=96).astype(np.float32)
ATTRIBUTES = RNG.normal(size=(96, 6)).astype(np.float32)
READING = Reading(STEPS, batch=16)


def judge(device: str):
    network = Judge(5, width=8).to(device)
    yield from train_judge(network, PICTURES, MASKS, steps=STEPS)
    assert network.eval().predict(PICTURES[:4]).shape == (4, 64, 64)


def perceptual(device: str):
    network = AttributeReader(6).to(device)
    yield from train_backbone(network, PICTURES, ATTRIBUTES, steps=STEPS)
    assert read_pictures(network.eval(), PICTURES[:4]).features.shape == (4, 512)


def identity(device: str):
    network = Classified(Identity(IdentityConfig(width=8, size=16)), 8).to(device)
    yield from train_identity(network, PICTURES, PEOPLE, READING)
    assert verification(embedded(network.identity, PICTURES, device), PEOPLE)["n"] == 96


def smile(device: str):
    network = SmileReader(SmileConfig(width=8)).to(device)
    yield from train_smile(network, PICTURES, AMOUNTS, READING)
    assert len(network.expressions(PICTURES[:3])) == 3


@pytest.mark.parametrize("train", [judge, perceptual, identity, smile])
def test_a_network_that_reads_pictures(train, device: str) -> None:
    told = []
    for place in (device, "cpu"):
        torch.manual_seed(1)
        told.append([sum(progress.losses.values()) for progress in train(place)])
    assert len(told[0]) == STEPS
    assert told[0][0] == pytest.approx(told[1][0], rel=0.03)
    assert told[0] == pytest.approx(told[1], rel=0.25)


def test_a_reader_goes_on_from_a_checkpoint(device: str) -> None:
    def fresh() -> SmileReader:
        torch.manual_seed(1)
        return SmileReader(SmileConfig(width=8)).to(device)

    whole, cut = fresh(), fresh()
    losses = [each.losses["loss"] for each in train_smile(whole, PICTURES, AMOUNTS, READING)]
    state = next(train_smile(cut, PICTURES, AMOUNTS, READING)).state()
    assert all(tensor.device.type == "cpu" for tensor in state.values())
    again = fresh()
    rest = [each.losses["loss"] for each in train_smile(again, PICTURES, AMOUNTS, READING, state)]
    assert rest == pytest.approx(losses[1:], rel=0.02)


def test_a_segmenter(cars, plain, codes, tmp_path) -> None:
    told = []
    for bundle in (cars, plain):
        w_plus = codes[:4].float().to(bundle.device)
        segmenter = segmenter_for(bundle.generator, 5, seed=2)
        path = tmp_path / f"{bundle.device.type}.safetensors"
        save_codes(path, Annotated(w_plus, PICTURES[:4], MASKS[:4], []))
        kept, masks = load_codes(path)
        run = train_segmenter(segmenter, bundle.generator, kept.to(bundle.device), masks, steps=STEPS)
        told.append([each.losses["ce"] for each in islice(run, STEPS)])
    assert told[0] == pytest.approx(told[1], rel=0.01)


def test_an_encoder(cars, plain, tmp_path) -> None:
    told = []
    for bundle in (cars, plain):
        encoder = encoder_for(bundle, width=8, widest=16, pyramid=8)
        training = EncoderTraining(steps=STEPS, batch=4, warm_up=1)
        seen, _ = finish(train_encoder(encoder, bundle, PICTURES, training))
        told.append([each.losses["total"] for each in seen])
        assert np.isfinite(encoder_psnr_db(encoder, bundle, PICTURES[:3]))
        save_network(tmp_path / "encoder.safetensors", encoder, encoder.config.as_dict(), half=True)
        assert load_network(tmp_path / "encoder.safetensors")[0] == json.loads(
            json.dumps(encoder.config.as_dict())
        )
    assert told[0] == pytest.approx(told[1], rel=0.05)


def test_what_is_measured_of_a_model(cars, codes, tmp_path) -> None:
    """Samples, inversions kept in a file, vectors applied and refined, held-out figures: each runs there."""
    pictures = to_uint8(cars.draw(codes[:3].float().to(cars.device))[0])
    w_plus = codes_of(cars, pictures, tmp_path / "codes.safetensors", steps=2)
    assert w_plus.device.type == cars.device.type
    subjects = Subjects.of(cars, pictures, w_plus)
    vector = Vector((codes[1] - codes[0]).float().to(cars.device), (5, 6))
    for steps in (0, 2):
        assert edited(cars, subjects, vector, 0.5, steps)[0].shape == pictures.shape
    assert draw_samples(cars, 2).shape == (2, 64, 64, 3)
    figures, _ = held_out_figures(cars, pictures, MASKS[:3], own_from=3, steps=2)
    assert figures["n"] == 3
