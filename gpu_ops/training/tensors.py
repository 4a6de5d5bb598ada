"""Networks and Adam as named tensors, so that a training can go on from a checkpoint to the same bits."""

import torch

from gpu_ops.progress import State


def adam_state(adam: torch.optim.Adam, prefix: str) -> State:
    """Copies of step and moments, named `prefix.index.moment`; nothing before the first step."""
    return {
        f"{prefix}.{index}.{name}": tensor.detach().to("cpu", copy=True).contiguous()
        for index, moments in adam.state_dict()["state"].items()
        for name, tensor in moments.items()
    }


def restore_adam(adam: torch.optim.Adam, state: State, prefix: str) -> None:
    """Go on from what adam_state gave; rates and betas stay this optimiser's own."""
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for key, tensor in state.items():
        if key.startswith(f"{prefix}."):
            index, name = key.removeprefix(f"{prefix}.").split(".")
            moments.setdefault(int(index), {})[name] = tensor.clone()
    adam.load_state_dict({"state": moments, "param_groups": adam.state_dict()["param_groups"]})


def network_state(network: torch.nn.Module, prefix: str) -> State:
    """Copies of a network's tensors, named `prefix.name`."""
    return {
        f"{prefix}.{name}": tensor.detach().to("cpu", copy=True).contiguous()
        for name, tensor in network.state_dict().items()
    }


def restore_network(network: torch.nn.Module, state: State, prefix: str) -> None:
    """Put back what network_state gave. Raises RuntimeError where it does not fit."""
    network.load_state_dict(
        {
            key.removeprefix(f"{prefix}."): tensor
            for key, tensor in state.items()
            if key.startswith(f"{prefix}.")
        }
    )
