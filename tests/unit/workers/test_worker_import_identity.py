"""import_identity: from an uploaded ONNX file to edits that weigh who a picture shows; or a refusal."""

import hashlib
from typing import Any

import onnx
import pytest
import torch
from onnx import helper
from onnx_files import EMBEDDING, SIZE_PX, arcface, random_network, written
from recipe_trial import RELABEL, output, put_file, submit, work
from torch.nn import functional
from worker_trial import Trial

from gpu_ops.graph_identity import GraphIdentity
from gpu_ops.picture import to_tensor
from storage.objects import job_prefix
from storage.pictures import decode_picture
from storage.records import Job, Status
from workers.bench import recipe_for
from workers.models import Models
from workers.release import digest_of

pytestmark = pytest.mark.thorough


def imported(trial: Trial, data: bytes, **spec: Any) -> Job:
    file = put_file(trial, data, "w600k.onnx")
    digest = hashlib.sha256(data).hexdigest()
    return work(trial, "import_identity", **{"file": file, "sha256": digest, "size_px": SIZE_PX, **spec})


@pytest.fixture(scope="session")
def network() -> Any:
    return random_network(arcface())


@pytest.fixture(scope="session")
def data(network: Any) -> bytes:
    return written(network).SerializeToString()


def test_an_edit_weighs_the_identity_that_the_callers_own_network_sees(
    plant: Trial, network: Any, data: bytes
) -> None:
    job = imported(plant, data, name="mine", channels="bgr", std=[0.5, 0.25, 1.0])
    assert job.status is Status.SUCCEEDED, job.error
    before, model = (plant.stores.library.get_model("local", name) for name in ("cars", "mine"))
    assert sorted(job.outputs) == ["identity.safetensors", "model.json", "provenance.json"]
    kept = ("generator", "segmenter", "judge", "perceptual")
    assert {role: model.files[role] for role in kept} == {role: before.files[role] for role in kept}
    assert model.digest == digest_of({role: ref.sha256 for role, ref in model.files.items()})
    about = model.card["identity"]
    assert (about["file"], about["sha256"]) == ("w600k.onnx", hashlib.sha256(data).hexdigest())
    assert (about["format"], about["size"], about["sight"]["channels"]) == ("onnx", EMBEDDING, "bgr")

    bundle = Models(plant.stores.objects, plant.settings).bundle(model)
    assert isinstance(bundle.identity, GraphIdentity)
    x = torch.rand(2, 3, SIZE_PX, SIZE_PX) * 2 - 1
    seen = (x / 2 / torch.tensor([0.5, 0.25, 1.0]).reshape(3, 1, 1)).flip(1)
    with torch.no_grad():
        expected = functional.normalize(network(seen))
        torch.testing.assert_close(bundle.identity.embed(x), expected, rtol=1e-4, atol=1e-5)

    sampled = work(plant, "sample", model="mine")
    edits = {
        weight: work(plant, "edit", model="mine", inversion=sampled.id, steps=10, mask_operations=RELABEL,
                     lambda_id=weight, lambda_rgb=0, lambda_prior=0, lr=0.2)
        for weight in (0.0, 1000.0)
    }  # fmt: skip
    assert all(edit.status is Status.SUCCEEDED for edit in edits.values()), edits
    strayed = {weight: distance(plant, bundle.identity, edit) for weight, edit in edits.items()}
    assert strayed[1000.0] < 0.5 * strayed[0.0], strayed
    assert strayed[0.0] > 0.001


def distance(trial: Trial, identity: GraphIdentity, edit: Job) -> float:
    """Of the edited picture from the inversion, as the network sees it."""
    names = ("inverted.png", "edited.png")
    both = torch.cat([to_tensor(decode_picture(output(trial, edit, name))[None]) for name in names])
    with torch.no_grad():
        one, other = identity.embed(both)
    return float(identity.distance(one[None], other[None]))


def test_the_model_of_the_same_name_is_replaced_and_its_other_networks_stay(
    plant: Trial, data: bytes
) -> None:
    first = imported(plant, data)
    assert first.status is Status.SUCCEEDED, first.error
    other = written(random_network(arcface(), seed=5)).SerializeToString()
    again = imported(plant, other)
    assert again.result["model_digest"] == first.result["new_model_digest"]
    model = plant.stores.library.get_model("local", "cars")
    assert (model.tenant_id, model.digest) == ("local", again.result["new_model_digest"])
    assert model.card["identity"]["sha256"] == hashlib.sha256(other).hexdigest()
    vectors = Models(plant.stores.objects, plant.settings).bundle(model).identity
    assert vectors is not None


def hostile(how: str, data: bytes) -> bytes:
    made = onnx.load_from_string(data)
    match how:
        case "truncated":
            return data[:-100]
        case "external":
            made.graph.initializer[0].ClearField("raw_data")
            made.graph.initializer[0].data_location = onnx.TensorProto.EXTERNAL
            made.graph.initializer[0].external_data.add(key="location", value="/etc/passwd")
        case "operator":
            made.graph.node.insert(0, helper.make_node("Run", ["x"], ["z"], domain="com.example"))
        case "misfit":
            made.graph.initializer[0].dims[:] = [3, 6, 3, 3]
        case "letter":
            return b"a letter, and no network"
    return made.SerializeToString()


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ("truncated", "damaged_file"),
        ("external", "forbidden_content"),
        ("operator", "unsupported_network"),
        ("misfit", "layout_mismatch"),
        ("letter", "unknown_format"),
    ],
)
def test_a_file_that_is_refused_fails_the_job_with_its_code_and_leaves_nothing(
    plant: Trial, data: bytes, how: str, code: str
) -> None:
    before = plant.stores.library.list_models("local")
    job = imported(plant, hostile(how, data), name="mine")
    assert job.status is Status.FAILED
    assert job.error is not None
    assert (job.error["code"], job.error["field"]) == (code, "file"), job.error
    assert job.error["detail"].startswith("w600k.onnx")
    assert list(plant.stores.objects.list(job_prefix("local", job.id))) == []
    assert plant.stores.library.list_models("local") == before


def test_a_file_that_is_not_the_one_that_was_meant_is_not_read(plant: Trial, data: bytes) -> None:
    job = imported(plant, data, sha256="0" * 64)
    assert job.error is not None
    assert (job.error["code"], job.error["field"]) == ("digest_mismatch", "sha256")


def test_a_checkpoint_is_no_identity_network_and_a_network_no_checkpoint(plant: Trial, data: bytes) -> None:
    job = submit(plant, "import_model", name="mine", files=[{"file": put_file(plant, data)}])
    plant.take(recipe_for("import_model"), lease_s=30)
    error = plant.get(job).error
    assert error is not None
    assert (error["code"], error["field"]) == ("unknown_format", "files.0.file")
