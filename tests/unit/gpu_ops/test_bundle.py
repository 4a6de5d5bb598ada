"""A model's folder: what is read from it, and files that are missing or wrong are named."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from gpu_ops.bundle import load_bundle
from gpu_ops.encoder import Encoder, EncoderConfig
from gpu_ops.errors import IncompleteModelError, WeightsError
from gpu_ops.judge import Judge
from gpu_ops.network_file import save_network
from gpu_ops.reading import Places


@pytest.fixture
def folder(tiny_folder: Path, tmp_path: Path) -> Path:
    """A copy that a test may break."""
    return shutil.copytree(tiny_folder, tmp_path / "cars")


def rewrite(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    description = json.loads((folder / "model.json").read_text())
    change(description)
    (folder / "model.json").write_text(json.dumps(description))


def test_networks_are_frozen_and_parts_are_named(folder: Path) -> None:
    bundle = load_bundle(folder)
    assert bundle.parts == ["sky", "body", "tyre", "rim"]
    assert bundle.resolution_px == bundle.generator.config.resolution == 32
    assert bundle.description["groups"] == {"wheel": ["tyre", "rim"]}
    assert bundle.perceptual.name == "random"
    assert bundle.device == torch.device("cpu")
    assert bundle.judge is not None
    for network in (bundle.generator, bundle.segmenter, bundle.perceptual, bundle.judge):
        assert not any(parameter.requires_grad for parameter in network.parameters())
        assert not any(module.training for module in network.modules())
    pictures, masks = bundle.draw(torch.randn(2, 8, 16))
    assert (pictures.shape, masks.shape) == ((2, 3, 32, 32), (2, 32, 32))


def test_the_same_folder_gives_the_same_pictures(folder: Path) -> None:
    w_plus = torch.randn(1, 8, 16)
    first, second = (load_bundle(folder).draw(w_plus) for _ in range(2))
    assert all(torch.equal(one, two) for one, two in zip(first, second, strict=True))


def test_a_model_may_have_no_judge(folder: Path) -> None:
    rewrite(folder, lambda description: description["files"].pop("judge"))
    assert load_bundle(folder).judge is None


@pytest.mark.parametrize("name", ["../generator.safetensors", "/etc/passwd", "a/b.safetensors"])
def test_files_outside_the_folder_are_not_read(folder: Path, name: str) -> None:
    rewrite(folder, lambda description: description["files"].update(generator=name))
    with pytest.raises(WeightsError, match="no file of the folder"):
        load_bundle(folder)


def test_a_calibrated_backbone_takes_the_bundled_ones_place(folder: Path, tmp_path: Path) -> None:
    from torchvision.models import squeezenet1_1

    torch.save(squeezenet1_1().state_dict(), tmp_path / "squeeze.pth")
    bundle = load_bundle(folder, perceptual_weights=tmp_path / "squeeze.pth")
    assert bundle.perceptual.name == "squeeze (squeeze.pth), calibrated"
    rewrite(folder, lambda description: description["files"].pop("perceptual"))
    assert load_bundle(folder, perceptual_weights=tmp_path / "squeeze.pth").perceptual.calibrated
    with pytest.raises(WeightsError, match="perceptual"):
        load_bundle(folder)
    with pytest.raises(WeightsError, match=r"absent\.pth"):
        load_bundle(folder, perceptual_weights=tmp_path / "absent.pth")


ROLES = pytest.mark.parametrize("role", ["generator", "segmenter", "perceptual", "judge"])


@ROLES
def test_a_missing_file_is_named(folder: Path, role: str) -> None:
    (folder / f"{role}.safetensors").unlink()
    with pytest.raises(WeightsError, match=f"{role}.safetensors"):
        load_bundle(folder)


@ROLES
@pytest.mark.parametrize("share", [0.0, 0.0001, 0.5, 0.9999])
def test_a_truncated_file_is_named(folder: Path, role: str, share: float) -> None:
    path = folder / f"{role}.safetensors"
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(WeightsError, match=f"{role}.safetensors"):
        load_bundle(folder)


@ROLES
def test_a_file_of_something_else_is_named(folder: Path, role: str) -> None:
    path = folder / f"{role}.safetensors"
    save_file({"x": torch.zeros(3)}, path)
    with pytest.raises(WeightsError, match=path.name):
        load_bundle(folder)
    save_network(path, torch.nn.Linear(2, 2), {"parts": 4, "width": 4})
    with pytest.raises(WeightsError, match=path.name):
        load_bundle(folder)
    path.write_text("{}")
    with pytest.raises(WeightsError, match=path.name):
        load_bundle(folder)


def test_a_role_without_a_file_is_named(folder: Path) -> None:
    rewrite(folder, lambda description: description["files"].pop("generator"))
    with pytest.raises(WeightsError, match="generator"):
        load_bundle(folder)


def test_a_model_that_was_not_annotated_yet_can_draw_and_says_what_it_lacks(folder: Path) -> None:
    rewrite(folder, lambda description: description["files"].pop("segmenter"))
    bundle = load_bundle(folder)
    w_plus = bundle.generator.map(torch.zeros(2, bundle.generator.config.z_dim))
    pictures, masks = bundle.draw(w_plus)
    assert (pictures.shape, masks.shape, int(masks.max())) == ((2, 3, 32, 32), (2, 32, 32), 0)
    features = bundle.generator.synthesise(w_plus).features
    with pytest.raises(IncompleteModelError, match="annotated"):
        bundle.segmenter.logits_at(features, Places(torch.arange(3), 32))


def test_networks_that_know_other_parts_are_refused(folder: Path) -> None:
    rewrite(folder, lambda description: description["parts"].pop())
    with pytest.raises(WeightsError, match=r"segmenter\.safetensors knows 4 parts, not 3"):
        load_bundle(folder)


def test_a_judge_of_other_parts_is_refused(folder: Path) -> None:
    save_network(folder / "judge.safetensors", Judge(7, width=4), {"parts": 7, "width": 4})
    with pytest.raises(WeightsError, match=r"judge\.safetensors knows 7 parts, not 4"):
        load_bundle(folder)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not json",
        "[]",
        "3",
        "{}",
        '"files"',
        '{"name": 1, "resolution_px": 2, "parts": 3, "groups": 4, "files": 5}',
        '{"name": "cars", "resolution_px": 32, "parts": [1], "groups": {}, "files": {}}',
        '{"name": "cars", "resolution_px": 32, "parts": [], "groups": {}, "files": []}',
        '{"name": "cars", "resolution_px": 32, "parts": [], "groups": {}, "files": {"generator": 7}}',
        '{"lockfileVersion": 3, "packages": {}}',
    ],
)
def test_a_foreign_description_is_refused(folder: Path, text: str) -> None:
    (folder / "model.json").write_text(text)
    with pytest.raises(WeightsError, match=r"model\.json"):
        load_bundle(folder)


def test_a_description_that_is_not_there_or_not_text_is_refused(folder: Path) -> None:
    (folder / "model.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(WeightsError, match=r"model\.json"):
        load_bundle(folder)
    (folder / "model.json").unlink()
    with pytest.raises(WeightsError, match=r"model\.json"):
        load_bundle(folder)


def put_encoder(folder: Path, num_ws: int) -> None:
    encoder = Encoder(EncoderConfig(32, num_ws, 16, width=8, widest=16, pyramid=8))
    save_network(folder / "encoder.safetensors", encoder, encoder.config.as_dict(), half=True)
    rewrite(folder, lambda description: description["files"].update(encoder="encoder.safetensors"))


def test_a_model_may_have_an_encoder(folder: Path) -> None:
    assert load_bundle(folder).encoder is None
    put_encoder(folder, num_ws=8)
    encoder = load_bundle(folder).encoder
    assert encoder is not None
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    assert encoder(torch.randn(2, 3, 32, 32)).shape == (2, 8, 16)


def test_an_encoder_of_another_generator_is_named(folder: Path) -> None:
    put_encoder(folder, num_ws=10)
    with pytest.raises(WeightsError, match=r"encoder.safetensors is for .* \(32, 10, 16\)"):
        load_bundle(folder)
