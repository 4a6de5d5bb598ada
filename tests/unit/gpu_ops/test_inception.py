"""Inception v3 from weights that somebody has: here random ones, in the layout of either kind."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

import gpu_ops.torchvision_shim  # noqa: F401  before torchvision
from gpu_ops.errors import WeightsError
from gpu_ops.inception import load_inception, pool_as_fid

from torchvision.models.inception import Inception3, InceptionA, InceptionE  # isort: skip

pytestmark = pytest.mark.thorough


def written(path: Path, classes: int) -> Path:
    torch.manual_seed(0)
    network = Inception3(classes, aux_logits=True, init_weights=False)
    save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, path)
    return path


def test_the_kind_of_the_weights_is_told_by_their_classes(tmp_path: Path) -> None:
    picture = torch.rand(1, 3, 40, 40) * 2 - 1
    fid = load_inception(written(tmp_path / "fid.safetensors", 1008))
    other = load_inception(written(tmp_path / "tv.safetensors", 1000))
    assert fid.name == "Inception v3, FID's weights (fid.safetensors)"
    assert other.name == "Inception v3, torchvision's weights (tv.safetensors)"
    first, second = fid.read(picture), other.read(picture)
    assert first.shape == second.shape == (1, 2048)
    assert not torch.equal(first, second)


@pytest.mark.parametrize(("block", "name"), [(InceptionA(24, 8), "Mixed_5b"), (InceptionE(24), "Mixed_7c")])
def test_fids_pooling(block: torch.nn.Module, name: str) -> None:
    """The pooled branch: an average that leaves the border out; in the last block the maximum."""
    block.eval()
    network = torch.nn.Module()
    network.add_module(name, block)
    x = torch.randn(2, 24, 9, 9)
    seen: list[torch.Tensor] = []
    block.branch_pool.conv.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    pool_as_fid(network)
    with torch.no_grad():
        block(x)
    expected = F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)
    if name == "Mixed_7c":
        expected = F.max_pool2d(x, 3, stride=1, padding=1)
    torch.testing.assert_close(seen[0], expected)


def test_what_is_no_inception_is_refused(tmp_path: Path) -> None:
    save_file({"x": torch.zeros(2)}, tmp_path / "x.safetensors")
    with pytest.raises(WeightsError, match="no Inception v3"):
        load_inception(tmp_path / "x.safetensors")
    save_file({"fc.bias": torch.zeros(3), "fc.weight": torch.zeros(3, 4)}, tmp_path / "y.safetensors")
    with pytest.raises(WeightsError, match="fit"):
        load_inception(tmp_path / "y.safetensors")
