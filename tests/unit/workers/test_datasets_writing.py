"""Pairs, WebDataset, card and grid as they are written and read back; and writing that goes on elsewhere."""

import gc
import json
import weakref
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import webdataset
from dataset_trial import (
    ABOUT,
    CLASSES,
    FRACTIONS,
    SIZE,
    a_mask,
    an_item,
    array,
    files,
    members,
    plan,
    read_json,
    some_items,
)
from PIL import Image

from storage.masks import decode_mask
from workers.datasets.item import DatasetItem
from workers.datasets.sink import FolderSink
from workers.datasets.split import SPLITS, split_of
from workers.datasets.writing import DatasetWriter, write_dataset

pytestmark = pytest.mark.thorough

SMALL = 1 << 14


def test_pairs_hold_the_very_pictures_masks_and_provenance(tmp_path: Path) -> None:
    write_dataset(some_items(20), FolderSink(tmp_path), plan(frozenset({"pairs"})), ABOUT)
    found = {name: data for split in SPLITS for name, data in members(tmp_path, f"pairs-{split}").items()}
    assert len(found) == 60
    for item in some_items(20):
        split = split_of(item.source, FRACTIONS)
        assert np.array_equal(array(found[f"{split}/pictures/{item.id}.png"]), item.picture)
        assert np.array_equal(decode_mask(found[f"{split}/masks/{item.id}.png"]), item.mask)
        assert f'"seed":{item.provenance["seed"]},'.encode() in found[f"{split}/provenance/{item.id}.json"]
    assert not list(tmp_path.glob("coco-*"))
    assert not list(tmp_path.glob("wds-*"))


def test_webdataset_reads_the_very_pictures_masks_and_provenance(tmp_path: Path) -> None:
    write_dataset(some_items(30), FolderSink(tmp_path), plan(frozenset({"webdataset"}), SMALL), ABOUT)
    seen = Counter()
    for split in SPLITS:
        shards = sorted(map(str, tmp_path.glob(f"wds-{split}-*.tar")))
        assert shards
        samples = webdataset.WebDataset(shards, shardshuffle=False).decode("rgb8")
        for picture, mask, told in samples.to_tuple("png", "mask.png", "json"):
            item = an_item(told["seed"])
            assert np.array_equal(picture, item.picture)
            assert np.array_equal(mask, np.repeat(item.mask[:, :, None], 3, axis=2)), (
                "grey, as read by anybody"
            )
            assert told == item.provenance
            assert split_of(item.source, FRACTIONS) == split
            seen[told["seed"]] += 1
    assert seen == Counter(range(30))


def test_shards_are_as_large_as_was_said_and_a_larger_item_has_its_own(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)

    def items():
        yield from some_items(30)
        noise = rng.integers(0, 255, (100, 100, 3), dtype=np.uint8)
        yield DatasetItem("large", "large", noise, np.zeros((100, 100), np.uint8), {})

    writer = DatasetWriter(FolderSink(tmp_path), plan(frozenset({"pairs"}), SMALL))
    for item in items():
        writer.add(item)
    writer._drafts.finish()
    sizes = sorted(path.stat().st_size for path in tmp_path.glob("*.tar"))
    assert len(sizes) > 5
    assert sizes[-1] > 30_000  # the large one's
    assert sizes[-2] <= SMALL
    assert sum(size > SMALL / 2 for size in sizes) >= len(sizes) - 4, "they are filled"


def test_the_same_items_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_dataset(some_items(20), FolderSink(tmp_path / name), plan(), ABOUT)
    assert files(tmp_path / "one") == files(tmp_path / "two")


@pytest.mark.parametrize("cuts", [(7,), (1, 2, 19), ()])
def test_writing_that_goes_on_elsewhere_ends_in_the_same_bytes(tmp_path: Path, cuts: tuple[int, ...]) -> None:
    write_dataset(some_items(20), FolderSink(tmp_path / "whole"), plan(shard_bytes=SMALL), ABOUT)
    sink = FolderSink(tmp_path / "cut")
    writer = DatasetWriter(sink, plan(shard_bytes=SMALL))
    for index, item in enumerate(some_items(20)):
        if index in cuts:
            kept = writer.keep()
            writer.add(an_item(999))  # what is lost with the writer
            writer.close()
            writer = DatasetWriter(sink, plan(shard_bytes=SMALL))
            writer.restore(kept)
        writer.add(item)
    writer.finish(ABOUT)
    assert files(tmp_path / "cut") == files(tmp_path / "whole")


