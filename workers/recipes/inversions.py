"""The codes of pictures: taken over from the library, or looked for; and those that earlier jobs left."""

import hashlib
import json
import logging
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from safetensors.torch import load

from gpu_ops import invert as inverting
from gpu_ops import tuning
from gpu_ops.bundle import Bundle
from gpu_ops.invert import InvertResult, invert, start_of
from gpu_ops.picture import Picture
from gpu_ops.progress import State, Steps
from gpu_ops.tuning import TuneResult, tune, tuned
from storage.errors import InvalidInput, ObjectCorrupt, OutputNotFound
from storage.inversion_specs import Inverting
from storage.library_records import Inversion, Kept, Model
from storage.plain import plain
from storage.records import Status
from workers.attempt import Attempt
from workers.recipes.course import Course
from workers.recipes.outputs import DELTA_W, W_PLUS, Outputs, read_tensor
from workers.recipes.photographs import Photograph

TUNED = "tuned.safetensors"
POOR = "inversion_poor"
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Inverted:
    """A code w_plus [1, L, D], and the weights of a generator tuned to it, if it was.

    facts   of a picture's: steps, start, psnr_db, loss_first, loss_last, complete; of tuning tune_steps and
            psnr_untuned_db
    reused  the job that found it, where this one did not have to
    """

    w_plus: torch.Tensor
    weights: State | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    reused: str | None = None

    def bundle(self, bundle: Bundle) -> Bundle:
        """The model in which the code draws the picture."""
        return bundle if self.weights is None else tuned(bundle, self.weights)

    def told(self, how: Inverting) -> dict[str, Any]:
        """What a job's result says of it beside its figures: `warnings`, and `reused`."""
        reused = {} if self.reused is None else {"reused": self.reused}
        psnr_db = self.facts.get("psnr_db")
        if psnr_db is None or psnr_db >= how.min_psnr_db:
            return {"warnings": [], **reused}
        detail = (
            f"The inversion reaches {psnr_db:.1f} dB, less than {how.min_psnr_db:g}: the model cannot draw "
            "this picture well. More steps, tune_steps, or a box around what the model knows may help."
        )
        return {"warnings": [{"code": POOR, "detail": detail}], **reused}


@dataclass(frozen=True)
class Search:
    """A picture uint8 [R, R, 3] whose code is wanted, of the upload with this digest; `saved`: what the
    library has already."""

    picture: Picture
    upload_sha256: str
    steps: int
    how: Inverting
    digest: str
    saved: Inverted | None

    @property
    def most(self) -> int:
        """Steps that it takes at most."""
        return self.steps + self.how.tune_steps


def search_for(
    attempt: Attempt, model: Model, bundle: Bundle, photograph: Photograph, steps: int, how: Inverting
) -> Search:
    """Raises IncompleteModelError where an encoder is asked for that the model lacks."""
    picture = photograph.seen(model.resolution_px)
    digest = inversion_digest(model, bundle, picture, steps, how)
    saved = saved_inversion(attempt, digest) if how.reuse else None
    return Search(picture, photograph.sha256, steps, how, digest, saved)


def inversion_digest(model: Model, bundle: Bundle, picture: Picture, steps: int, how: Inverting) -> str:
    """What an inversion is found again by: SHA-256 over all that its numbers depend on."""
    start = start_of(bundle, how.start)
    depends = {
        "picture": hashlib.sha256(picture.tobytes()).hexdigest(),
        "model": model.digest,
        "perceptual": bundle.perceptual.name,
        "settings": [start, how.lr, steps, how.patience, how.lambda_prior, how.tune_steps],
        "versions": [inverting.VERSION, tuning.VERSION],
    }
    return hashlib.sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()


def saved_inversion(attempt: Attempt, digest: str) -> Inverted | None:
    """None too where its files are gone or damaged."""
    found = attempt.stores.library.inversion(attempt.job.tenant_id, digest)
    if found is None:
        return None
    objects = attempt.stores.objects
    try:
        w_plus = load(objects.get(found.files["w_plus"]))["w_plus"]
        weights = load(objects.get(found.files["tuned"])) if "tuned" in found.files else None
    except (OutputNotFound, ObjectCorrupt) as error:
        log.warning("job %s: not reusing inversion %s: %s", attempt.job.id, digest[:12], error)
        return None
    return Inverted(w_plus, weights, found.facts, found.job_id or found.digest)


