"""`editq edit` and the commands around it, against the real API and a worker with a tiny model."""

import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image
from service_trial import serving
from worker_trial import Trial

from editq.cli import main
from storage.masks import decode_mask

pytestmark = pytest.mark.thorough
Run = Callable[..., Result]
QUICK = ("--inversion-steps", "3")
QUICKER = (*QUICK, "--steps", "3")


@pytest.fixture
def address(plant: Trial) -> Iterator[str]:
    with serving(plant) as address:
        yield address


@pytest.fixture
def run(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command in a folder with a picture, car.png."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EDITQ_URL", address)
    pixels = np.random.default_rng(0).integers(0, 255, (40, 48, 3), dtype=np.uint8)
    Image.fromarray(pixels).save("car.png")

    def run(*arguments: str, status: int = 0) -> Result:
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == status, (arguments, result.output, result.exception)
        return result

    return run


@pytest.fixture
def vector(run: Run) -> str:
    """A vector called `other weather`, of an edit."""
    run("edit", "car.png", "--grow", "wheel=2", *QUICKER, "-o", "e.png", "--vector-out", "v.safetensors")
    return run("vectors", "import", "v.safetensors", "--name", "other weather").output.strip()


def size_of(path: str | Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        return picture.size


def test_an_edit_is_asked_for_and_written_in_one_line(run: Run) -> None:
    result = run(
        *("edit", "car.png", "--grow", "wheel=25%", *QUICKER),
        *("-o", "out.png", "--mask-out", "mask.png", "--vector-out", "v.safetensors"),
    )
    assert size_of("out.png") == (32, 32)
    assert decode_mask(Path("mask.png").read_bytes()).shape == (32, 32)
    assert Path("v.safetensors").stat().st_size > 100
    assert result.stdout.startswith("out.png\nmask.png\nv.safetensors\ntyre, rim: matches the mask wanted")
    assert "by an independent judge" in result.stdout
    assert "elsewhere " in result.stdout
    assert "inverting car.png: succeeded" in result.stderr
    assert "editing: succeeded" in result.stderr


def test_json_is_one_object_and_nothing_else(run: Run) -> None:
    result = run("edit", "car.png", "--grow", "wheel=2", *QUICKER, "-o", "out.png", "--json")
    told = json.loads(result.stdout)
    assert told["files"] == {"picture": "out.png"}
    assert told["job"]["spec"]["mask_operations"] == [
        {"op": "grow", "part": "wheel", "piece": "all", "px": 2}
    ]
    assert told["measured"]["iou_after"] == told["job"]["result"]["iou_after"]
    assert "editing" not in result.stderr


def test_an_edit_is_pasted_into_the_original_and_told_by_its_ending(run: Run) -> None:
    run("edit", "car.png", "--grow", "wheel=2", "--paste", *QUICKER, "-o", "out.jpg")
    assert size_of("out.jpg") == (48, 40)
    with Image.open("out.jpg") as picture:
        assert picture.format == "JPEG"


def test_an_edit_starts_from_an_inversion_and_a_file_of_operations(run: Run) -> None:
    asked = (*QUICK, "--lambda-prior", "0.003", "-o", "codes", "--json")
    inversion = json.loads(run("invert", "car.png", *asked).stdout)["items"][0]
    assert inversion["job"]["spec"]["lambda_prior"] == 0.003
    assert sorted(path.name for path in Path("codes").iterdir()) == [
        "car.inverted.png", "car.mask.png", "car.safetensors"
    ]  # fmt: skip
    mask = decode_mask(Path("codes/car.mask.png").read_bytes())
    counts = np.bincount(mask.ravel(), minlength=4)
    part, other = (("sky", "body", "tyre", "rim")[index] for index in np.argsort(-counts)[:2])
    Path("ops.json").write_text(json.dumps([{"op": "relabel", "part": other, "into": part}]))
    run(
        *("edit", "--inversion", inversion["job"]["id"], "--operations", "ops.json"),
        *("--steps", "2", "-o", "a.png"),
    )
    mask[:8] = 1
    Image.fromarray(mask.astype(np.uint8)).save("wanted.png")
    run("edit", "--inversion", inversion["job"]["id"], "--mask", "wanted.png", "--steps", "2", "-o", "b.png")
    assert size_of("a.png") == size_of("b.png") == (32, 32)


def test_what_is_asked_wrongly_is_said_before_any_work(run: Run, plant: Trial) -> None:
    def refused(*arguments: str) -> str:
        return run("edit", *arguments, status=2).stderr

    assert "has no part 'wheels'. Its parts: sky, body, tyre, rim. Its part groups: wheel (tyre, rim)" in (
        refused("car.png", "--grow", "wheels=25%")
    )
    assert "give a share or pixels" in refused("car.png", "--grow", "wheel=much")
    assert "whole pixels" in refused("car.png", "--shift", "wheel=1.5,2")
    assert "px: Input should be less than or equal to 64" in refused("car.png", "--grow", "wheel=65")
    assert "say what to change" in refused("car.png")
    assert "one thing to start from" in refused("--grow", "wheel=2")
    assert "there is no folder" in refused("car.png", "--grow", "wheel=2", "-o", "away/out.png")
    assert "name a .png" in refused("car.png", "--grow", "wheel=2", "-o", "out.gif")
    Path("ops.json").write_text("{")
    assert "is no JSON" in refused("car.png", "--operations", "ops.json")
    Path("car-edited.png").touch()
    assert "is there already" in refused("car.png", "--grow", "wheel=2")
    one = run("sweep", "--seed", "3", "other weather", "--strengths", "1", status=2).stderr
    assert "a filmstrip is of two or more" in one
    assert plant.stores.jobs.list("local").items == ()
    assert plant.stores.library.list_images("local", limit=5, cursor=None).items == ()


def test_what_the_service_refuses_ends_the_command_with_1_and_its_reason(run: Run) -> None:
    job = json.loads(run("invert", "car.png", *QUICK, "--json").stdout)["items"][0]["job"]["id"]
    asked = ("edit", "--inversion", job, "--scale", "wheel=1.0", "-o", "o.png")
    refused = run(*asked, "--json", status=1)
    assert json.loads(refused.stdout)["error"]["code"] == "mask_unchanged"
    assert "the mask that is there already" in refused.stderr
    assert "the mask that is there already" in run(*asked, status=1).stderr
    assert "no job" in run("edit", "--inversion", "f" * 32, "--grow", "wheel=2", status=1).stderr.lower()


def test_a_job_that_fails_ends_the_command_with_1_and_its_reason(run: Run, plant: Trial) -> None:
    generator = plant.stores.library.get_model("local", "cars").files["generator"]
    plant.stores.objects.delete([generator.key])
    failed = run("edit", "car.png", "--grow", "wheel=2", *QUICKER, "-o", "out.png", "--json", status=1)
    assert json.loads(failed.stdout)["job"]["error"]["code"] == "model_unavailable"
    assert "model_unavailable" in failed.stderr
    assert not Path("out.png").exists()


def test_of_several_pictures_those_that_can_be_are_inverted(run: Run) -> None:
    Path("broken.png").write_bytes(b"\x89PNG....")
    partly = run("invert", "car.png", "broken.png", *QUICK, "--json", status=3)
    first, second = json.loads(partly.stdout)["items"]
    assert first["job"]["status"] == "succeeded"
    assert second["picture"] == "broken.png"
    assert "error" in second
    run("invert", "broken.png", *QUICK, status=1)


def test_vectors_are_applied_by_name_and_swept(run: Run, vector: str) -> None:
    run("apply", "--seed", "3", "weather=0.5", "-o", "one.png")
    assert size_of("one.png") == (32, 32)
    told = json.loads(run("apply", "car.png", f"{vector}=-1", *QUICK, "--sweep", "-1,0,0.5",
                          "--paste", "-o", "s.png", "--json").stdout)  # fmt: skip
    assert told["files"] == ["s_-1.png", "s_0.png", "s_0.5.png"]
    assert [size_of(path) for path in told["files"]] == [(48, 40)] * 3
    assert [row["factor"] for row in told["measured"]] == [-1, 0, 0.5]
    run("sweep", "--seed", "3", "other weather", "--strengths", "-1,1", "--refine", "2", "-o", "film.png")
    assert size_of("film.png")[0] > 60
    assert "other weather at a strength of 1" in run("apply", "--seed", "3", "OTHER weather").stdout
    assert Path("cars-3-applied.png").exists()


def test_a_vector_that_is_not_there_is_told_with_those_that_are(run: Run, vector: str) -> None:
    said = run("apply", "--seed", "3", "wings=1", status=2).stderr
    assert f"no vector of cars is called 'wings'. There are: other weather ({vector})" in said
    said = run("apply", "--seed", "3", "other weather=half", status=2).stderr
    assert "'half' is no strength (0.5), and no change (+25%)" in said
    assert (
        "no model named 'trucks'"
        in run("apply", "--model", "trucks", "--seed", "3", "wings", status=1).stderr
    )
    assert "Expected: a strength" in run("apply", "--seed", "3", "other weather=+25%", status=1).stderr
    assert "there is no picture nothing.png" in run("apply", "nothing.png", "other weather", status=2).stderr
    assert "name a vector" in run("apply", "car.png", status=2).stderr


def test_a_vector_is_learned_and_its_report_put_into_words(run: Run) -> None:
    said = run("learn", "car.png", "--name", "big wheels", "--grow", "wheel=3", *QUICKER,
               "--transfer-samples", "2").stdout  # fmt: skip
    vector = said.split("\n", 1)[0]
    assert json.loads(run("vectors", "show", vector, "--json").stdout)["name"] == "big wheels"
    assert "recommended" in said


def test_samples_are_drawn_into_a_folder(run: Run) -> None:
    run("sample", "--seed", "7", "--count", "2", "-o", "drawn")
    assert sorted(path.name for path in Path("drawn").iterdir()) == [
        "cars-7.mask.png", "cars-7.png", "cars-8.mask.png", "cars-8.png"
    ]  # fmt: skip


def test_images_are_uploaded_listed_and_deleted(run: Run) -> None:
    image = run("images", "upload", "car.png").stdout.strip()
    assert "48 x 40" in run("images", "list").stdout
    assert json.loads(run("images", "list", "--json").stdout)["items"][0]["id"] == image
    run("images", "delete", image)
    assert run("images", "list").stdout.strip() == "No images."
    assert "image" in run("images", "delete", image, status=1).stderr


def test_a_data_set_is_drawn_fetched_and_unpacked(run: Run, vector: str) -> None:
    asked = ("--count", "6", "--vector", "weather=-0.5,1", "--split", "0.5,0.5,0", "--format", "pairs",
             "--format", "webdataset")  # fmt: skip
    told = json.loads(run("dataset", "--to", "out", *asked, "--unpack", "--json").stdout)
    pictures = [*Path("out").glob("*/pictures/*.png")]
    assert len(pictures) == 6
    assert told["unpacked"] == 18
    assert [*Path("out").glob("pairs-*.tar")] == []
    shard = next(Path("out").glob("wds-*.tar"))
    with tarfile.open(shard) as tar:
        assert len(tar.getnames()) % 3 == 0
    assert "is not empty" in run("dataset", "--to", "out", status=2).stderr
    assert "VECTOR=LOW,HIGH" in run("dataset", "--to", "b", "--vector", "weather=1", status=2).stderr
    assert "add up to 1" in run("dataset", "--to", "b", "--split", "1,1,1", status=2).stderr


def test_models_are_listed_and_shown(run: Run) -> None:
    assert "sky, body, tyre, rim" in run("models", "list").stdout
    assert "group wheel" in run("models", "show", "cars").stdout
    assert json.loads(run("models", "show", "cars", "--json").stdout)["name"] == "cars"
