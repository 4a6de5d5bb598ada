"""In what a training computes."""

import torch

from gpu_ops.stylegan2 import precision
from gpu_ops.training import place


def product(asked: bool = True, device: str = "cpu") -> torch.dtype:
    x = torch.ones(4, 4)
    with place.low_precision(device, asked=asked):
        return (x @ x).dtype


def test_a_cpu_computes_in_bfloat16_only_where_it_has_units_for_it(monkeypatch):
    for units, dtype in (({"amx_bf16": True}, torch.bfloat16), ({"avx512_bf16": False}, torch.float32)):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda units=units: units)
        precision._cpu_has_bfloat16.cache_clear()
        assert product() is dtype
    precision._cpu_has_bfloat16.cache_clear()


def test_full_precision_is_kept_where_it_is_asked_for(monkeypatch):
    monkeypatch.setattr(precision, "_cpu_has_bfloat16", lambda: True)
    assert product(asked=False) is torch.float32
    assert product() is torch.bfloat16
    assert place.low_precision("cuda").device == "cuda"
