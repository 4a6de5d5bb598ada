"""A tiny random model measured: the figures are those of its samples, read and counted here."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from operation import finish
from PIL import Image
from safetensors.torch import save_file

from gpu_ops.attributes import classifier, classifiers
from gpu_ops.bundle import Bundle
from gpu_ops.errors import IncompleteModelError, ShapeError
from gpu_ops.evaluate import Plan, evaluate
from gpu_ops.evaluation import main
from gpu_ops.fidelity import frechet_distance, kernel_distance
from gpu_ops.identity import Identity, IdentityConfig
from gpu_ops.network_file import save_network
from gpu_ops.picture import Picture, to_tensor
from gpu_ops.sample import sample
from gpu_ops.training.perceptual import AttributeReader, save_backbone
from gpu_ops.vectors import Use

pytestmark = pytest.mark.thorough

SEEDS = [5, 6, 7, 8, 9]


@pytest.fixture(scope="module")
def pictures() -> Picture:
    return np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)


def use(tiny: Bundle, strength: float) -> Use:
    shape = (tiny.generator.num_ws, tiny.generator.config.w_dim)
    return Use(torch.randn(shape, generator=torch.Generator().manual_seed(0)), strength, "v")


def test_fid_and_kid_are_of_the_features_of_samples_and_pictures(tiny: Bundle, pictures: Picture) -> None:
    plan = Plan(SEEDS, 0.8, pictures, subsets=4, subset_size=3, seed=2, chunk=2)
    seen, found = finish(evaluate(tiny, plan))
    assert [progress.step for progress in seen] == [2, 4, 6, 8, 10, 11]
    drawn = finish(sample(tiny, SEEDS, 0.8))[1].pictures
    real, fake = (tiny.perceptual.pooled(to_tensor(some)).double().numpy() for some in (pictures, drawn))
    assert found.figures["fid"] == pytest.approx(frechet_distance(real, fake), rel=1e-5)
    kid = kernel_distance(real, fake, subsets=4, size=3, seed=2)
    assert (found.figures["kid_mean"], found.figures["kid_std"]) == pytest.approx(kid, rel=1e-4)
    assert found.figures["features"] == "random"
    assert np.array_equal(found.before, drawn)
    assert np.array_equal(found.after, drawn)


def test_a_vector_is_counted_by_the_classifier_and_by_the_identity_network(tiny: Bundle) -> None:
    torch.manual_seed(3)
    identity = Identity(IdentityConfig(resolution=16, width=4, size=8)).eval()
    bundle = Bundle(**{**vars(tiny), "identity": identity})

    def tell(some: Picture) -> list[str]:
        return ["bright" if picture.mean() > 127 else "dark" for picture in some]

    plan = Plan(SEEDS, use=use(tiny, 2.0), attribute=("bright", "by hand", tell))
    figures = finish(evaluate(bundle, plan))[1]
    assert figures.figures["attribute_before"] == np.mean([word == "bright" for word in tell(figures.before)])
    assert figures.figures["attribute_after"] == np.mean([word == "bright" for word in tell(figures.after)])
    one, two = (identity.embed(to_tensor(some)).detach() for some in (figures.before, figures.after))
    expected = torch.nn.functional.cosine_similarity(one, two).mean()
    assert figures.figures["identity_cosine"] == pytest.approx(float(expected), abs=1e-5)
    assert figures.figures["identity_cosine"] < 0.9999
    assert "fid" not in figures.figures
    still = finish(evaluate(bundle, Plan(SEEDS, use=use(tiny, 0.0))))[1]
    assert still.figures["identity_cosine"] == pytest.approx(1, abs=1e-6)
    assert np.array_equal(still.before, still.after)


def test_a_run_that_was_cut_goes_on_to_the_same_figures(tiny: Bundle, pictures: Picture) -> None:
    plan = Plan(SEEDS, 0.8, pictures, use=use(tiny, 1.0), subsets=3, subset_size=3, chunk=2)
    whole = finish(evaluate(tiny, plan))[1]
    for cut in (2, 5):
        run = evaluate(tiny, plan)
        for _ in range(cut):
            progress = next(run)
        assert progress.state is not None
        assert finish(evaluate(tiny, plan, resume=progress.state()))[1].figures == whole.figures


def test_told_to_stop_it_measures_what_was_drawn(tiny: Bundle) -> None:
    _, found = finish(evaluate(tiny, Plan(SEEDS, chunk=2)), stop_at=2)
    assert found.figures["samples"] == 2


def test_pictures_of_another_size_are_refused(tiny: Bundle) -> None:
    with pytest.raises(ShapeError, match="32 px"):
        next(evaluate(tiny, Plan(SEEDS, pictures=np.zeros((3, 16, 16, 3), np.uint8))))


@pytest.fixture
def readable(tiny_folder: Path, tmp_path: Path) -> Path:
    """The tiny model with a head on its backbone that reads one attribute of two words, and a number."""
    folder = Path(shutil.copytree(tiny_folder, tmp_path / "cars"))
    names = ["length", "paint=dark", "paint=light"]
    save_backbone(folder / "perceptual.safetensors", AttributeReader(3), names, 1.0, 1.0)
    return folder


def test_a_backbone_that_came_with_a_head_tells_words(readable: Path, pictures: Picture) -> None:
    assert classifiers(readable).keys() == {"paint"}
    name, tell = classifier(readable, "paint")
    assert name == "perceptual"
    assert set(tell(pictures)) <= {"dark", "light"}
    with pytest.raises(IncompleteModelError, match="no classifier of hair: it has paint"):
        classifier(readable, "hair")


def test_a_model_without_a_classifier_has_none(tiny_folder: Path) -> None:
    assert classifiers(tiny_folder) == {}


def test_the_command_prints_the_figures(
    readable: Path,
    tmp_path: Path,
    tiny: Bundle,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index in range(3):
        Image.fromarray(np.full((40, 50, 3), 60 * index, np.uint8)).save(folder / f"{index}.png")
    save_file({"delta_w": use(tiny, 1.0).delta_w}, tmp_path / "delta_w.safetensors")
    command = ["evaluation", str(readable), "--pictures", str(folder), "--samples", "3", "--device", "cpu"]
    command += ["--vector", str(tmp_path / "delta_w.safetensors"), "--attribute", "paint=dark"]
    monkeypatch.setattr(sys, "argv", command)
    main()
    said = capsys.readouterr().out
    figures = json.loads(said[said.index("{") :])
    assert figures["pictures"] == figures["samples"] == 3
    assert {"fid", "kid_mean", "attribute_after"} <= figures.keys()


def test_save_network_is_what_the_reader_was_saved_with(readable: Path) -> None:
    """A backbone without a head, as a generator's owner may have it, is no classifier."""
    about = {"name": "bare", "edit_factor": 1.0, "invert_factor": 1.0}
    save_network(readable / "perceptual.safetensors", AttributeReader(1).features, about)
    assert classifiers(readable) == {}