def find_code(course: Course, search: Search, bundle: Bundle, name: str = "inversion") -> Steps[Inverted]:
    """The picture's code, on the bundle's device: known to the checkpoint, saved, or looked for."""
    found = _known(course, name) or search.saved
    if found is None:
        how = search.how
        run = invert(
            bundle,
            search.picture[None],
            steps=search.steps,
            lr=how.lr,
            start=how.start,
            patience=how.patience,
            lambda_prior=how.lambda_prior,
            resume=course.resumed(name),
        )
        result = yield from course.run(name, run, search.steps)
        found = Inverted(result.w_plus, None, _facts(result))
    else:
        course.skipped(search.steps)
    found = replace(found, w_plus=found.w_plus.to(bundle.device))
    _keep(course, name, found)
    if search.how.tune_steps and found.weights is None:
        found = yield from _tuned(course, search, bundle, found, f"{name}_tuning")
        _keep(course, name, found)
    else:
        course.skipped(search.how.tune_steps)
    return found


def _tuned(course: Course, search: Search, bundle: Bundle, found: Inverted, name: str) -> Steps[Inverted]:
    steps = search.how.tune_steps
    run = tune(bundle, found.w_plus, search.picture, steps=steps, resume=course.resumed(name))
    result: TuneResult = yield from course.run(name, run, steps)
    facts = {
        **found.facts,
        "psnr_db": result.psnr_db,
        "psnr_untuned_db": result.before_db,
        "tune_steps": result.steps,
        "complete": found.facts["complete"] and result.complete,
    }
    return replace(found, weights=result.weights, facts=plain(facts))


def _facts(result: InvertResult) -> dict[str, Any]:
    facts: dict[str, Any] = plain(
        {
            "steps": result.steps,
            "start": result.start,
            "psnr_db": result.psnr_db[0],
            "loss_first": result.losses_first[0],
            "loss_last": result.losses_last[0],
            "complete": result.complete,
        }
    )
    return facts


def _keep(course: Course, name: str, found: Inverted) -> None:
    """So that every later checkpoint has it: figures to the same bits, as text."""
    about = json.dumps({"facts": found.facts, "reused": found.reused, "tuned": sorted(found.weights or {})})
    course.keep(f"{name}.w_plus", found.w_plus)
    course.keep(f"{name}.about", torch.tensor(list(about.encode()), dtype=torch.uint8))
    for weight, tensor in (found.weights or {}).items():
        course.keep(f"{name}.tuned.{weight}", tensor)


def _known(course: Course, name: str) -> Inverted | None:
    w_plus, about = course.known(f"{name}.w_plus"), course.known(f"{name}.about")
    if w_plus is None or about is None:
        return None
    told = json.loads(bytes(about.tolist()))
    weights: State = {}
    for weight in told["tuned"]:
        tensor = course.known(f"{name}.tuned.{weight}")
        assert tensor is not None
        weights[weight] = tensor
    return Inverted(w_plus, weights or None, told["facts"], told["reused"])


def save_code(outputs: Outputs, found: Inverted) -> None:
    """Write the code, and the tuned weights where there are any."""
    outputs.tensor(W_PLUS, found.w_plus)
    if found.weights is not None:
        outputs.tensors(TUNED, found.weights)


def kept_inversion(attempt: Attempt, search: Search | None, found: Inverted) -> Kept:
    """The record to find it again by, of outputs that were written; none of one reused, or cut short."""
    if search is None or found.reused is not None or not found.facts["complete"]:
        return Kept()
    names = {"w_plus": W_PLUS, "inverted": "inverted.png", "mask": "mask.png", "tuned": TUNED}
    files = {role: attempt.outputs[name] for role, name in names.items() if name in attempt.outputs}
    job = attempt.job
    one = Inversion(
        job.tenant_id, search.digest, files, found.facts, job.id, 0.0, picture_sha256=search.upload_sha256
    )
    return Kept(inversions=(one,))


def read_code(attempt: Attempt, job_id: str, model: Model) -> Inverted:
    """The code that an earlier job left: its first, of an edit or an apply the edited one.

    Raises InvalidInput where it has not succeeded, or was made with another version of the model.
    """
    job = attempt.stores.jobs.get(attempt.job.tenant_id, job_id)
    if job.status is not Status.SUCCEEDED:
        raise InvalidInput(f"Job {job_id} has not succeeded.", field="inversion", expected="a succeeded job")
    if job.result.get("model_digest") != model.digest:
        raise InvalidInput(f"Job {job_id} was made with another version of the model.", field="inversion")
    w_plus = read_tensor(attempt, job, W_PLUS)[:1]
    if job.kind in ("edit", "apply"):
        w_plus = w_plus + read_tensor(attempt, job, DELTA_W).flatten(0, -3)[:1]
    weights = load(attempt.stores.objects.get(job.outputs[TUNED])) if TUNED in job.outputs else None
    return Inverted(w_plus, weights)
