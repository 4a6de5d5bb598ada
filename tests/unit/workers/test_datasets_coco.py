"""COCO as it is written, read back by pycocotools: every pixel is where the mask has it."""

from pathlib import Path

import numpy as np
import pytest
from dataset_trial import ABOUT, CLASSES, SIZE, a_mask, an_item, array, members, plan, read_json, some_items
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from workers.datasets.coco import instances, panoptic_picture, segments
from workers.datasets.rle import encode_rle
from workers.datasets.sink import FolderSink
from workers.datasets.split import SPLITS
from workers.datasets.writing import write_dataset

pytestmark = pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")  # pycocotools on NumPy 2


def decoded(segmentation: object, size: tuple[int, int]) -> np.ndarray:
    if isinstance(segmentation, list):
        segmentation = coco_mask.merge(coco_mask.frPyObjects(segmentation, *size))
    return coco_mask.decode(segmentation).astype(bool)


@pytest.mark.parametrize("outlines", ["rle", "polygons"])
@pytest.mark.parametrize("size", [(20, 28), (33, 17), (9, 1), (1, 9), (1, 1)])
def test_instances_decode_to_the_mask_and_nothing_is_covered_twice(
    outlines: str, size: tuple[int, int]
) -> None:
    for seed in range(12):
        mask, covered = a_mask(seed, size), np.zeros(size, int)
        for found in instances(mask, 1, outlines):
            piece = decoded(found["segmentation"], size)
            assert set(mask[piece].tolist()) == {found["category_id"] - 1}
            assert piece.sum() == found["area"]
            rows, columns = np.nonzero(piece)
            box = [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
            assert found["bbox"] == box
            covered += piece
        assert (covered == 1).all()


def test_a_ring_is_one_instance_with_its_hole() -> None:
    mask = np.zeros((9, 9), np.uint8)
    mask[1:8, 1:8] = 1
    mask[3:6, 3:6] = 2
    for outlines in ("rle", "polygons"):
        ring = next(each for each in instances(mask, 1, outlines) if each["category_id"] == 2)
        assert np.array_equal(decoded(ring["segmentation"], (9, 9)), mask == 1)


def test_a_piece_that_touches_at_a_corner_is_the_same_instance() -> None:
    mask = np.zeros((4, 4), np.uint8)
    mask[0:2, 0:2] = mask[2:4, 2:4] = 3
    assert [each["area"] for each in instances(mask, 1, "polygons")] == [8, 8]


def test_small_pieces_are_no_instances_and_stay_in_the_panoptic_picture() -> None:
    mask = np.zeros((10, 10), np.uint8)
    mask[2:4, 2:4] = mask[6, 6] = 1
    assert [each["area"] for each in instances(mask, 2, "rle")] == [95, 4]
    assert [(each["id"], each["area"]) for each in segments(mask)] == [(1, 95), (2, 5)]


def test_run_lengths_are_written_as_pycocotools_writes_them() -> None:
    rng = np.random.default_rng(0)
    for height, width in ((7, 300), (300, 7), (64, 64)):
        whole = rng.random((height, width)) < 0.5
        whole[0, 0] = whole[-1, -1] = True  # so that the box is the whole picture
        expected = coco_mask.encode(np.asfortranarray(whole.astype(np.uint8)))
        assert encode_rle((height, width), 0, 0, whole)["counts"] == expected["counts"].decode()


def test_panoptic_ids_decode_to_the_mask_up_to_the_largest_part() -> None:
    mask = np.arange(256, dtype=np.uint8).reshape(16, 16)
    shown = panoptic_picture(mask).astype(int)
    ids = shown[..., 0] + 256 * shown[..., 1] + 256**2 * shown[..., 2]
    assert np.array_equal(ids - 1, mask)
    assert [each["id"] for each in segments(mask)] == list(range(1, 257))


@pytest.mark.parametrize("outlines", ["rle", "polygons"])
def test_pycocotools_loads_every_split_and_draws_the_masks_that_were_written(
    tmp_path: Path, outlines: str
) -> None:
    write_dataset(some_items(20), FolderSink(tmp_path), plan(outlines=outlines), ABOUT)
    seen = 0
    for split in SPLITS:
        coco = COCO(str(tmp_path / f"coco-{split}-instances.json"))
        pictures = members(tmp_path, f"coco-{split}")
        for image in coco.loadImgs(coco.getImgIds()):
            item = an_item(image["provenance"]["seed"])
            mask = np.zeros(SIZE, np.uint8)
            for annotation in coco.loadAnns(coco.getAnnIds(imgIds=image["id"])):
                mask[coco.annToMask(annotation).astype(bool)] = annotation["category_id"] - 1
            assert np.array_equal(mask, item.mask)
            assert np.array_equal(array(pictures[f"{split}/{image['file_name']}"]), item.picture)
            seen += 1
        names = {each["id"]: each["name"] for each in coco.loadCats(coco.getCatIds())}
        assert names == {part.id + 1: part.name for part in CLASSES.parts}
    assert seen == 20


def test_panoptic_files_agree_with_their_pictures(tmp_path: Path) -> None:
    write_dataset(some_items(20), FolderSink(tmp_path), plan(), ABOUT)
    seen = 0
    for split in SPLITS:
        told = read_json(tmp_path / f"coco-{split}-panoptic.json")
        pictures = members(tmp_path, f"coco-{split}")
        images = {image["id"]: image for image in told["images"]}
        assert all(category["isthing"] == 0 for category in told["categories"])
        for annotation in told["annotations"]:
            shown = array(pictures[f"panoptic_{split}/{annotation['file_name']}"]).astype(int)
            ids = shown @ [1, 256, 256**2]
            item = an_item(images[annotation["image_id"]]["provenance"]["seed"])
            assert np.array_equal(ids - 1, item.mask)
            areas = {info["id"]: info["area"] for info in annotation["segments_info"]}
            parts, counts = np.unique(ids, return_counts=True)
            assert areas == dict(zip(parts.tolist(), counts.tolist(), strict=True))
            assert all(info["category_id"] == info["id"] for info in annotation["segments_info"])
            seen += 1
    assert seen == 20
