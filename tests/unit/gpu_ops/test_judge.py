"""The judge: logits for every pixel, and predictions that depend on each picture alone."""

from pathlib import Path

import numpy as np
import pytest
import torch

from gpu_ops.bundle import Bundle
from gpu_ops.judge import CHUNK, Judge
from gpu_ops.network_file import load_network, save_network


@pytest.fixture(scope="module")
def judge() -> Judge:
    """Random weights, with statistics of its own inputs, so that its masks show several parts; read only."""
    torch.manual_seed(0)
    judge = Judge(parts=5, width=4)
    noise = torch.randn(8, 3, 64, 64)
    with torch.no_grad():
        for _ in range(30):
            judge(noise)
        judge.eval()
        assert judge.head.bias is not None
        judge.head.bias -= judge(noise).mean(dim=(0, 2, 3))
    return judge


@pytest.mark.parametrize("size", [16, 32, 64])
def test_there_are_logits_for_every_part_and_pixel(judge: Judge, size: int) -> None:
    with torch.no_grad():
        assert judge(torch.randn(2, 3, size, size)).shape == (2, 5, size, size)


def test_predictions_are_the_likeliest_parts_whatever_the_chunks(judge: Judge) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (CHUNK + 3, 16, 16, 3), dtype=np.uint8)
    found = judge.predict(pictures)
    assert (found.shape, found.dtype) == ((CHUNK + 3, 16, 16), np.uint8)
    tensor = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.no_grad():
        logits = judge(tensor).permute(0, 2, 3, 1).numpy()
    chosen = np.take_along_axis(logits, found[..., None].astype(int), axis=3)[..., 0]
    np.testing.assert_allclose(chosen, logits.max(axis=3), atol=1e-5)
    assert len(np.unique(found)) > 1


def test_it_reads_the_whole_picture_at_four_scales(judge: Judge) -> None:
    """A pixel's logits depend on pixels a quarter of the picture away, and not on other pictures."""
    pictures = torch.randn(2, 3, 64, 64, requires_grad=True)
    judge(pictures)[0, :, 32, 32].sum().backward()
    slope = pictures.grad
    assert slope is not None
    assert slope[0, :, 14:22, 14:22].abs().max() > 0
    assert slope[1].abs().max() == 0


def test_half_precision_files_give_nearly_the_same_masks(judge: Judge, tmp_path: Path) -> None:
    save_network(tmp_path / "judge.safetensors", judge, {"parts": 5, "width": 4}, half=True)
    config, tensors = load_network(tmp_path / "judge.safetensors")
    other = Judge(**config)
    other.load_state_dict(tensors)
    pictures = np.random.default_rng(1).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    assert np.mean(other.eval().predict(pictures) == judge.predict(pictures)) > 0.98


def test_a_model_with_a_judge_reports_it(tiny: Bundle) -> None:
    assert tiny.judge is not None
    assert tiny.judge.parts == len(tiny.parts)
    assert not any(parameter.requires_grad for parameter in tiny.judge.parameters())
