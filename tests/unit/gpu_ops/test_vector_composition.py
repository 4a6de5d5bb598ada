"""Adding vectors up: by hand, in any order, and not at all where every strength is 0."""

from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_ops.errors import NonFiniteError, ShapeError
from gpu_ops.vectors import Use, combine, compose


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_codes_and_vectors_add_up() -> None:
    w_plus, one, other = drawn(3, 4, 5), drawn(4, 5, seed=1), drawn(4, 5, seed=2)
    got = compose(w_plus, [Use(one, 0.7, "a"), Use(other, -2.5, "b")])
    expected = w_plus.double().numpy() + 0.7 * one.double().numpy() - 2.5 * other.double().numpy()
    np.testing.assert_allclose(got.numpy(), expected, rtol=0, atol=2e-6)
    assert got.dtype == torch.float32


STRENGTHS = st.lists(st.floats(-10, 10, width=32), min_size=1, max_size=4)


@settings(max_examples=50, deadline=None)
@given(STRENGTHS)
def test_their_order_changes_no_bit(strengths: list[float]) -> None:
    w_plus = drawn(2, 4, 5)
    uses = [Use(drawn(4, 5, seed=1 + n), strength, f"{n}") for n, strength in enumerate(strengths)]
    results = [compose(w_plus, order) for order in permutations(uses)]
    assert all(torch.equal(result, results[0]) for result in results)


def test_strength_zero_is_nothing_bit_for_bit() -> None:
    w_plus = drawn(2, 4, 5)
    w_plus[0, 0, 0] = -0.0  # adding 0 would turn it into 0
    nothing = [Use(drawn(4, 5, seed=1), 0.0, "a"), Use(torch.full((4, 5), torch.inf), -0.0, "b")]
    assert combine(nothing, w_plus) is None
    assert compose(w_plus, nothing).numpy().tobytes() == w_plus.numpy().tobytes()
    assert compose(w_plus, []).data_ptr() != w_plus.data_ptr()


def test_strength_one_of_one_vector_is_the_plain_sum() -> None:
    w_plus, delta_w = drawn(1, 4, 5), drawn(4, 5, seed=1)
    assert torch.equal(compose(w_plus, [Use(delta_w, 1.0, "a")]), w_plus + delta_w)


def test_vectors_of_another_model_and_numbers_that_are_none_are_refused() -> None:
    w_plus = drawn(1, 4, 5)
    with pytest.raises(ShapeError, match="vector a is"):
        compose(w_plus, [Use(drawn(4, 6), 1.0, "a")])
    for strength in (float("nan"), float("inf"), 1e39):
        with pytest.raises(NonFiniteError):
            compose(w_plus, [Use(drawn(4, 5), strength, "a")])
