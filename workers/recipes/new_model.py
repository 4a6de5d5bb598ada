"""The model that a job of training leaves: a record over files of its own and of the model before."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from torch import nn

from gpu_ops.network_file import save_network
from gpu_ops.stylegan2.files import save_generator
from gpu_ops.stylegan2.generator import Generator
from storage.library_records import Model, Part
from storage.plain import plain
from storage.records import ObjectRef, new_id
from storage.version import code_version
from workers.attempt import Attempt
from workers.models import NOT_WEIGHTS
from workers.recipes.outputs import TENSORS
from workers.release import DESCRIPTION, digest_of

NOT_NETWORKS = NOT_WEIGHTS | {"description"}


def put_network(
    attempt: Attempt, role: str, network: nn.Module, config: Mapping[str, Any], *, half: bool = True
) -> ObjectRef:
    """Keep a network as `role`.safetensors among the attempt's outputs; all but a generator in half precision
    unless told otherwise."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{role}.safetensors"
        if isinstance(network, Generator):
            save_generator(path, network)
        else:
            save_network(path, network, dict(config), half=half)
        attempt.put(path.name, path.read_bytes(), TENSORS)
    return attempt.outputs[path.name]


def new_model(
    attempt: Attempt,
    name: str,
    before: Model,
    files: Mapping[str, ObjectRef],
    *,
    resolution_px: int,
    parts: Sequence[Part],
    groups: Mapping[str, Sequence[str]],
    card: Mapping[str, Any],
    beside: Mapping[str, ObjectRef] | None = None,
) -> Model:
    """The record of a model made of `files` by role; its model.json becomes an output too.

    before  the model that the job was given; the card says so
    beside  what is kept with it and is no part of its digest: a preview
    """
    about = plain(
        {
            **card,
            "made_from": {"model": before.name, "digest": before.digest},
            "made_by": {"job": attempt.job.id, "kind": attempt.job.kind, "code_version": code_version()},
        }
    )
    description = {
        "name": name,
        "resolution_px": resolution_px,
        "parts": [{"id": part.id, "name": part.name, "colour": list(part.colour)} for part in parts],
        "groups": {group: list(members) for group, members in groups.items()},
        "files": {role: PurePosixPath(ref.key).name for role, ref in files.items()},
        **about,
    }
    attempt.put(DESCRIPTION, (json.dumps(description, indent=2) + "\n").encode(), "application/json")
    weights = {**files, "description": attempt.outputs[DESCRIPTION]}
    return Model(
        id=new_id(),
        tenant_id=attempt.job.tenant_id,
        name=name,
        digest=digest_of({role: ref.sha256 for role, ref in weights.items()}),
        resolution_px=resolution_px,
        parts=tuple(parts),
        groups={group: tuple(members) for group, members in groups.items()},
        files={**weights, **(beside or {})},
        card=about,
        created_at=0.0,  # the library's clock sets it
    )


def files_of(model: Model, *, without: Sequence[str] = ()) -> dict[str, ObjectRef]:
    """A model's networks by role, to make another of."""
    return {
        role: ref for role, ref in model.files.items() if role not in NOT_NETWORKS and role not in without
    }
