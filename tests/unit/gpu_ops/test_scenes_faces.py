"""The rendered faces: people who stay themselves, exact masks, and looks that show at 64 px."""

import dataclasses
import json

import numpy as np
import pytest

from gpu_ops.scenes import dataset, faces, faces_ranges, faces_scene
from gpu_ops.scenes.canvas import majority
from gpu_ops.scenes.faces_light import _COVER

pytestmark = pytest.mark.thorough

SEEDS = range(2, 242, 4)  # one of each identity
CONTINUOUS = [field.name for field in dataclasses.fields(faces.Scene) if field.type == "float"]
CALM = {
    "glasses": "none",
    "smile": 0.0,
    "mouth_open": -1.0,
    "eye_open": 1.0,
    "gaze_x": 0.0,
    "gaze_y": 0.0,
    "yaw": 0.0,
    "roll": 0.0,
}


@pytest.fixture(scope="module")
def scenes():
    return [faces.sample_scene(seed) for seed in SEEDS]


@pytest.fixture(scope="module")
def drawn():
    return dataset.render_many(SEEDS, processes=1, domain="faces")


def with_(scene, **values):
    return dataclasses.replace(scene, **CALM | values)


def mask_of(scene, **options):
    return faces.render(scene, **options)[1]


def ids(*names):
    return [faces.PART_IDS[name] for name in names]


def ranges_of(scene):
    hair = faces_ranges.HAIR_RANGES[scene.hair_style]
    return faces_ranges.IDENTITY_RANGES | hair | faces_ranges.PICTURE_RANGES


def test_parts_groups_and_colours_fit_together():
    assert len(faces.PARTS) == len(faces.COLOURS) == len(set(faces.COLOURS)) == len(_COVER) >= 14
    assert set(faces.GROUPS["head"]) | set(faces.GROUPS["surroundings"]) == set(faces.PARTS)
    assert all(name in faces.PARTS for names in faces.GROUPS.values() for name in names)
    assert not set(faces.GROUPS) & set(faces.PARTS)


def test_a_seed_always_gives_the_same_scene_and_pixels(scenes, drawn):
    pictures, masks = drawn
    assert faces.sample_scene(30) == scenes[7]
    picture, mask = faces.render(faces.sample_scene(30))
    assert np.array_equal(picture, pictures[7])
    assert np.array_equal(mask, masks[7])
    assert not np.array_equal(pictures[7], pictures[8])


def test_shapes_and_label_range(drawn):
    pictures, masks = drawn
    assert pictures.shape == (len(SEEDS), 64, 64, 3)
    assert pictures.dtype == masks.dtype == np.uint8
    assert masks.max() < len(faces.PARTS)


def test_every_part_is_seen_and_most_of_them_nearly_always(drawn):
    _, masks = drawn
    seen = {name: (masks == index).any(axis=(1, 2)).mean() for index, name in enumerate(faces.PARTS)}
    always = ("background", "clothes", "skin", "brow", "lid", "nose", "upper_lip", "lower_lip", "hair")
    assert all(seen[name] > 0.97 for name in always), seen
    assert all(seen[name] > 0.6 for name in ("neck", "white", "iris", "pupil")), seen
    assert all(seen[name] > 0.4 for name in ("ear", "teeth", "mouth_inside")), seen
    assert 0.1 < seen["glasses"] < 0.4, seen


def test_every_parameter_is_sampled_within_its_range(scenes):
    assert {scene.hair_style for scene in scenes} == set(faces.HAIR_STYLES)
    for scene in scenes:
        ranges = ranges_of(scene)
        assert all(low <= getattr(scene, name) <= high for name, (low, high) in ranges.items())
        assert set(ranges) == set(CONTINUOUS)
    assert len(CONTINUOUS) >= 25


@pytest.mark.parametrize("name", CONTINUOUS)
def test_every_parameter_shows(name, scenes):
    for scene in scenes:
        low, high = ranges_of(scene)[name]
        values = [
            dataclasses.replace(scene, **{name: value}) for value in (low, low + 0.55 * (high - low), high)
        ]
        one, other, last = (faces.render(value, supersample=2)[0].astype(int) for value in values)
        if max(np.abs(one - other).max(), np.abs(other - last).max()) >= 6:
            return
    pytest.fail(f"{name} changes nothing")


