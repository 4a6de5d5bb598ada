"""docs/own-model.md, walked: its commands as they stand there, with tiny sizes, to an edited picture."""

import contextlib
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from service_trial import serving
from worker_trial import Trial

from editq.annotation_folder import indexed, palette_of, read_listing
from editq.cli import main
from storage.masks import decode_mask, encode_mask

DOCS = Path(__file__).parents[3] / "docs" / "own-model.md"
SIZE_PX = 32
PARTS = ["background", "body", "wheel"]
TINY = {
    "train-generator": "kimg=0.032 resolution_px=32 batch=4 channel_base=256 channel_max=16 w_dim=8",
    "suggest-annotations": "samples=5 count=4",
    "train-segmenter": "steps=150 classifiers=2 folds=2 inversion_steps=5",
    "train-encoder": "steps=2 batch=2 warm_up=1",
    "evaluate": "samples=4 kid_subsets=2",
}
Run = Callable[[str], str]

pytestmark = pytest.mark.thorough


@pytest.fixture
def address(plant: Trial) -> Iterator[str]:
    with serving(plant) as address:
        yield address


@pytest.fixture
def run(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command of the docs in an empty folder, with tiny sizes after its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EDITQ_URL", address)

    def run(line: str) -> str:
        words = shlex.split(line)
        assert words[:2] == ["editq", "models"], line
        tiny = [f"-o{pair}" for pair in TINY[words[2]].split()]
        result = CliRunner().invoke(main, [*words[1:], *tiny])
        assert result.exit_code == 0, (line, result.output, result.exception)
        return result.output

    return run


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", DOCS.read_text(), re.DOTALL)


def paint(folder: Path, how_many: int) -> None:
    """A wheel on a body, a little elsewhere in each; every second one saved as colours."""
    _, pairs = read_listing(folder)
    for index, pair in enumerate(pairs[:how_many]):
        assert not decode_mask(pair.mask.read_bytes()).any(), "a mask begins blank"
        ids = np.zeros((SIZE_PX, SIZE_PX), np.uint8)
        ids[8 + index :, 4:28] = 1
        ids[16:26, 8 + index : 18 + index] = 2
        pair.mask.write_bytes(encode_mask(ids, palette_of(PARTS)))
        if index % 2:
            with contextlib.closing(Image.open(pair.mask)) as image:
                image.convert("RGB").save(pair.mask)


def test_the_path_from_a_folder_of_pictures_to_an_editor(run: Run, plant: Trial, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    rng = np.random.default_rng(0)
    for index in range(4):
        Image.fromarray(rng.integers(0, 255, (40, 50, 3), dtype=np.uint8)).save(photos / f"{index}.png")
    train, suggest, learn, again, encode, measure = [block.strip() for block in blocks("sh")]
    assert '"needs": "train_segmenter"' in run(train)
    run(suggest)
    paint(tmp_path / "annotations", how_many=3)
    figures = run(learn)
    assert '"miou": 0.' in figures or '"miou": 1.' in figures
    assert "needs" not in plant.stores.library.get_model("local", "mine").card
    run(again)
    listing, pairs = read_listing(tmp_path / "more")
    assert listing["parts"] == PARTS
    assert decode_mask(pairs[0].mask.read_bytes()).any(), "a mask begins as what the segmenter says"
    run(encode)
    assert "encoder" in plant.stores.library.get_model("local", "mine").files
    (block,) = blocks("python")
    found: dict[str, object] = {}
    exec(compile(block, str(DOCS), "exec"), found)
    assert isinstance(found["picture"], Image.Image)
    assert '"fid": ' in run(measure)


def test_a_colour_of_no_part_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mask.png"
    Image.fromarray(np.full((4, 4, 3), (1, 2, 3), np.uint8)).save(path)
    with pytest.raises(ValueError, match=r"mask.png: 1, 2, 3 at 0, 0 is the colour of no part"):
        indexed(path.read_bytes(), PARTS, path.name)
