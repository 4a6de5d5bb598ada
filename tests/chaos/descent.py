"""A tiny optimiser whose result depends on every bit of every step: a wrong resume shows.

Adam on a noisy quadratic in NumPy, and a hash chain over the vectors it went through. Its state is that of a
real optimisation: the vector, both moments, the best so far, the step, and the random generator's state.
"""

import functools
import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIZE = 32
State = dict[str, NDArray[Any]]


@dataclass
class Descent:
    lr: float
    step: int
    delta: NDArray[np.float64]
    first: NDArray[np.float64]
    second: NDArray[np.float64]
    best: NDArray[np.float64]
    best_loss: float
    chain: bytes
    noise: np.random.RandomState

    @classmethod
    def begun(cls, lr: float, resume: State | None = None) -> "Descent":
        zeros = np.zeros(SIZE)
        noise = np.random.RandomState(int(lr * 1e6))
        fresh = cls(lr, 0, zeros, zeros, zeros, zeros, float("inf"), b"\0" * 32, noise)
        if resume is None:
            return fresh
        noise.set_state(("MT19937", resume["noise"], int(resume["place"])))
        return cls(
            lr,
            int(resume["step"]),
            *(resume[name].copy() for name in ("delta", "first", "second", "best")),
            float(resume["best_loss"]),
            resume["chain"].tobytes(),
            noise,
        )

    def state(self) -> State:
        _, noise, place, *_ = self.noise.get_state()
        return {
            "step": np.array(self.step),
            "delta": self.delta.copy(),
            "first": self.first.copy(),
            "second": self.second.copy(),
            "best": self.best.copy(),
            "best_loss": np.array(self.best_loss),
            "chain": np.frombuffer(self.chain, np.uint8),
            "noise": np.asarray(noise),
            "place": np.array(place),
        }

    def take_step(self) -> float:
        """One step of Adam; the loss before it."""
        self.step += 1
        target = np.linspace(-1.0, 1.0, SIZE)
        miss = self.delta - target
        loss = float(miss @ miss)
        if loss < self.best_loss:
            self.best, self.best_loss = self.delta, loss
        gradient = 2 * miss + 0.1 * (self.noise.random_sample(SIZE) - 0.5)
        self.first = 0.9 * self.first + 0.1 * gradient
        self.second = 0.999 * self.second + 0.001 * gradient**2
        first = self.first / (1 - 0.9**self.step)
        second = self.second / (1 - 0.999**self.step)
        self.delta = self.delta - self.lr * first / (np.sqrt(second) + 1e-8)
        self.chain = hashlib.sha256(self.chain + self.delta.tobytes() + self.best.tobytes()).digest()
        return loss

    @property
    def answer(self) -> str:
        return f"{self.step} {self.chain.hex()} {self.best_loss.hex()}"


@functools.lru_cache(maxsize=4096)
def uninterrupted(lr: float, steps: int) -> str:
    """What a run of so many steps leaves when nobody disturbs it."""
    descent = Descent.begun(lr)
    for _ in range(steps):
        descent.take_step()
    return descent.answer
