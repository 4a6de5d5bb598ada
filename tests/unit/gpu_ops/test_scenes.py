"""The rendered cars: the same by seed, exact in their masks, free in their parameters."""

import dataclasses
import json

import numpy as np
import pytest

from gpu_ops.scenes import cars, cars_scene, dataset
from gpu_ops.scenes.canvas import majority

SEEDS = range(60)
CONTINUOUS = [field.name for field in dataclasses.fields(cars.Scene) if field.type == "float"]


@pytest.fixture(scope="module")
def scenes():
    return [cars.sample_scene(seed) for seed in SEEDS]


@pytest.fixture(scope="module")
def drawn():
    return dataset.render_many(SEEDS, processes=1)


def part(name):
    return cars.PARTS.index(name)


def test_parts_groups_and_colours_fit_together():
    assert len(cars.PARTS) == len(cars.COLOURS) == len(set(cars.COLOURS)) >= 12
    assert set(cars.GROUPS["car"]) | set(cars.GROUPS["background"]) == set(cars.PARTS)
    assert all(name in cars.PARTS for names in cars.GROUPS.values() for name in names)


def test_a_seed_always_gives_the_same_scene_and_pixels(scenes, drawn):
    pictures, masks = drawn
    assert cars.sample_scene(7) == scenes[7]
    picture, mask = cars.render(cars.sample_scene(7))
    assert np.array_equal(picture, pictures[7])
    assert np.array_equal(mask, masks[7])
    assert not np.array_equal(pictures[7], pictures[8])


def test_shapes_and_label_range(drawn):
    pictures, masks = drawn
    assert pictures.shape == (len(SEEDS), 64, 64, 3)
    assert pictures.dtype == masks.dtype == np.uint8
    assert masks.max() < len(cars.PARTS)


def test_every_part_is_in_nearly_every_picture(drawn):
    _, masks = drawn
    for index, name in enumerate(cars.PARTS):
        seen = (masks == index).any(axis=(1, 2)).mean()
        assert seen > 0.95, name


def test_seven_parts_of_the_car_cover_a_hundredth_each(drawn):
    _, masks = drawn
    shares = {name: (masks == part(name)).mean() for name in cars.GROUPS["car"]}
    large = [name for name, share in shares.items() if share >= 0.01]
    assert len(large) >= 7, shares


def test_every_parameter_is_sampled_within_its_range(scenes):
    assert {scene.body_type for scene in scenes} == set(cars.BODY_TYPES)
    for scene in scenes:
        ranges = cars_scene.COMMON_RANGES | cars_scene.TYPE_RANGES[scene.body_type]
        assert all(low <= getattr(scene, name) <= high for name, (low, high) in ranges.items())
    assert set(ranges) == set(CONTINUOUS)
    assert len(CONTINUOUS) >= 20


def test_wheel_radius_is_free_of_the_body():
    many = [cars.sample_scene(seed) for seed in range(1500)]
    radius = np.array([scene.wheel_radius for scene in many])
    assert radius.max() / radius.min() > 1.7
    for name in ("length", "cabin_height", "belt_height", "axle_y", "front_wheel", "sill_drop"):
        other = np.array([getattr(scene, name) for scene in many])
        assert abs(np.corrcoef(radius, other)[0, 1]) < 0.1, name


@pytest.mark.parametrize("name", CONTINUOUS)
def test_every_parameter_shows(name, scenes):
    for scene in scenes:
        ranges = cars_scene.COMMON_RANGES | cars_scene.TYPE_RANGES[scene.body_type]
        low, high = ranges[name]  # half the range: a hue, or a spoke's angle, ends where it began
        values = [dataclasses.replace(scene, **{name: value}) for value in (low, (low + high) / 2)]
        one, other = (cars.render(value, supersample=2)[0].astype(int) for value in values)
        if np.abs(one - other).max() >= 6:
            return
    pytest.fail(f"{name} changes nothing")


