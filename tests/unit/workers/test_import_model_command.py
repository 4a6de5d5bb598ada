"""`editq models import`, `import-identity` against the API and a worker: from a caller's disk to a model."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from importers_files import write_rosinality
from importers_networks import Shape, rosinality_network
from onnx_files import SIZE_PX, arcface, random_network, written
from service_trial import serving
from test_importers_parts import classifier_weights, write_classifier
from worker_trial import Trial

from editq.cli import main

pytestmark = pytest.mark.thorough

SHAPE = Shape(16)
Run = Callable[..., Result]


@pytest.fixture
def run(plant: Trial) -> Iterator[Run]:
    """Runs a command; the API is on a real port, and a worker runs each job as it is rung for."""
    with serving(plant) as address:
        yield lambda *words: CliRunner().invoke(
            main, ["models", *map(str, words)], env={"EDITQ_URL": address}
        )


def test_a_generator_with_its_classifiers_becomes_a_model(run: Run, plant: Trial, tmp_path: Path) -> None:
    generator = write_rosinality(tmp_path / "car.pt", rosinality_network(SHAPE))
    weights = [classifier_weights(seed, SHAPE) for seed in range(2)]
    one, two = (write_classifier(tmp_path / f"car_model_{i}.pth", each) for i, each in enumerate(weights))
    done = run(
        "import",
        generator,
        one,
        "--classifiers",
        two,
        "--name",
        "mine",
        "--parts",
        "sky, body,tyre,rim,light",
    )
    assert done.exit_code == 0, (done.output, done.exception)
    assert '"new_model": "mine"' in done.output
    assert "/outputs/preview.png" in done.output
    model = plant.stores.library.get_model("local", "mine")
    assert [part.name for part in model.parts] == ["sky", "body", "tyre", "rim", "light"]
    again = run("import", generator, "--name", "other", "--json")
    assert json.loads(again.output)["result"]["needs"] == "train_segmenter"
    assert len(plant.stores.library.list_files("local").items) == 3  # the generator was not sent again


def test_a_refusal_is_said_with_its_code(run: Run, tmp_path: Path) -> None:
    (tmp_path / "one.pkl").write_bytes(b"\x80\x04cos\nsystem\n.")
    done = run("import", tmp_path / "one.pkl", "--name", "mine")
    assert done.exit_code == 1
    assert "forbidden_content: one.pkl: the pickle names 'os.system'" in done.output


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("nowhere.pt", "--name", "mine"), "nowhere.pt is no file"),
        (("nowhere.pt",), "give the new model's --name"),
        (("nowhere.pt", "--to", "x", "-o", "format=auto"), "do not go with --to"),
        (("nowhere.pt", "--encoder", "nowhere.pth"), "does not exist"),
    ],
)
def test_what_cannot_be_asked_is_said(run: Run, words: tuple[str, ...], says: str) -> None:
    done = run("import", *words)
    assert done.exit_code != 0
    assert says in done.output


def test_an_identity_network_becomes_part_of_a_model(run: Run, plant: Trial, tmp_path: Path) -> None:
    path = tmp_path / "face.onnx"
    path.write_bytes(written(random_network(arcface())).SerializeToString())
    options = ("--size", SIZE_PX, "--bgr", "--mean", "0.4,0.5,0.6", "--crop", 0.8, "--name", "mine")
    done = run("import-identity", "cars", path, *options)
    assert done.exit_code == 0, (done.output, done.exception)
    about = plant.stores.library.get_model("local", "mine").card["identity"]
    assert about["sight"] == {
        "size_px": SIZE_PX, "mean": [0.4, 0.5, 0.6], "std": [0.5] * 3, "channels": "bgr", "crop": 0.8
    }  # fmt: skip
    other = run("import-identity", "cars", path, "--size", SIZE_PX, "--sha256", "0" * 64)
    assert other.exit_code == 1
    assert "has the SHA-256" in other.output
    wrong = run("import-identity", "cars", path, "--mean", "1,2")
    assert "give three numbers" in wrong.output