def test_nothing_of_an_item_stays_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.datasets.lines.BLOCK_CHARACTERS", 1_000)
    writer, alive = DatasetWriter(FolderSink(tmp_path), plan(shard_bytes=SMALL)), []
    for item in some_items(40):
        alive += [weakref.ref(item.picture), weakref.ref(item.mask)]
        writer.add(item)
        del item
    gc.collect()
    assert not [reference for reference in alive if reference() is not None]
    lines = writer._drafts._lines.values()
    assert max(sum(map(len, each._waiting)) for each in lines) < 1_000
    writer.close()


def test_the_card_counts_what_is_there(tmp_path: Path) -> None:
    write_dataset(some_items(20), FolderSink(tmp_path), plan(), ABOUT)
    card = read_json(tmp_path / "card.json")
    masks = [a_mask(seed) for seed in range(20)]
    assert card["items"] == sum(card["splits"].values()) == 20
    for part in card["parts"]:
        assert part["pixels"] == sum(int((mask == part["id"]).sum()) for mask in masks)
        assert sum(part["items"].values()) == sum(bool((mask == part["id"]).any()) for mask in masks)
    instances = sum(
        len(read_json(tmp_path / f"coco-{split}-instances.json")["annotations"]) for split in SPLITS
    )
    assert sum(part["instances"] for part in card["parts"]) == instances > 20
    assert card["uncertainty"]["median"] == 0.1
    assert card["strengths"]["a" * 32]["most"] == 1.9
    text = (tmp_path / "card.md").read_text()
    assert "| left out: balance | 2 |" in text
    assert "none | at all" in text  # no table
    assert f"| 5 | part5 | {card['parts'][4]['items']['train']} |" in text


def test_a_name_with_a_bar_breaks_no_table(tmp_path: Path) -> None:
    about = ABOUT.__class__(**{**ABOUT.as_json(), "vectors": [{"vector": "a" * 32, "name": "a|b"}]})
    write_dataset(some_items(3), FolderSink(tmp_path), plan(frozenset({"pairs"})), about)
    assert r"| a\|b | `" in (tmp_path / "card.md").read_text()


def test_items_are_listed_with_their_split_and_their_pixels(tmp_path: Path) -> None:
    write_dataset(some_items(10), FolderSink(tmp_path), plan(frozenset({"pairs"})), ABOUT)
    lines = [json.loads(line) for line in (tmp_path / "items.jsonl").read_text().splitlines()]
    assert [line["seed"] for line in lines] == list(range(10))
    assert all(sum(line["pixels"].values()) == SIZE[0] * SIZE[1] for line in lines)
    assert [line["split"] for line in lines] == [split_of(f"noise:{seed}", FRACTIONS) for seed in range(10)]


def test_the_grid_is_of_the_same_items_in_whatever_order(tmp_path: Path) -> None:
    turned = list(some_items(40))[::-1]
    for name, items in (("one", some_items(40)), ("two", iter(turned))):
        write_dataset(items, FolderSink(tmp_path / name), plan(frozenset({"pairs"})), ABOUT)
    assert (tmp_path / "one" / "grid.png").read_bytes() == (tmp_path / "two" / "grid.png").read_bytes()
    with Image.open(tmp_path / "one" / "grid.png") as grid:
        assert grid.width > grid.height > 300


def test_the_class_map_says_which_number_is_what(tmp_path: Path) -> None:
    write_dataset(some_items(3), FolderSink(tmp_path), plan(frozenset({"pairs"})), ABOUT)
    parts = read_json(tmp_path / "classes.json")["parts"]
    assert [part["id"] for part in parts] == [part.id for part in CLASSES.parts]
    assert parts[2] == {
        "id": 2, "name": "part2", "colour": [80, 10, 200], "coco_id": 3, "groups": ["pair"]
    }  # fmt: skip


def test_a_split_without_a_share_has_no_files(tmp_path: Path) -> None:
    own = plan()
    only = type(own)(own.formats, own.classes, {"train": 1.0, "val": 0.0, "test": 0.0}, own.coco)
    write_dataset(some_items(10), FolderSink(tmp_path), only, ABOUT)
    assert not [name for name in files(tmp_path) if "val" in name or "test" in name]
    assert len(read_json(tmp_path / "coco-train-instances.json")["images"]) == 10
