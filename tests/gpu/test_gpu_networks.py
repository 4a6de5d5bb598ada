"""The networks on a GPU give what float64 on the CPU gives, each within what its precision allows."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from nearness import apart, finish, levels, unlike, usually_apart

from gpu_ops.picture import to_tensor, to_uint8
from gpu_ops.reading import Places
from gpu_ops.refine import look
from gpu_ops.sample import sample
from gpu_ops.stylegan2.generator import Generator, GeneratorConfig
from gpu_ops.uncertainty import uncertainty

FLOAT32 = 5e-4  # of the largest value, after some twenty layers
LOW = {torch.float16: 0.01, torch.bfloat16: 0.06}  # root mean square, of the same


@torch.no_grad()
def test_pictures_and_features_in_float32(cars, exact, codes) -> None:
    found, wanted = (
        bundle.generator.synthesise(codes.to(bundle.generator.mapping.w_avg)) for bundle in (cars, exact)
    )
    assert found.picture.device.type == cars.device.type
    assert apart(found.picture, wanted.picture) <= FLOAT32
    for mine, theirs in zip(found.features, wanted.features, strict=True):
        assert apart(mine, theirs) <= FLOAT32


@pytest.mark.parametrize("low", LOW)
@torch.no_grad()
def test_pictures_and_features_in_low_precision(cars, exact, codes, device: str, low: torch.dtype) -> None:
    wanted = exact.generator.synthesise(codes)
    with torch.autocast(device, low):
        found = cars.generator.synthesise(codes.float().to(device))
    assert found.picture.dtype == torch.float32
    assert found.features[-1].dtype == low
    assert usually_apart(found.picture, wanted.picture) <= LOW[low]
    for mine, theirs in zip(found.features, wanted.features, strict=True):
        assert usually_apart(mine, theirs) <= LOW[low]


def test_pictures_are_within_a_grey_level_of_the_cpu_s_and_masks_the_same(cars, plain, codes) -> None:
    (mine, masks), (theirs, known) = (
        bundle.draw(codes.float().to(bundle.device)) for bundle in (cars, plain)
    )
    assert levels(to_uint8(mine), to_uint8(theirs)) <= 1
    assert unlike(masks.cpu().numpy(), known.numpy()) <= 0.001


def test_half_precision_is_within_two_grey_levels_and_masks_are_nearly_the_same(cars, plain, codes) -> None:
    half = replace(cars, half=True)
    mine, theirs = look(half, codes.float().to(cars.device)), look(plain, codes.float())
    assert levels(mine.pictures, theirs.pictures) <= 2
    assert unlike(mine.masks, theirs.masks) <= 0.002


def test_a_seed_drawn_twice_is_the_same_bytes_and_the_cpu_s_picture(cars, plain) -> None:
    one, again, other = (finish(sample(bundle, [5, 6], 0.7))[1] for bundle in (cars, cars, plain))
    assert one.pictures.tobytes() == again.pictures.tobytes()
    assert one.masks.tobytes() == again.masks.tobytes()
    assert torch.equal(one.w_plus, again.w_plus)
    assert levels(one.pictures, other.pictures) <= 1


@torch.no_grad()
def test_part_logits_of_whole_pictures_and_of_some_pixels(cars, exact, codes, device: str) -> None:
    features = exact.generator.synthesise(codes[:2]).features
    near = [maps.float().to(device) for maps in features]
    wanted = exact.segmenter.logits(features)
    assert apart(cars.segmenter.logits(near), wanted) <= FLOAT32
    for count in (50, 5000):  # fewer pixels than the large maps have, and more
        pixels = torch.randperm(wanted[:, 0].numel(), generator=torch.Generator().manual_seed(1))[:count]
        some = cars.segmenter.each_at(near, Places(pixels.to(device), cars.resolution_px))
        assert apart(some, exact.segmenter.each_at(features, Places(pixels, cars.resolution_px))) <= FLOAT32
    unsure = uncertainty(cars.segmenter, near)
    assert float((unsure.cpu() - uncertainty(exact.segmenter, features)).abs().max()) <= 1e-3  # nats


@torch.no_grad()
def test_encoder_identity_judge_and_perceptual(cars, exact, codes, device: str) -> None:
    pictures = to_uint8(exact.generator.synthesise(codes).picture)
    near, far = to_tensor(pictures, device), to_tensor(pictures).double()
    assert apart(cars.encoder(near), exact.encoder(far)) <= FLOAT32
    assert apart(cars.identity.embed(near), exact.identity.embed(far)) <= FLOAT32
    assert apart(cars.judge(near), exact.judge(far)) <= FLOAT32
    assert unlike(cars.judge.predict(pictures), exact.judge(far).argmax(dim=1).numpy()) <= 0.001
    found, wanted = cars.perceptual(near[:4], near[4:]), exact.perceptual(far[:4], far[4:])
    assert apart(found, wanted) <= FLOAT32
    assert apart(cars.perceptual.pooled(near), exact.perceptual.pooled(far)) <= FLOAT32


@torch.no_grad()
def test_a_picture_of_1024_px_in_float16_is_finite_and_close(device: str) -> None:
    """Random weights, base 32768, as the largest published models; 64 px where this is tried on a CPU."""
    size = 1024 if device == "cuda" else 64
    with torch.device(device):
        generator = Generator(GeneratorConfig(size, 512, 512, 8, 32768, 512)).eval().requires_grad_(False)
        z = torch.randn(1, 512)
    for name, parameter in generator.named_parameters():
        if name.endswith("noise_strength"):
            parameter.fill_(0.1)
    w_plus = generator.map(z).contiguous()
    wanted = generator.synthesise(w_plus)
    with torch.autocast(device, torch.float16):
        found = generator.synthesise(w_plus)
    assert found.features[-1].dtype == torch.float16
    assert usually_apart(found.picture, wanted.picture) <= LOW[torch.float16]
    for mine, theirs in zip(found.features, wanted.features, strict=True):
        assert usually_apart(mine, theirs) <= LOW[torch.float16]


def test_pictures_go_to_bytes_and_back_as_on_the_cpu(device: str) -> None:
    values = torch.linspace(-1.3, 1.3, 3 * 64 * 64).reshape(1, 3, 64, 64)
    assert np.array_equal(to_uint8(values.to(device)), to_uint8(values))
    pictures = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    assert np.array_equal(to_uint8(to_tensor(pictures, device)), pictures)
