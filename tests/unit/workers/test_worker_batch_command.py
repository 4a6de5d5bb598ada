"""`editq batch` against the API on a real port and a worker of the real recipes on a tiny model."""

import json
import re
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from batch_service import BatchService, serving
from batch_trial import png
from click.testing import CliRunner
from recipe_trial import put_vector
from rich.console import Console
from worker_trial import Trial

from editq.cli import main
from editq.folder_pictures import item_id
from editq.live_batch import shown

pytestmark = pytest.mark.thorough

Run = Callable[..., str]
RELABEL = {"op": "relabel", "part": "rim", "into": "tyre"}


@pytest.fixture(autouse=True)
def few_items_a_chunk_and_short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDITQ_CHUNK_ITEMS", "2")
    monkeypatch.setattr("editq.client_batches._LONGEST_PAUSE_S", 0.2)


@pytest.fixture
def vector(plant: Trial) -> str:
    """The id of one that is called random."""
    return put_vector(plant, size=0.1)


@pytest.fixture
def service(plant: Trial, vector: str) -> Iterator[BatchService]:
    with serving(plant) as service:
        yield service


@pytest.fixture
def run(service: BatchService) -> Run:
    """Runs a command; the exit status must be the expected one."""

    def run(*arguments: object, status: int = 0) -> str:
        command = ["batch", *map(str, arguments)]
        result = CliRunner().invoke(main, command, env={"EDITQ_URL": service.url})
        assert result.exit_code == status, (arguments, result.output, result.exception)
        return result.output

    return run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    home = tmp_path / "lot"
    home.mkdir()
    for number, name in enumerate(("b.png", "a b.png")):
        (home / name).write_bytes(png(number))
    (home / "broken.png").write_bytes(b"no picture")
    (home / ".hidden.png").write_bytes(b"x")
    return home


@pytest.fixture
def waiting(run: Run, service: BatchService) -> str:
    """The id of a batch that nobody works on."""
    service.close()
    return run("submit", "--apply", "random", "--seeds", "0:5").strip()


@pytest.mark.thorough
def test_a_folder_is_submitted_watched_looked_into_and_fetched(
    run: Run, folder: Path, tmp_path: Path
) -> None:
    names = tmp_path / "names.jsonl"
    said = run("submit", folder, "--invert", "-o", "steps=2", "--names", names, "--watch", status=3)
    assert "left aside: 1 hidden, such as .hidden.png" in said
    assert "whose ids are not their paths: 1" in said
    assert json.loads(names.read_text()) == {"id": item_id("a b.png"), "path": "a b.png"}
    batch_id = re.search(r"batch ([0-9a-f]{32}): completed with errors; 2 succeeded, 1 failed", said)[1]  # type: ignore[index]
    assert re.search(rf"{batch_id} +invert +completed with errors +3/3 +bulk", run("list"))
    shown = run("show", batch_id)
    assert re.search(r"items +3/3", shown)
    assert re.search(r"errors +1 unreadable_picture", shown)
    assert re.search(r"unreadable_picture +1 +failed +broken.png: ", run("errors", batch_id))
    (wrong,) = json.loads(run("errors", batch_id, "--json"))
    assert (wrong["code"], wrong["count"], wrong["examples"][0]["id"]) == (
        "unreadable_picture",
        1,
        "broken.png",
    )
    run("errors", batch_id, "-o", tmp_path / "errors.jsonl")
    assert json.loads((tmp_path / "errors.jsonl").read_text())["id"] == "broken.png"
    run("results", batch_id, "-o", tmp_path / "all.zip")
    with zipfile.ZipFile(tmp_path / "all.zip") as archive:
        assert "b.png/inverted.png" in archive.namelist()
    run("results", batch_id, "-o", tmp_path / "all")
    assert (tmp_path / "all" / item_id("a b.png") / "mask.png").is_file()
    assert "there already" in run("results", batch_id, "-o", tmp_path / "all", status=1)
    again = run("retry", batch_id).strip()
    run("watch", again, status=1)
    manifest = run("submit", tmp_path / "errors.jsonl", "--invert", "--wait", status=1)
    assert "unreadable_picture" in manifest


