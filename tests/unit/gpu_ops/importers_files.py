"""Writes networks in the published files, with classes of the published names that exist only meanwhile."""

import contextlib
import pickle
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from importers_networks import Network, Weights
from reference_stylegan2 import Array

CANARY_SOURCE = "import pathlib; pathlib.Path({path!r}).write_text('the source in the file was executed')"


@contextlib.contextmanager
def published_modules() -> Iterator[types.SimpleNamespace]:
    """Modules dnnlib, torch_utils and their likes, gone again afterwards."""
    names = (
        "dnnlib",
        "dnnlib.util",
        "dnnlib.tflib",
        "dnnlib.tflib.network",
        "torch_utils",
        "torch_utils.persistence",
    )
    assert not set(names) & set(sys.modules)
    made = {name: types.ModuleType(name) for name in names}

    class EasyDict(dict):
        pass

    class Network:
        def __init__(self, state: dict[str, Any]) -> None:
            self.state = state

        def __getstate__(self) -> dict[str, Any]:
            return self.state

    def _reconstruct_persistent_obj(meta: dict[str, Any]) -> None:
        exec(meta["module_src"])

    placed = {
        "dnnlib.util": EasyDict,
        "dnnlib.tflib.network": Network,
        "torch_utils.persistence": _reconstruct_persistent_obj,
    }
    for name, each in placed.items():
        each.__module__, each.__qualname__ = name, each.__name__
        setattr(made[name], each.__name__, each)
    sys.modules.update(made)
    try:
        yield types.SimpleNamespace(
            EasyDict=EasyDict, Network=Network, reconstruct=_reconstruct_persistent_obj
        )
    finally:
        for name in names:
            del sys.modules[name]


class Persistent:
    """A module as torch_utils.persistence writes it: one call, of meta with a class's source and state."""

    def __init__(self, reconstruct: Any, source: str, class_name: str, **attributes: Any) -> None:
        self._reconstruct, self._source, self._class_name = reconstruct, source, class_name
        self.state = {**torch.nn.Module().__dict__, "_init_args": (), **attributes}

    def __reduce__(self) -> tuple[Any, ...]:
        meta = {
            "type": "class",
            "version": 6,
            "module_src": self._source,
            "class_name": self._class_name,
            "state": self.state,
        }
        return self._reconstruct, (meta,), None

    def add(self, name: str, value: Array, *, buffer: bool) -> None:
        tensor = torch.tensor(np.float32(value))
        if buffer:
            self.state["_buffers"][name] = tensor
        else:
            self.state["_parameters"][name] = torch.nn.Parameter(tensor)


BUFFERS = ("w_avg", "resample_filter", "noise_const")


def persistent_module(
    weights: Weights, published: types.SimpleNamespace, source: str, **kwargs: Any
) -> Persistent:
    """Nested modules of flat names; kwargs are the network's own arguments."""
    root = Persistent(
        published.reconstruct, source, "Generator", _init_kwargs=published.EasyDict(kwargs), z_dim=8
    )
    modules = {"": root}
    for name, value in weights.items():
        *path, leaf = name.split(".")
        for depth in range(len(path)):
            inner = ".".join(path[: depth + 1])
            if inner not in modules:
                modules[inner] = Persistent(published.reconstruct, source, "Layer")
                modules[".".join(path[:depth])].state["_modules"][path[depth]] = modules[inner]
        modules[".".join(path)].add(leaf, value, buffer=leaf in BUFFERS)
    return root


def set_attribute(root: Persistent, path: str, value: Any) -> None:
    """Set an attribute of an inner module: "synthesis.b8.conv0.conv_clamp"."""
    *modules, name = path.split(".")
    for module in modules:
        root = root.state["_modules"][module]
    root.state[name] = value


def write_persistent(
    path: Path,
    network: Network,
    *,
    canary: Path,
    protocol: int = 4,
    attributes: dict[str, Any] | None = None,
    **kwargs: Any,
) -> Path:
    """A snapshot of stylegan2-ada-pytorch: a dictionary with G, D, G_ema and more."""
    source = CANARY_SOURCE.format(path=str(canary))
    given = {
        "z_dim": network.z_dim,
        "c_dim": 0,
        "w_dim": network.w_dim,
        "img_resolution": network.resolution,
        "img_channels": 3,
        "mapping_kwargs": {"num_layers": network.layers},
    }
    with published_modules() as published:
        ema = persistent_module(network.weights, published, source, **given, **kwargs)
        for name, value in (attributes or {}).items():
            set_attribute(ema, name, value)
        first = persistent_module({"b8.conv0.weight": np.ones((2, 2, 3, 3))}, published, source)
        snapshot = {
            "training_set_kwargs": published.EasyDict(class_name="training.dataset.ImageFolderDataset"),
            "G": first,
            "D": first,
            "G_ema": ema,
            "augment_pipe": None,
        }
        path.write_bytes(pickle.dumps(snapshot, protocol=protocol))
    return path


def write_tensorflow(
    path: Path,
    network: Network,
    *,
    canary: Path,
    protocol: int = 4,
    order: str = "C",
    synthesis: dict[str, Any] | None = None,
) -> Path:
    """The tuple (G, D, Gs) of the first StyleGAN2; in order "F", arrays lie in Fortran's order."""
    source = CANARY_SOURCE.format(path=str(canary))
    given = {"num_channels": 3, "resolution": network.resolution, "label_size": 0}

    def array(value: Array) -> Any:
        return np.array(np.float32(value), order=order)

    with published_modules() as published:

        def made(prefix: str, arguments: dict[str, Any], components: dict[str, Any]) -> Any:
            names = [name for name in network.weights if name.startswith(prefix)]
            if not prefix:
                names = [name for name in network.weights if "/" not in name]
            return published.Network(
                {
                    "version": 4,
                    "name": prefix.rstrip("/") or "Gs",
                    "static_kwargs": published.EasyDict(arguments),
                    "components": published.EasyDict(components),
                    "build_module_src": source,
                    "build_func_name": "G_main",
                    "variables": [
                        (name.removeprefix(prefix), array(network.weights[name])) for name in names
                    ],
                }
            )

        arguments = {**given, "resample_kernel": [1, 3, 3, 1], "architecture": "skip", **(synthesis or {})}
        components = {"synthesis": made("synthesis/", arguments, {}), "mapping": made("mapping/", {}, {})}
        gs = made("", given, components)
        path.write_bytes(pickle.dumps((gs, made("mapping/", given, {}), gs), protocol=protocol))
    return path


def write_rosinality(
    path: Path, network: Network, *, zipped: bool = True, mean: bool = True, leave_out: str = "\0"
) -> Path:
    """A checkpoint with g_ema, an optimiser's state and the command line; without names with leave_out."""
    import argparse
    from collections import OrderedDict

    state = OrderedDict(
        (name, torch.tensor(np.float32(value)))
        for name, value in network.weights.items()
        if leave_out not in name
    )
    checkpoint: dict[str, Any] = {
        "g": state,
        "g_ema": state,
        "g_optim": {"state": {0: {"step": 3, "exp_avg": torch.ones(2)}}, "param_groups": [{"lr": 0.1}]},
        "args": argparse.Namespace(size=network.resolution, path="data"),
    }
    if mean:
        checkpoint["latent_avg"] = torch.tensor(np.float32(network.w_avg))
    torch.save(checkpoint, path, _use_new_zipfile_serialization=zipped)
    return path