def test_larger_wheels_change_the_picture_only_around_the_wheels(scenes):
    y, x = np.mgrid[0:64, 0:64]
    for scene in scenes[:20]:
        small = dataclasses.replace(scene, wheel_radius=0.09)
        large = dataclasses.replace(scene, wheel_radius=0.09 * 1.4)
        nose = scene.centre_x - scene.length / 2
        near = np.zeros((64, 64), dtype=bool)
        for along in (scene.front_wheel, scene.rear_wheel):
            centre = (nose + along * scene.length) * 64 - 0.5
            near |= np.hypot(x - centre, y - scene.axle_y * 64 + 0.5) <= 0.09 * 1.4 * 64 + 3
        (before, mask_before), (after, mask_after) = cars.render(small), cars.render(large)
        assert np.array_equal(before[~near], after[~near])
        assert np.array_equal(mask_before[~near], mask_after[~near])
        tyres = [(mask == part("tyre")).sum() for mask in (mask_before, mask_after)]
        assert tyres[1] > 1.5 * tyres[0]


def test_the_tyre_is_as_large_as_its_radius_says(scenes):
    wheel = [part(name) for name in cars.GROUPS["wheel"]]
    for scene in scenes[:10]:
        _, mask = cars.render(scene, size_px=256, supersample=1)
        area = np.isin(mask, wheel).sum() / 256**2
        assert area == pytest.approx(2 * np.pi * scene.wheel_radius**2, rel=0.06)


def test_a_larger_picture_shows_the_same_scene(scenes):
    agreement, difference = [], []
    for scene in scenes[:10]:
        picture, mask = cars.render(scene, size_px=64)
        large_picture, large_mask = cars.render(scene, size_px=128)
        agreement.append((majority(large_mask, 2) == mask).mean())
        halved = large_picture.reshape(64, 2, 64, 2, 3).mean(axis=(1, 3))
        difference.append(np.abs(halved - picture).mean())
    assert np.mean(agreement) > 0.95  # thin lines are lost twice
    assert np.mean(difference) < 3.0


def test_the_mask_follows_the_picture_to_the_pixel(scenes):
    """Not reduced, both are drawn by one outline: what has one flat colour has one label."""
    scene = dataclasses.replace(scenes[3], taillight_size=1.3)
    picture, mask = cars.render(scene, size_px=256, supersample=1)
    red = (picture == (196, 26, 30)).all(axis=2)
    assert red.sum() > 50
    assert np.array_equal(red, mask == part("taillight"))


def test_edges_are_anti_aliased(scenes):
    scene = dataclasses.replace(scenes[0], texture=0.0)
    rough = cars.render(scene, supersample=1)[0]
    smooth = cars.render(scene, supersample=4)[0]
    assert len(np.unique(smooth.reshape(-1, 3), axis=0)) > 1.2 * len(np.unique(rough.reshape(-1, 3), axis=0))


def test_majority_takes_the_most_frequent_and_of_equals_the_lowest():
    labels = np.array([[5, 5, 2, 1], [5, 1, 1, 2]], dtype=np.uint8)
    assert majority(labels, 2).tolist() == [[5, 1]]


def test_degrading_is_mild_and_repeatable(drawn):
    pictures, _ = drawn
    before = pictures[0].copy()
    worse = [cars.degrade(picture, seed=3) for picture in pictures[:20]]
    assert np.array_equal(before, pictures[0])
    assert np.array_equal(worse[0], cars.degrade(pictures[0], seed=3))
    error = np.mean((np.stack(worse).astype(float) - pictures[:20]) ** 2, axis=(1, 2, 3))
    assert (error > 1.0).all()
    assert 20.0 < 10 * np.log10(255**2 / error.mean()) < 40.0


def test_a_data_set_is_written_in_the_order_of_its_seeds(tmp_path):
    dataset.write(tmp_path, range(5, 9), size_px=32, processes=1)
    pictures, masks = np.load(tmp_path / "pictures.npy"), np.load(tmp_path / "masks.npy")
    lines = (tmp_path / "scenes.jsonl").read_text().splitlines()
    assert [json.loads(line)["seed"] for line in lines] == [5, 6, 7, 8]
    picture, mask = cars.render(cars.sample_scene(6), size_px=32)
    assert np.array_equal(pictures[1], picture)
    assert np.array_equal(masks[1], mask)


def test_seed_ranges_do_not_meet():
    assert dataset.TRAINING_SEEDS_FROM < dataset.HELD_OUT_SEEDS_FROM < dataset.DEMO_SEEDS_FROM
