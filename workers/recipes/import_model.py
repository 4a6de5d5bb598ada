"""import_model: checkpoints of other projects, uploaded, become a model of the library."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch

from gpu_ops.importers.encoders import save_encoder
from gpu_ops.importers.importing import named
from gpu_ops.importers.roles import GENERATOR, role_of
from gpu_ops.importers.sandbox import Checkpoint
from gpu_ops.picture import Picture
from gpu_ops.progress import Progress, State, Steps
from storage.annotations import UNLABELLED, colour
from storage.import_specs import ImportModelSpec
from storage.library_records import Kept, Model, Part, Vector
from storage.plain import plain
from storage.records import ObjectRef, new_id
from storage.vector_files import DELTA_W, VECTOR_MEDIA_TYPE, write_vector
from storage.version import code_version
from workers.attempt import Attempt, Saved
from workers.models import KEPT_ENCODER
from workers.recipe import Recipe
from workers.recipes.imported import Imported, Read, assemble, sheet
from workers.recipes.inputs import find_model
from workers.recipes.new_model import new_model, put_network
from workers.recipes.outputs import TENSORS, Outputs
from workers.recipes.uploads import Upload, fetched, named_upload, read_upload, refusing


@dataclass(frozen=True)
class ImportTask:
    attempt: Attempt
    spec: ImportModelSpec
    base: Model
    uploads: tuple[Upload, ...]


def _load(attempt: Attempt) -> ImportTask:
    spec, base = attempt.spec, find_model(attempt)
    assert isinstance(spec, ImportModelSpec)
    uploads = [
        named_upload(attempt, each.file, f"files.{index}.file") for index, each in enumerate(spec.files)
    ]
    return ImportTask(attempt, spec, base, tuple(uploads))


def _operate(task: ImportTask, resume: State | None) -> Steps[tuple[Imported, Picture]]:  # noqa: ARG001
    """A step for each file that was fetched, each that was read, and the sheet. It always begins anew, and
    told to stop it goes on: half an import is none."""
    read, total = Read(), 2 * len(task.uploads) + 1
    for index, (upload, wanted) in enumerate(zip(task.uploads, task.spec.files, strict=True)):
        with fetched(task.attempt.stores.objects, upload) as path:
            yield Progress(2 * index + 1, total)
            checkpoint = read_upload(upload, path)
        with refusing(upload.field):
            role = role_of(checkpoint, None if wanted.role == "auto" else wanted.role)
            read.add(role, upload, checkpoint)
        yield Progress(2 * index + 2, total)
    imported = assemble(task.spec, read)
    generator = imported.generator.to(task.attempt.models.prepare(imported.generator.config.resolution))
    ((upload, checkpoint),) = read.of(GENERATOR)
    with refusing(upload.field), named(checkpoint):
        drawn = sheet(generator)
    yield Progress(total, total)
    return imported, drawn


def _save(attempt: Attempt, task: ImportTask, result: tuple[Imported, Picture]) -> Saved:
    spec, (imported, drawn) = task.spec, result
    outputs = Outputs(attempt, task.base)
    outputs.picture("preview.png", drawn, seed=0)
    model = _model(attempt, task, imported)
    vectors = tuple(
        _vector(attempt, model, spec, upload, delta_w, index)
        for index, (upload, delta_w) in enumerate(imported.vectors)
    )
    facts: dict[str, Any] = plain(
        {
            "model": task.base.name,
            "model_digest": task.base.digest,
            "new_model": model.name,
            "new_model_digest": model.digest,
            "resolution_px": model.resolution_px,
            "parts": [part.name for part in model.parts],
            "needs": model.card.get("needs"),
            "vectors": [{"id": vector.id, "name": vector.name} for vector in vectors],
            "imported": imported.sources,
            "perceptual_backbone_of": task.base.name,
            "code_version": code_version(),
        }
    )
    outputs.json("provenance.json", outputs.provenance() | {"result": facts})
    return Saved(attempt.outputs, facts, Kept(vectors=vectors, models=(model,)))


def _model(attempt: Attempt, task: ImportTask, imported: Imported) -> Model:
    files = {
        "generator": put_network(attempt, "generator", imported.generator, {}),
        "perceptual": task.base.files["perceptual"],
    }
    needs: dict[str, Any] = {"needs": "train_segmenter"}
    if imported.segmenter is not None:
        config = imported.segmenter.config.as_dict()
        files["segmenter"] = put_network(attempt, "segmenter", imported.segmenter, config, half=False)
        needs = {}
    shown = {"preview": attempt.outputs["preview.png"]}
    if imported.encoder is not None:
        shown[KEPT_ENCODER] = _put_encoder(attempt, imported.encoder)
        needs["kept"] = {"encoder": PurePosixPath(shown[KEPT_ENCODER].key).name}
    return new_model(
        attempt,
        task.spec.name,
        task.base,
        files,
        resolution_px=imported.generator.config.resolution,
        parts=_parts(task.spec, imported),
        groups=task.spec.groups,
        card={
            "description": "Imported",
            "license": "that of the imported files",
            "imported": imported.sources,
            **needs,
        },
        beside=shown,
    )


def _parts(spec: ImportModelSpec, imported: Imported) -> Sequence[Part]:
    if imported.segmenter is None:
        return [UNLABELLED]
    names = spec.parts or [f"part_{index}" for index in range(imported.segmenter.config.parts)]
    return [Part(index, name, colour(index)) for index, name in enumerate(names)]


def _put_encoder(attempt: Attempt, encoder: Checkpoint) -> ObjectRef:
    name = "encoder-of-another-project.safetensors"
    with tempfile.TemporaryDirectory() as folder:
        save_encoder(Path(folder) / name, encoder)
        attempt.put(name, (Path(folder) / name).read_bytes(), TENSORS)
    return attempt.outputs[name]


def _vector(
    attempt: Attempt, model: Model, spec: ImportModelSpec, upload: Upload, delta_w: torch.Tensor, index: int
) -> Vector:
    """A vector's record, as an import through /v1/vectors makes it."""
    named_here = {each.file: each.name for each in spec.files}
    numbers = delta_w.cpu().numpy()
    file = f"vector_{index:02d}_{DELTA_W}.safetensors"
    attempt.put(file, write_vector(numbers), VECTOR_MEDIA_TYPE)
    length = float(np.sqrt(np.square(numbers, dtype=np.float64).sum()))
    facts = {"made_by": "import", "file_sha256": upload.file.object.sha256}
    return Vector(
        id=new_id(),
        tenant_id=attempt.job.tenant_id,
        name=named_here[upload.file.id] or Path(upload.name).stem,
        model=model.name,
        model_digest=model.digest,
        generator_sha256=model.generator_sha256,
        editing_type="",
        tags=(),
        q_edit=(),
        files={DELTA_W: attempt.outputs[file]},
        facts={**facts, "num_ws": len(numbers), "w_dim": numbers.shape[1], "length": round(length, 6)},
        report={},
        job_id=attempt.job.id,
        created_at=0.0,  # the library's clock sets it
    )


RECIPE = Recipe(_load, _operate, _save)