@pytest.mark.thorough
def test_vectors_are_named_and_a_dry_run_tells_counts_and_estimate(
    run: Run, vector: str, tmp_path: Path
) -> None:
    said = run("submit", "--apply", "RANDOM=0.5", "--sweep", "0,1", "--seeds", "0:3", "--dry-run")
    assert "3 items, 0 inputs refused" in said
    assert "no estimate" in said
    asked = ("submit", "--apply", vector, "--seeds", "0:3", "--dataset", "pairs,webdataset", "--wait")
    batch = json.loads(run(*asked, "--json"))
    for _ in range(2):  # the second time nothing is fetched
        paths = run("dataset", batch["id"], "-o", tmp_path / "data").splitlines()
        assert {"card.md", "items.jsonl"} < {Path(path).name for path in paths}
    assert re.search(rf"data set +{len(paths)} files", run("show", batch["id"]))
    (tmp_path / "data" / "card.md").write_text("mine")
    assert "there already" in run("dataset", batch["id"], "-o", tmp_path / "data", status=1)
    assert (batch["status"], batch["spec"]["spec"]["vectors"][0]["strength"]) == ("succeeded", None)
    csv = tmp_path / "list.csv"
    csv.write_text(f"id,seed,strengths.{vector}\nx,1,0.5\ny,2,\nz,much,\n")
    said = run("submit", csv, "--apply", "random=0.5", "--dry-run")
    assert "2 items, 1 inputs refused" in said
    assert "s an item, measured on 3" in said
    batch_id = said.split()[0]
    assert "no data set" in run("dataset", batch_id, "-o", tmp_path / "none", status=1)
    assert re.search(r"invalid_item +1 +refused +line 4: z,much,", run("errors", batch_id))
    spec = json.loads(run("show", batch_id, "--json"))["spec"]["spec"]
    assert spec["vectors"] == [{"vector": vector, "strength": 0.5, "amount": None}]
    assert "There is: invalid, items" in run("errors", batch_id, "-o", tmp_path / "e.jsonl", status=1)


def test_a_batch_that_goes_on_is_paused_moved_resumed_and_canceled(
    run: Run, waiting: str, service: BatchService
) -> None:
    assert run("pause", waiting) == "paused\n"
    assert re.search(r"state +paused", run("show", waiting))
    assert run("priority", waiting, "interactive").startswith("interactive; paused")
    assert run("resume", waiting) == "goes on\n"
    assert "There is: none" in run("errors", waiting, "-o", "x.jsonl", status=1)
    assert "validating" in run("results", waiting, "-o", "x.zip", status=1)
    assert "asked to cancel" in run("cancel", waiting)
    service.open.set()
    assert "canceled" in run("watch", waiting, status=1)
    assert "already canceled" in run("pause", waiting, status=1)
    lines = [json.loads(line) for line in run("watch", waiting, "--json", status=1).splitlines()]
    assert lines[-1]["status"] == "canceled"
    assert [each["id"] for each in json.loads(run("list", "--status", "canceled", "--json"))] == [waiting]
    assert run("list", "--status", "failed").strip() == "No batches."


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--seeds", "0:5"], "by one of --apply"),
        (["--invert", "--edit", "SPEC", "--seeds", "0:5"], "by one of --apply"),
        (["--invert"], "say what the inputs are"),
        (["--invert", "FOLDER", "--seeds", "0:5"], "say what the inputs are"),
        (["--invert", "--seeds", "five"], "FIRST:COUNT"),
        (["--invert", "--sweep", "1", "--seeds", "0:5"], "--sweep goes with --apply"),
        (["--apply", "x", "--sweep", "1;2", "--seeds", "0:5"], "--sweep 1;2"),
        (["--apply", "nothing", "--seeds", "0:5"], "no vector of cars is called 'nothing'"),
        (["--invert", "--bucket", "b", "FOLDER"], "--bucket goes with"),
        (["--invert", "FOLDER/notes.txt"], "give one folder"),
        (["--invert", "FOLDER/all.tar.gz"], "only plain tars"),
        (["--invert", "-o", "steps=many", "FOLDER"], "steps"),
        (["--invert", "-o", "colour=red", "FOLDER"], "colour"),
        (["--spec", "FOLDER/notes.txt", "--seeds", "0:5"], "is no JSON"),
        (["--invert", "--dataset", "pairs,zip", "FOLDER"], "dataset.formats.1"),
        (["--invert", "--output", "Bad Bucket/x", "FOLDER"], "output.bucket"),
    ],
)
def test_what_was_asked_wrongly_is_said_before_anything_is_sent(
    run: Run, service: BatchService, folder: Path, arguments: list[str], said: str
) -> None:
    (folder / "notes.txt").write_text("notes")
    (folder / "all.tar.gz").write_bytes(b"x")
    spec = folder.with_name("operations.json")
    spec.write_text(json.dumps(RELABEL))
    places = {"SPEC": str(spec), "FOLDER": str(folder)}
    given = [re.sub("SPEC|FOLDER", lambda found: places[found[0]], argument) for argument in arguments]
    answer = run("submit", *given, status=2)
    assert said in " ".join(answer.split()), answer
    assert list(service.trial.stores.library.list_files("local").items) == []
    assert list(service.trial.stores.batches.list("local").items) == []


