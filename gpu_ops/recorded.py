"""Work on a GPU that is recorded once as a CUDA graph and played back from then on.

A step of an optimisation is many small kernels, of which most run for less time than it takes to launch
them. On other devices the work just runs.
"""

import logging
from collections.abc import Callable

import torch

from gpu_ops.memory import out_of_memory

log = logging.getLogger(__name__)

Tensors = dict[str, torch.Tensor]

_streams: dict[torch.device, torch.cuda.Stream] = {}


class Recorded:
    """work(*inputs), from its call number `after` + 1 on played back.

    work    returns tensors by name, detached; it may change tensors in place. It must not wait for the
            device, nor go another way for other values: what cannot be recorded is run as ever, with one line
            in the log.
    device  where all of it is
    rng     on that device, what the work draws from; may be seeded anew between calls
    after   so many calls run as ever, at least one: libraries choose their algorithms in it

    Inputs have the same shapes at each call. All else that the work reads stays where it is: the recording
    knows addresses. What a call returns is the caller's to keep.
    """

    def __init__(
        self,
        work: Callable[..., Tensors],
        device: torch.device,
        *,
        rng: torch.Generator | None = None,
        after: int = 2,
    ) -> None:
        self._work = work
        self._device = device
        self._rng = rng
        self._left = max(after, 1)
        self._graph: torch.cuda.CUDAGraph | None = None
        self._inputs: list[torch.Tensor] = []
        self._outputs: Tensors = {}
        self._recordable = device.type == "cuda"

    def __call__(self, *inputs: torch.Tensor) -> Tensors:
        if not self._recordable:
            return self._work(*inputs)
        if self._graph is None:
            if self._left > 0:
                self._left -= 1
                return self._run(inputs)
            self._record(inputs)
            if self._graph is None:
                return self._run(inputs)
        for kept, given in zip(self._inputs, inputs, strict=True):
            kept.detach().copy_(given.detach())
        self._graph.replay()
        return {name: tensor.clone() for name, tensor in self._outputs.items()}

    def _run(self, inputs: tuple[torch.Tensor, ...]) -> Tensors:
        """On the stream that is recorded from: gradients must not come to expect another."""
        stream, outer = self._stream(), torch.cuda.current_stream(self._device)
        stream.wait_stream(outer)
        with torch.cuda.stream(stream):
            outputs = self._work(*inputs)
        outer.wait_stream(stream)
        for tensor in outputs.values():
            tensor.record_stream(outer)
        return outputs

    def _record(self, inputs: tuple[torch.Tensor, ...]) -> None:
        self._inputs = [given.detach().clone().requires_grad_(given.requires_grad) for given in inputs]
        graph = torch.cuda.CUDAGraph()
        if self._rng is not None:
            graph.register_generator_state(self._rng)
        try:
            with torch.cuda.graph(graph, stream=self._stream(), capture_error_mode="thread_local"):
                outputs = self._work(*self._inputs)
        except RuntimeError as error:
            if out_of_memory(error):
                raise
            log.warning("not recorded, run step by step: %s", error)
            self._recordable = False
            return
        self._graph, self._outputs = graph, outputs

    def _stream(self) -> torch.cuda.Stream:
        if self._device not in _streams:
            _streams[self._device] = torch.cuda.Stream(self._device)
        return _streams[self._device]
