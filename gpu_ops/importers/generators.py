"""A checkpoint's generator as this project's Generator, its shape inferred and every tensor checked."""

import re

import torch

from gpu_ops.importers.layout import Layout, Tensors
from gpu_ops.importers.persistence import from_persistence
from gpu_ops.importers.refusals import LayoutMismatch, UnsupportedNetwork
from gpu_ops.importers.rosinality import from_rosinality, is_rosinality
from gpu_ops.importers.sandbox import Checkpoint
from gpu_ops.importers.tensorflow import from_tensorflow
from gpu_ops.stylegan2.generator import Generator, GeneratorConfig
from gpu_ops.stylegan2.resample import resample_filter

MEAN_SAMPLES = 10_000
MOST_BLOCKS = 10  # to 2048 px
_BLOCK = re.compile(r"synthesis\.b(\d{1,4})\..+")
_BLOCK_CONVOLUTION = re.compile(r"synthesis\.b(\d{1,4})\.conv1\.weight")
_DENSE = re.compile(r"mapping\.fc(\d{1,2})\.weight")
_SHOWN = 5


def is_generator(checkpoint: Checkpoint) -> bool:
    known = ("persistent", "tensorflow", "g_ema")
    return checkpoint.format in known or is_rosinality(set(checkpoint.tensors))


def is_w_avg(checkpoint: Checkpoint) -> bool:
    """One row of numbers."""
    if checkpoint.format != "npy":
        return False
    shape = checkpoint.tensors["array"].shape
    return len(shape) == 1 or (len(shape) == 2 and shape[0] == 1)


def use_w_avg(generator: Generator, checkpoint: Checkpoint) -> None:
    """Set the mean w [D] of a generator from a file of its own. Raises LayoutMismatch."""
    w_avg = _float32(checkpoint.path.name, checkpoint.tensors["array"]).reshape(-1)
    if len(w_avg) != generator.config.w_dim:
        expected = f"the generator's w has {generator.config.w_dim}"
        raise LayoutMismatch(f"{checkpoint.path.name} holds {len(w_avg)} numbers; {expected}")
    generator.mapping.w_avg.copy_(w_avg)


def import_generator(checkpoint: Checkpoint) -> tuple[Generator, list[str]]:
    """A generator on the CPU, frozen, in evaluation mode; and notes on what the file did not hold.

    Raises LayoutMismatch naming tensors that are missing, unknown or of another shape, UnsupportedNetwork.
    """
    layout = _layout(checkpoint)
    tensors = {name: _float32(name, tensor) for name, tensor in layout.tensors.items()}
    config = _config(tensors, layout.conv_clamp)
    stated = checkpoint.facts.get("kwargs")
    stated = stated.get("img_resolution", stated.get("resolution")) if isinstance(stated, dict) else None
    if stated not in (None, config.resolution):
        raise LayoutMismatch(f"the file says {stated!r:.40} px; its tensors are of {config.resolution} px")
    _add_missing(tensors, config, layout.notes)
    with torch.device("meta"):
        generator = Generator(config)
    check_shapes(tensors, {name: tuple(t.shape) for name, t in generator.state_dict().items()})
    generator.load_state_dict(tensors, assign=True)
    generator.eval().requires_grad_(False)
    if "mapping.w_avg" not in layout.tensors:
        generator.mapping.w_avg.copy_(_mean_w(generator))
        layout.notes.append(f"the file has no mean w: it is that of {MEAN_SAMPLES} samples")
    return generator, layout.notes


def _layout(checkpoint: Checkpoint) -> Layout:
    if checkpoint.format == "persistent":
        return from_persistence(checkpoint.tensors, checkpoint.facts)
    if checkpoint.format == "tensorflow":
        return from_tensorflow(checkpoint.tensors, checkpoint.facts)
    return from_rosinality(checkpoint.tensors)


def _float32(name: str, tensor: torch.Tensor) -> torch.Tensor:
    if not tensor.is_floating_point():
        raise LayoutMismatch(f"{name} is of kind {tensor.dtype}; numbers with fractions were expected")
    return tensor.float().contiguous()


