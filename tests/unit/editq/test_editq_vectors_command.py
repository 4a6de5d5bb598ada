"""The library of vectors through client and command line, against the real API over memory stores."""

import json
import re

import numpy as np
import pytest
from click.testing import CliRunner
from on_a_port import on_a_port
from safetensors.numpy import load, load_file, save

from api.app import create_app
from editq import Client
from editq.cli import main
from storage import errors
from storage.library_records import Model, Part, Vector
from storage.memory import memory_stores
from storage.pictures import encode_png
from storage.records import SYSTEM_TENANT, ObjectRef, new_id
from storage.settings import Settings

pytestmark = pytest.mark.thorough

DELTA = np.random.default_rng(0).normal(size=(6, 16)).astype(np.float32)
FILE = save({"delta_w": DELTA})
PICTURE = encode_png(np.zeros((16, 16, 3), np.uint8), {})


@pytest.fixture
def stores():
    stores = memory_stores()
    weights = ObjectRef("system/models/cars/d/generator.safetensors", "a" * 64, 3, "application/octet-stream")
    parts = (Part(0, "sky", (1, 2, 3)), Part(1, "rim", (1, 2, 4)))
    files = {"generator": weights}
    stores.library.put_model(Model(new_id(), SYSTEM_TENANT, "cars", "d" * 64, 16, parts, {}, files, {}, 0.0))
    return stores


@pytest.fixture
def url(stores):
    with on_a_port(create_app(Settings(), stores, lambda queue, job_id: None)) as address:
        yield address


@pytest.fixture
def client(url):
    with Client(url) as client:
        yield client


@pytest.fixture
def run(url):
    def run(*arguments, status=0):
        result = CliRunner().invoke(main, ["vectors", *map(str, arguments)], env={"EDITQ_URL": url})
        assert result.exit_code == status, (arguments, result.output, result.exception)
        return result.output

    return run


@pytest.fixture
def bundled(stores):
    """A vector of the system's with all its files."""
    objects = stores.objects
    files = {
        "delta_w": objects.put("system/vectors/a", FILE, "application/octet-stream"),
        "before": objects.put("system/vectors/b", PICTURE, "image/png"),
    }
    report = {"recommended": [0.5, 1.5], "refinement_advised": True}
    vector = Vector(
        new_id(), SYSTEM_TENANT, "larger [wheels]", "cars", "d" * 64, "e" * 64, "rim grows",
        ("starter", "[x]"),
        ("rim",), files, {"lambda_ce": 1.0, "spec": {}}, report, None, 0.0,
    )  # fmt: skip
    return stores.library.put_vector(vector)


def test_a_vector_is_imported_found_changed_exported_and_deleted(client, tmp_path):
    path = tmp_path / "longer body.safetensors"
    path.write_bytes(FILE)
    made = client.import_vector(path, model="cars", tags=["a", "b"], editing_type="body", q_edit=["rim"])
    assert (made["name"], made["tags"], made["q_edit"]) == ("longer body", ["a", "b"], ["rim"])
    other = client.import_vector(FILE, model="cars", name="other")
    assert [v["id"] for v in client.list_vectors()] == [other["id"], made["id"]]
    assert [v["id"] for v in client.list_vectors(limit=1)] == [other["id"]]
    assert [v["id"] for v in client.list_vectors(text="LONGER", tag="a")] == [made["id"]]
    changed = client.change_vector(made["id"], name="short", tags=[])
    assert changed == client.get_vector(made["id"]) == {**made, "name": "short", "tags": []}
    np.testing.assert_array_equal(load(client.export_vector(made["id"]))["delta_w"], DELTA)
    client.delete_vector(made["id"])
    for ask in (client.get_vector, client.delete_vector, client.export_vector):
        with pytest.raises(errors.VectorNotFound):
            ask(made["id"])


def test_the_errors_of_vectors_have_their_classes(client, stores, bundled):
    with pytest.raises(errors.UnreadableVector):
        client.import_vector(b"...", model="cars")
    with pytest.raises(errors.VectorMismatch):
        client.import_vector(save({"delta_w": DELTA[:2]}), model="cars")
    with pytest.raises(errors.Forbidden):
        client.change_vector(bundled.id, name="mine")
    made = client.import_vector(FILE, model="cars")
    stores.jobs.add("local", "apply", {"vectors": [{"vector": made["id"]}]})
    with pytest.raises(errors.VectorInUse):
        client.delete_vector(made["id"])


