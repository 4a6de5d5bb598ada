"""Inverting what was annotated, a few pictures at a time: cut and gone on with, to the same bits."""

import numpy as np
import pytest
import torch
from operation import finish

from gpu_ops.bundle import Bundle
from gpu_ops.picture import Picture, to_uint8
from gpu_ops.training.annotate import invert_all


@pytest.fixture(scope="module")
def pictures(tiny: Bundle) -> Picture:
    z = torch.randn(3, tiny.generator.config.z_dim, generator=torch.Generator().manual_seed(3))
    return to_uint8(tiny.generator(z).detach())


def test_a_run_that_was_cut_in_its_second_chunk_goes_on_to_the_same_bits(
    tiny: Bundle, pictures: Picture
) -> None:
    seen, whole = finish(invert_all(tiny, pictures, steps=4, chunk=2))
    assert [progress.step for progress in seen] == list(range(1, 9))
    assert {progress.total for progress in seen} == {8}
    for cut in (3, 6):
        run = invert_all(tiny, pictures, steps=4, chunk=2)
        for _ in range(cut):
            progress = next(run)
        assert progress.state is not None
        rest, again = finish(invert_all(tiny, pictures, steps=4, chunk=2, resume=progress.state()))
        assert [each.losses for each in rest] == [each.losses for each in seen[cut:]]
        assert torch.equal(again.w_plus, whole.w_plus)
    assert whole.pictures.shape == pictures.shape
    assert len(whole.psnr_db) == 3


def test_a_checkpoint_of_a_chunk_of_another_size_costs_that_chunk_only(
    tiny: Bundle, pictures: Picture
) -> None:
    """After running out of memory there are fewer at a time."""
    run = invert_all(tiny, pictures, steps=3, chunk=2)
    first = next(run)
    assert first.state is not None
    seen, found = finish(invert_all(tiny, pictures, steps=3, chunk=1, resume=first.state()))
    assert len(seen) == 9
    _, whole = finish(invert_all(tiny, pictures, steps=3, chunk=1))
    assert torch.equal(found.w_plus, whole.w_plus)


def test_told_to_stop_it_inverts_the_rest_in_one_step_each(tiny: Bundle, pictures: Picture) -> None:
    seen, found = finish(invert_all(tiny, pictures, steps=5, chunk=1), stop_at=2)
    assert [progress.step for progress in seen] == [1, 2, 6, 11]
    assert np.isfinite(found.psnr_db).all()