@pytest.mark.thorough
def test_operations_and_whole_specs_come_from_files_and_pictures_from_tars(
    run: Run, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "operations.json").write_text(json.dumps(RELABEL))
    (tmp_path / "spec.json").write_text(json.dumps({"kind": "invert", "steps": 1}))
    with tarfile.open(tmp_path / "one.tar", "w") as tar:
        tar.add(folder / "b.png", "b.png")
    said = run(
        "submit", "--edit", tmp_path / "operations.json", "-o", "steps=2", tmp_path / "one.tar", "--dry-run"
    )
    spec = json.loads(run("show", said.split()[0], "--json"))["spec"]["spec"]
    assert (spec["steps"], [each["op"] for each in spec["mask_operations"]]) == (2, ["relabel"])
    batch = json.loads(
        run("submit", "--spec", tmp_path / "spec.json", tmp_path / "one.tar", "--wait", "--json")
    )
    assert (batch["status"], batch["spec"]["spec"]["steps"]) == ("succeeded", 1)


def test_what_the_service_refuses_is_said_in_a_line(run: Run, folder: Path) -> None:
    assert "There is no batch" in run("show", "0" * 32, status=1)
    assert "boats" in run("submit", "--invert", "--model", "boats", folder, status=1)
    assert "There is no bucket 'b'" in run("submit", "--invert", "--prefix", "x", "--bucket", "b", status=1)
    assert "nothing to invert" in run("submit", "--invert", "--seeds", "0:5", status=1)


def test_a_live_picture_shows_bar_counts_workers_and_errors() -> None:
    counts = {
        "items": 100,
        "invalid": 2,
        "succeeded": 40,
        "failed": 1,
        "canceled": 0,
        "reused": 30,
        "running": 5,
    }
    view = {
        "id": "b", "status": "running", "paused": False, "cancel_requested": False, "error": None,
        "counts": counts | {"left": 54}, "items_per_s": 2.5, "seconds_left": 300.0,
        "workers": [{"worker": "gpu:1:[x]", "chunk": 3, "done": 5, "items": 32, "items_per_s": 1.25}],
        "errors": {"unreadable_picture": 1},
    }  # fmt: skip
    console = Console(width=120, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(shown(view))
    text = console.export_text()
    told = (
        "46/100", "2.5 items/s", "5 min left", "40 succeeded (30 of them there already)", "2 refused",
        "gpu:1:[x]", "chunk 3", "5/32", "1.25 items/s", "1  unreadable_picture",
    )  # fmt: skip
    for words in told:
        assert words in text, text
    console.print(shown({**view, "counts": {**counts, "items": 0, "left": 0}, "paused": True, "errors": {}}))
    assert "paused" in console.export_text()


@pytest.mark.parametrize("command", ["watch", "submit"])
def test_exit_statuses_are_told_of(run: Run, command: str) -> None:
    assert "3 completed with errors" in run(command, "--help")


@pytest.mark.thorough
def test_a_watch_sees_the_end_of_a_batch_that_others_work_on(
    run: Run, waiting: str, service: BatchService
) -> None:
    threading.Timer(0.3, service.open.set).start()
    assert f"batch {waiting}: succeeded; 5 succeeded" in run("watch", waiting)