def test_an_identity_keeps_its_face_in_every_picture():
    one, other = (faces.sample_scene(seed, identity=12) for seed in (3, 900))
    person = {"identity", "hair_style", *faces_ranges.IDENTITY_RANGES, *faces_ranges.HAIR_RANGES["short"]}
    same = {name for name, value in one.labels().items() if other.labels()[name] == value}
    assert person <= same <= person | {"glasses", "neckline", "backdrop", "expression"}


def test_a_seed_keeps_its_look_with_every_identity():
    one, other = (faces.sample_scene(5, identity=identity) for identity in (1, 2))
    assert all(getattr(one, name) == getattr(other, name) for name in faces_ranges.PICTURE_RANGES)
    assert one.face_width != other.face_width


def test_identities_of_training_held_out_and_demo_do_not_meet():
    starts = (dataset.TRAINING_SEEDS_FROM, dataset.HELD_OUT_SEEDS_FROM, dataset.DEMO_SEEDS_FROM)
    assert [faces.identity_of(start) for start in starts] == list(starts)
    for pictures in (1, 4, 50):
        last = [faces.identity_of(start - 1, pictures) for start in starts[1:]]
        assert all(identity < start for identity, start in zip(last, starts[1:], strict=True))
    assert [faces.identity_of(seed, 2) for seed in range(5)] == [0, 0, 1, 1, 2]


def test_expressions_are_labelled_with_a_gap_between_them(scenes):
    labels = {
        smile: dataclasses.replace(scenes[0], smile=smile).labels()["expression"]
        for smile in (-1.0, -0.4, -0.39, -0.16, -0.15, 0.0, 0.15, 0.16, 0.39, 0.4, 1.0)
    }
    assert list(labels.values()) == (
        ["frowning"] * 2 + ["between"] * 2 + ["neutral"] * 3 + ["between"] * 2 + ["smiling"] * 2
    )
    assert set(labels.values()) == set(faces.EXPRESSIONS)
    assert faces_scene.SMILING_FROM - faces_scene.NEUTRAL_WITHIN >= 0.2


def test_the_labels_of_a_scene_are_json(scenes):
    labels = scenes[0].labels()
    assert json.loads(json.dumps(labels)) == labels
    assert labels["identity"] == 0
    assert labels["expression"] in faces.EXPRESSIONS


def test_an_eye_spans_about_ten_pixels(scenes):
    eye = ids(*faces.GROUPS["eye"])
    widths = []
    for scene in scenes[:30]:
        columns = np.isin(mask_of(with_(scene)), eye).any(axis=0)
        widths.append(columns.sum() / 2)
    assert 9.0 <= np.median(widths) <= 12.0
    assert min(widths) >= 8.0


def test_a_smile_lifts_the_corners_of_the_mouth_and_a_frown_lowers_them(scenes):
    mouth = ids(*faces.GROUPS["mouth"])

    def lift(scene):
        rows, columns = np.nonzero(np.isin(mask_of(scene), mouth))
        ends = (columns <= columns.min() + 1) | (columns >= columns.max() - 1)
        middle = np.abs(columns - columns.mean()) < 2
        return rows[middle].mean() - rows[ends].mean()

    for scene in scenes[:20]:
        broad, least, neutral, frown, deep = (
            lift(with_(scene, smile=smile)) for smile in (1.0, 0.4, 0.0, -0.4, -1.0)
        )
        assert broad > neutral + 2.0 > deep + 4.0
        assert least > neutral + 0.5 > frown + 0.8
    assert lift(with_(scenes[0], smile=1.0)) > 3.0


def test_a_broad_smile_and_an_open_mouth_show_teeth(scenes):
    teeth = faces.PART_IDS["teeth"]
    for scene in scenes[:10]:
        seen = [
            (mask_of(with_(scene, **look)) == teeth).sum()
            for look in ({}, {"smile": 1.0}, {"mouth_open": 0.8})
        ]
        assert seen[0] == 0
        assert min(seen[1:]) >= 8


