"""Releasing models, and keeping them in a worker's memory."""

import hashlib
from pathlib import Path

import pytest
import torch
from tiny_model import make_tiny_model
from worker_trial import Trial

from gpu_ops.stylegan2 import precision
from storage.errors import InternalError, ModelUnavailable, ObjectCorrupt, OutOfMemory
from storage.settings import Settings
from workers.models import Models
from workers.release import digest_of, register_models


def test_a_release_twice_changes_nothing(trial: Trial, pretrained: Path) -> None:
    (first,) = register_models(trial.stores, pretrained)
    before = sorted(trial.stores.objects.list("system/"))
    (second,) = register_models(trial.stores, pretrained)
    assert second == first
    assert sorted(trial.stores.objects.list("system/")) == before
    assert (first.tenant_id, first.name, first.resolution_px) == ("system", "cars", 32)
    assert first.groups == {"wheel": ("tyre", "rim")}
    assert first.card["license"] == "none"
    assert {"generator", "segmenter", "judge", "perceptual", "description", "card"} == first.files.keys()


def test_the_digest_is_of_weights_and_roles_alone(trial: Trial, pretrained: Path, tmp_path: Path) -> None:
    (first,) = register_models(trial.stores, pretrained)
    home = make_tiny_model(tmp_path)
    (home / "card.md").write_text("other words")
    (same,) = register_models(trial.stores, tmp_path)
    assert same.digest == first.digest
    assert digest_of({"a": "1", "b": "2"}) == digest_of({"b": "2", "a": "1"})
    assert digest_of({"a": "1", "b": "2"}) != digest_of({"a": "2", "b": "1"})


@pytest.mark.thorough
def test_a_model_is_loaded_once_and_the_least_recently_used_goes(trial: Trial, tmp_path: Path) -> None:
    for seed, name in enumerate(("one", "two", "three")):
        make_tiny_model(tmp_path / "pretrained", name, seed)
    one, three, two = register_models(trial.stores, tmp_path / "pretrained")
    settings = Settings(data_dir=tmp_path, device="cpu", threads=1, models_kept=2)
    models = Models(trial.stores.objects, settings)
    first = models.bundle(one)
    assert models.bundle(one) is first
    models.bundle(two)
    models.bundle(one)
    assert models.loaded("two")
    models.bundle(three)  # two goes
    assert [models.loaded(name) for name in ("one", "two", "three", "four")] == [True, False, True, False]
    assert models.bundle(one) is first
    assert len(models._loaded) == 2
    models.forgive(OutOfMemory("The device ran out of memory."))
    assert models.bundle(one) is not first
    tight = Models(trial.stores.objects, settings.model_copy(update={"models_kept_bytes": 1}))
    tight.bundle(one)
    tight.bundle(two)
    assert len(tight._loaded) == 1


def test_bfloat16_is_taken_only_where_it_is_faster(
    trial: Trial,
    pretrained: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (model,) = register_models(trial.stores, pretrained)
    settings = Settings(data_dir=tmp_path, device="cpu", threads=1, precision="bfloat16")
    for units, low in ((True, torch.bfloat16), (False, None)):
        monkeypatch.setattr(precision, "_cpu_has_bfloat16", lambda units=units: units)
        bundle = Models(trial.stores.objects, settings).bundle(model)
        assert (bundle.low_precision, bundle.precision) == (low, "bfloat16" if units else "float32")
        assert ("EDITQ_PRECISION" in caplog.text) is (low is None)


def test_what_is_in_the_cache_is_checked_and_mended(trial: Trial, pretrained: Path, tmp_path: Path) -> None:
    (model,) = register_models(trial.stores, pretrained)
    settings = Settings(data_dir=tmp_path, device="cpu", threads=1)
    Models(trial.stores.objects, settings).bundle(model)
    cached = tmp_path / "cache" / "models" / model.digest / "generator.safetensors"
    good = cached.read_bytes()
    cached.write_bytes(good[:-1] + b"x")
    Models(trial.stores.objects, settings).bundle(model)
    assert cached.read_bytes() == good
    cached.unlink()
    trial.stores.objects.put(model.files["generator"].key, b"other bytes", "application/octet-stream")
    with pytest.raises(ObjectCorrupt, match=r"^The files of the model cars are damaged\.$"):
        Models(trial.stores.objects, settings).bundle(model)


def test_a_model_whose_files_are_gone_is_named_without_their_keys(
    trial: Trial, pretrained: Path, tmp_path: Path
) -> None:
    (model,) = register_models(trial.stores, pretrained)
    trial.stores.objects.delete([model.files["generator"].key])
    settings = Settings(data_dir=tmp_path, device="cpu", threads=1)
    with pytest.raises(ModelUnavailable, match=r"^The files of the model cars are missing\.$"):
        Models(trial.stores.objects, settings).bundle(model)


def test_configured_perceptual_weights_are_checked_by_digest(trial: Trial, tmp_path: Path) -> None:
    data = b"weights"
    digest = hashlib.sha256(data).hexdigest()
    path = tmp_path / "squeezenet.pth"
    path.write_bytes(data)
    trial.stores.objects.put("system/backbones/squeezenet.pth", data, "application/octet-stream")

    def found(weights: str | None, sha256: str | None) -> Path | None:
        settings = Settings(data_dir=tmp_path, perceptual_weights=weights, perceptual_sha256=sha256)
        return Models(trial.stores.objects, settings)._perceptual_weights()

    assert found(None, None) is None
    assert found(str(path), digest) == path
    assert found(str(path), None) == path
    fetched = found("objects:system/backbones/squeezenet.pth", digest)
    assert fetched is not None
    assert fetched.read_bytes() == data
    inception = Settings(data_dir=tmp_path, inception_weights=str(path), inception_sha256=digest)
    assert Models(trial.stores.objects, inception).inception_weights() == path
    for weights, sha256 in ((str(path), "0" * 64), (str(tmp_path / "none"), digest)):
        with pytest.raises(InternalError):
            found(weights, sha256)
    with pytest.raises(InternalError):
        found("objects:system/backbones/squeezenet.pth", None)
    with pytest.raises(InternalError, match="not there"):
        found("objects:system/backbones/other.pth", digest.replace(digest[0], "f"))
    with pytest.raises(ObjectCorrupt):
        found("objects:system/backbones/squeezenet.pth", "1" * 64)
