"""The encoder: shapes, independence of the tensor batch, and that training makes it redraw better."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from operation import finish

from gpu_ops.bundle import Bundle
from gpu_ops.encoder import Encoder, EncoderConfig, head_sizes
from gpu_ops.picture import to_uint8
from gpu_ops.training.encoder import EncoderTraining, draw_codes, encoder_for, encoder_psnr_db, train_encoder

pytestmark = pytest.mark.thorough

SMALL = {"width": 8, "widest": 16, "pyramid": 8}


@pytest.mark.parametrize(("resolution", "num_ws"), [(32, 8), (64, 10), (256, 14)])
def test_each_layer_gets_a_code_of_its_own(resolution: int, num_ws: int) -> None:
    config = EncoderConfig(resolution, num_ws, w_dim=16, **SMALL)
    codes = Encoder(config)(torch.randn(2, 3, resolution, resolution))
    assert codes.shape == (2, num_ws, 16)
    assert head_sizes(config) == sorted(head_sizes(config))


def test_an_untrained_encoder_guesses_near_w_avg(tiny: Bundle) -> None:
    encoder = encoder_for(tiny, **SMALL)
    guess = encoder(torch.randn(4, 3, 32, 32))
    assert torch.allclose(guess, tiny.generator.mapping.w_avg.expand_as(guess), atol=1.0)


def test_a_picture_s_code_does_not_depend_on_its_neighbours(tiny: Bundle) -> None:
    encoder = encoder_for(tiny, **SMALL).eval()
    pictures = torch.randn(3, 3, 32, 32)
    together = encoder(pictures)
    alone = torch.cat([encoder(picture[None]) for picture in pictures])
    assert torch.allclose(together, alone, atol=1e-5)


def test_samples_to_learn_from_are_the_same_for_the_same_seed(tiny: Bundle) -> None:
    first, again = (draw_codes(tiny, 6, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, again)
    assert any(not torch.equal(code[0], code[-1]) for code in first), "some are mixed of two"


def test_training_redraws_better(tiny: Bundle, codes: Callable[..., torch.Tensor]) -> None:
    with torch.no_grad():
        pictures = to_uint8(tiny.generator.synthesise(codes(24)).picture)
    encoder = encoder_for(tiny, **SMALL)
    before = encoder_psnr_db(encoder, tiny, pictures)
    last = None
    for last in train_encoder(encoder, tiny, pictures, EncoderTraining(steps=25, batch=8, warm_up=10)):
        assert all(torch.isfinite(torch.tensor(value)) for value in last.losses.values())
    assert last is not None
    assert last.step == 25
    assert encoder_psnr_db(encoder, tiny, pictures) > before


def test_a_training_cut_and_restarted_learns_the_same_weights(
    tiny: Bundle, codes: Callable[..., torch.Tensor]
) -> None:
    cut = 2
    with torch.no_grad():
        pictures = to_uint8(tiny.generator.synthesise(codes(3)).picture)
    training = EncoderTraining(steps=4, batch=2, warm_up=2)
    whole, first, second = (encoder_for(tiny, **SMALL) for _ in range(3))
    steps, done = finish(train_encoder(whole, tiny, pictures, training))
    assert done == 4
    run = train_encoder(first, tiny, pictures, training)
    for _ in range(cut):
        progress = next(run)
    assert progress.state is not None
    kept = progress.state()
    run.close()
    rest, _ = finish(train_encoder(second, tiny, pictures, training, resume=kept))
    assert [p.losses for p in rest] == [p.losses for p in steps[cut:]]
    for name, tensor in whole.state_dict().items():
        assert torch.equal(second.state_dict()[name], tensor)
    assert not whole.training


def test_it_learns_from_samples_alone_and_ends_when_told(tiny: Bundle) -> None:
    nothing = np.zeros((0, 32, 32, 3), np.uint8)
    encoder = encoder_for(tiny, **SMALL)
    steps, done = finish(
        train_encoder(encoder, tiny, nothing, EncoderTraining(steps=9, batch=2, warm_up=0)), stop_at=2
    )
    assert (len(steps), done) == (2, 2)


def test_encoders_of_one_seed_begin_alike_and_leave_the_world_s_random_numbers_alone(tiny: Bundle) -> None:
    before = torch.get_rng_state()
    one, same, other = (encoder_for(tiny, seed=seed, **SMALL).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)