def test_gaze_moves_the_pupils_and_nothing_around_the_eyes(scenes):
    gaze, pupil = ids(*faces.GROUPS["eye"]), faces.PART_IDS["pupil"]
    for scene in scenes[:20]:
        left, right = (mask_of(with_(scene, gaze_x=side)) for side in (-1.0, 1.0))
        where = [np.nonzero(mask == pupil)[1].mean() for mask in (left, right)]
        assert where[1] - where[0] > 2.0
    for scene in scenes[:5]:
        left, right = (mask_of(with_(scene, gaze_x=side), size_px=256, supersample=1) for side in (-1.0, 1.0))
        around = ~(np.isin(left, gaze) | np.isin(right, gaze))
        assert np.array_equal(left[around], right[around])


def test_closed_eyes_are_lids_with_a_dark_line(scenes):
    eye, lid = ids(*faces.GROUPS["eye"]), faces.PART_IDS["lid"]
    for scene in scenes[:20]:
        (opened, mask_open), (shut, mask_shut) = (
            faces.render(with_(scene, eye_open=value)) for value in (1.0, 0.0)
        )
        assert not np.isin(mask_shut, eye).any()
        assert np.isin(mask_open, eye).sum() >= 50
        assert (mask_shut == lid).sum() >= 50
        changed = np.abs(opened.astype(int) - shut).max(axis=2) > 30
        assert changed.sum() >= 40


def test_a_turned_head_moves_the_nose_and_hides_one_ear():
    scene = with_(faces.sample_scene(0), hair_style="cropped", hair_length=-0.08)
    nose, ear = faces.PART_IDS["nose"], faces.PART_IDS["ear"]
    left, front, right = (mask_of(dataclasses.replace(scene, yaw=yaw)) for yaw in (-0.36, 0.0, 0.36))
    middles = [np.nonzero(mask == nose)[1].mean() for mask in (left, front, right)]
    assert middles[0] + 2 < middles[1] < middles[2] - 2
    ears = [np.nonzero(mask == ear)[1] for mask in (left, front, right)]
    assert (ears[0] > 32).mean() > 0.8
    assert 0.4 < (ears[1] > 32).mean() < 0.6
    assert (ears[2] < 32).mean() > 0.8


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({"iris_hue": 0.1}, ("iris",)),
        ({"clothes_hue": 0.5, "clothes_value": 0.3}, ("clothes",)),
        ({"lip_redness": 0.0}, faces.GROUPS["lips"]),
        ({"backdrop_value": 0.2}, ("background",)),
        ({"hair_value": 0.5, "hair_hue": 0.1}, ("hair", "brow")),
    ],
)
def test_the_mask_follows_the_picture_to_the_pixel(scenes, change, parts):
    """Not reduced, what a part's colour changes is that part and nothing else."""
    for scene in scenes[:8]:
        start = with_(scene, hair_style="long", mouth_open=0.5, iris_hue=0.6, lip_redness=1.0, hair_value=0.2)
        pictures = [
            faces.render(dataclasses.replace(start, **values), 256, 1)[0].astype(int)
            for values in ({}, change)
        ]
        changed = np.abs(pictures[0] - pictures[1]).max(axis=2) > 0
        part = np.isin(mask_of(start, size_px=256, supersample=1), ids(*parts))
        assert not (changed & ~part).any()
        assert changed.sum() > 0.8 * part.sum() > 50


def test_a_larger_picture_shows_the_same_scene(scenes):
    agreement, difference = [], []
    for scene in scenes[:10]:
        picture, mask = faces.render(scene, size_px=64)
        large_picture, large_mask = faces.render(scene, size_px=128)
        agreement.append((majority(large_mask, 2) == mask).mean())
        halved = large_picture.reshape(64, 2, 64, 2, 3).mean(axis=(1, 3))
        difference.append(np.abs(halved - picture).mean())
    assert np.mean(agreement) > 0.95
    assert np.mean(difference) < 3.0


def test_a_data_set_holds_as_many_pictures_of_an_identity_as_asked(tmp_path):
    dataset.write(tmp_path, range(6), size_px=32, processes=1, domain="faces", per_identity=3)
    labels = [json.loads(line) for line in (tmp_path / "scenes.jsonl").read_text().splitlines()]
    assert [label["identity"] for label in labels] == [0, 0, 0, 1, 1, 1]
    assert [label["seed"] for label in labels] == list(range(6))
    picture, mask = faces.render(faces.sample_scene(4, identity=1), size_px=32)
    assert np.array_equal(np.load(tmp_path / "pictures.npy")[4], picture)
    assert np.array_equal(np.load(tmp_path / "masks.npy")[4], mask)
