"""import_identity: a caller's own identity network (ONNX), uploaded, becomes part of a model."""

from dataclasses import dataclass
from typing import Any

from gpu_ops.graph_identity import GraphIdentity, Sight
from gpu_ops.importers.identities import import_identity
from gpu_ops.importers.importing import named
from gpu_ops.importers.sandbox import Checkpoint
from gpu_ops.progress import Progress, State, Steps
from storage.errors import DigestMismatch
from storage.import_specs import ImportIdentitySpec
from storage.library_records import Kept, Model
from storage.plain import plain
from storage.version import code_version
from workers.attempt import Attempt, Saved
from workers.recipe import Recipe
from workers.recipes.inputs import find_model
from workers.recipes.new_model import files_of, new_model, put_network
from workers.recipes.outputs import Outputs
from workers.recipes.uploads import Upload, fetched, named_upload, read_upload, refusing

IDENTITY = "identity"


@dataclass(frozen=True)
class IdentityTask:
    attempt: Attempt
    spec: ImportIdentitySpec
    model: Model
    upload: Upload


@dataclass(frozen=True)
class ImportedIdentity:
    checkpoint: Checkpoint
    identity: GraphIdentity
    figures: dict[str, Any]


def _load(attempt: Attempt) -> IdentityTask:
    spec, model = attempt.spec, find_model(attempt)
    assert isinstance(spec, ImportIdentitySpec)
    upload = named_upload(attempt, spec.file, "file")
    if upload.file.object.sha256 != spec.sha256:
        raise DigestMismatch("The file is not the one that was meant.", field="sha256")
    return IdentityTask(attempt, spec, model, upload)


def _operate(task: IdentityTask, resume: State | None) -> Steps[ImportedIdentity]:  # noqa: ARG001
    """Steps: fetched, read, tried. It always begins anew."""
    spec = task.spec
    with fetched(task.attempt.stores.objects, task.upload) as path:
        yield Progress(1, 3)
        checkpoint = read_upload(task.upload, path)
    yield Progress(2, 3)
    task.attempt.models.prepare(spec.size_px)  # threads
    sight = Sight(spec.size_px, _three(spec.mean), _three(spec.std), spec.channels, spec.crop)
    with refusing("file"), named(checkpoint):
        identity, figures = import_identity(checkpoint, sight)
    yield Progress(3, 3)
    return ImportedIdentity(checkpoint, identity, figures)


def _three(given: tuple[float, ...]) -> tuple[float, float, float]:
    red, green, blue = given
    return red, green, blue


def _save(attempt: Attempt, task: IdentityTask, found: ImportedIdentity) -> Saved:
    before, about = task.model, found.identity.as_dict()
    network = put_network(attempt, IDENTITY, found.identity, about, half=False)
    source = task.upload.source(found.checkpoint, IDENTITY, [])
    model = new_model(
        attempt,
        task.spec.name or before.name,
        before,
        files_of(before, without=(IDENTITY,)) | {IDENTITY: network},
        resolution_px=before.resolution_px,
        parts=before.parts,
        groups=before.groups,
        card={**before.card, IDENTITY: {**source, "sight": about["sight"], **found.figures}},
    )
    facts: dict[str, Any] = plain(
        {
            "model": before.name,
            "model_digest": before.digest,
            "new_model": model.name,
            "new_model_digest": model.digest,
            "identity": model.card[IDENTITY],
            "code_version": code_version(),
        }
    )
    outputs = Outputs(attempt, before)
    outputs.json("provenance.json", outputs.provenance() | {"result": facts})
    return Saved(attempt.outputs, facts, Kept(models=(model,)))


RECIPE = Recipe(_load, _operate, _save)