def _config(tensors: Tensors, conv_clamp: float | None) -> GeneratorConfig:
    """The shape of the generator that the tensors make, whether or not they all fit it."""
    table = _axes(tensors, _BLOCK_CONVOLUTION)
    resolutions = [4 << index for index in range(len(table))]
    lacking = sorted(_axes(tensors, _BLOCK).keys() - table.keys())
    if lacking:
        raise LayoutMismatch(f"synthesis.b{lacking[0]}.conv1.weight is missing")
    dense = _axes(tensors, _DENSE)
    first, affine = tensors.get("mapping.fc0.weight"), tensors.get("synthesis.b4.conv1.affine.weight")
    if not 2 <= len(table) <= MOST_BLOCKS or list(table) != resolutions:
        raise LayoutMismatch(f"there are blocks of {list(table)} px; 4, 8, 16 ... were expected")
    if first is None or list(dense) != list(range(len(dense))) or first.dim() != 2:
        raise LayoutMismatch(f"there are mapping layers {list(dense)}; 0, 1, 2 ... were expected")
    if affine is None or affine.dim() != 2:
        raise LayoutMismatch("synthesis.b4.conv1.affine.weight is missing, or not of two axes")
    base, most = channel_settings(list(table.values()))
    return GeneratorConfig(
        resolutions[-1], first.shape[1], affine.shape[1], len(dense), base, most, conv_clamp
    )


def _axes(tensors: Tensors, pattern: re.Pattern[str]) -> dict[int, int]:
    """The first axis of each tensor whose name matches, by the number in the name."""
    found = [(pattern.fullmatch(name), tensor) for name, tensor in tensors.items()]
    return dict(
        sorted((int(match[1]), tensor.shape[0] if tensor.dim() else 0) for match, tensor in found if match)
    )


def channel_settings(table: list[int]) -> tuple[int, int | tuple[int, ...]]:
    """channel_base and channel_max of a table of channels, from 4 x 4 up."""
    resolutions = [4 << index for index in range(len(table))]
    base, most = table[-1] * resolutions[-1], max(table)
    if [min(base // size, most) for size in resolutions] == table:
        return base, most
    return max(size * channels for size, channels in zip(resolutions, table, strict=True)), tuple(table)


def _add_missing(tensors: Tensors, config: GeneratorConfig, notes: list[str]) -> None:
    """What some formats leave out: filters, which are always the same, noise, and the mean w."""
    layers = [name.removesuffix(".weight") for name in tensors if re.search(r"\.conv[01]\.weight$", name)]
    for layer in layers:
        kernel = tensors.setdefault(f"{layer}.resample_filter", resample_filter())
        if kernel.shape != (4, 4) or not torch.allclose(kernel, kernel.flip((0, 1)), atol=1e-6):
            raise UnsupportedNetwork(
                f"{layer}.resample_filter is {list(kernel.shape)}; a symmetric filter of 4 x 4 was expected"
            )
    if not any(name.endswith(".noise_const") for name in tensors):
        rng = torch.Generator().manual_seed(0)
        for layer in sorted(layers):
            size = int(layer.split(".")[1].removeprefix("b"))
            tensors[f"{layer}.noise_const"] = torch.randn(size, size, generator=rng)
        notes.append("the file has no noise: it was drawn anew (seed 0)")
    tensors.setdefault("mapping.w_avg", torch.zeros(config.w_dim))


def check_shapes(found: Tensors, expected: dict[str, tuple[int, ...]]) -> None:
    """Raises LayoutMismatch, which names the first few differences."""
    wrong = [f"{name} is missing" for name in expected if name not in found]
    wrong += [f"{name} is not expected" for name in found if name not in expected]
    wrong += [
        f"{name} is {list(found[name].shape)}, and {list(shape)} was expected"
        for name, shape in expected.items()
        if name in found and tuple(found[name].shape) != shape
    ]
    if wrong:
        more = f"; and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        raise LayoutMismatch("; ".join(wrong[:_SHOWN]) + more)


@torch.no_grad()
def _mean_w(generator: Generator) -> torch.Tensor:
    z = torch.randn(MEAN_SAMPLES, generator.config.z_dim, generator=torch.Generator().manual_seed(0))
    mean: torch.Tensor = generator.mapping(z).mean(dim=0)
    return mean