def test_a_list_longer_than_a_page_is_whole(client, stores, bundled, monkeypatch):
    monkeypatch.setattr("editq.client._PAGE", 2)
    names = [client.import_vector(FILE, model="cars", name=f"v{n}")["name"] for n in range(5)]
    assert [v["name"] for v in client.list_vectors()] == [*names[::-1], "larger [wheels]"]
    assert [v["name"] for v in client.list_vectors(limit=3)] == names[:1:-1]


def test_vectors_are_listed_and_shown(run, bundled):
    assert re.search(
        rf"{bundled.id} +larger \[wheels\] +cars +rim grows +bundled +starter, \[x\]", run("list")
    )
    assert run("list", "--tag", "nothing").strip() == "No vectors."
    shown = run("show", bundled.id)
    assert "0.5 to 1.5 recommended" in shown
    assert re.search(r"refinement +advised", shown)
    assert re.search(r"tags +starter, \[x\]", shown)
    assert json.loads(run("list", "--json"))[0]["id"] == json.loads(run("show", bundled.id, "--json"))["id"]


def test_what_is_exported_is_imported_as_it_was(run, bundled, tmp_path):
    paths = run("export", bundled.id, "--to", tmp_path / "out").split()
    assert [path.rpartition("/")[2] for path in paths] == [
        "larger-wheels.safetensors", "larger-wheels.json", "larger-wheels.before.png"
    ]  # fmt: skip
    file = tmp_path / "out" / "larger-wheels.safetensors"
    np.testing.assert_array_equal(load_file(file)["delta_w"], DELTA)
    assert (tmp_path / "out" / "larger-wheels.before.png").read_bytes() == PICTURE
    assert "is there already" in run("export", bundled.id, "--to", tmp_path / "out", status=1)
    made = run("import", file, "--tag", "mine").strip()
    shown = json.loads(run("show", made, "--json"))
    assert (shown["name"], shown["editing_type"], shown["q_edit"]) == (
        "larger [wheels]",
        "rim grows",
        ["rim"],
    )
    assert (shown["tags"], shown["tenant"], shown["report"]) == (["mine"], "local", {})


def test_a_name_leads_no_file_out_of_its_folder(run, client, tmp_path):
    made = client.import_vector(FILE, model="cars", name="../../etc/passwd")["id"]
    strange = client.import_vector(FILE, model="cars", name="車")["id"]
    run("export", made, "--to", tmp_path / "a")
    run("export", strange, "--to", tmp_path / "a")
    written = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert written == sorted(
        f"{stem}.{end}" for stem in ("etc-passwd", strange) for end in ("json", "safetensors")
    )


def test_vectors_are_renamed_tagged_and_deleted(run, client):
    made = client.import_vector(FILE, model="cars", tags=["a"])["id"]
    assert run("rename", made, "[b]Räder", "--type", "rim grows").strip() == "[b]Räder (rim grows)"
    assert run("tag", made, "b", "a", "[c]").strip() == "a, b, [c]"
    assert run("tag", made, "a", "b", "[c]", "--remove").strip() == "no tags"
    assert "give a NAME" in run("rename", made, status=2)
    assert run("delete", made).strip() == "deleted"
    assert run("delete", made, status=1).startswith("Error: There is no vector")


def test_what_cannot_be_imported_is_said_in_a_line(run, tmp_path):
    file = tmp_path / "x.npy"
    file.write_bytes(b"\x93NUMPY....")
    assert run("import", file, status=1).startswith("Error: The .npy file is of version")
    file.write_bytes(FILE)
    assert "no model named" in run("import", file, "--model", "boats", status=1)
    for text in ("[", "[]", '{"name": 7}', '{"tags": "a"}', '{"q_edit": [1]}'):
        file.with_suffix(".json").write_text(text)
        assert "does not say what a vector is" in run("import", file, status=1)


def test_every_command_explains_itself(run):
    commands = re.findall(r"^  ([a-z]+)  ", run("--help").partition("Commands:")[2], re.MULTILINE)
    assert sorted(commands) == ["delete", "export", "import", "list", "rename", "show", "tag"]
    for command in commands:
        said = run(command, "--help")
        assert "--json" in said
        assert "EDITQ_URL" in said
