"""What of a chunk's work is done before: found by who reads ahead, and drawn while more is read."""

from collections.abc import Iterator

import numpy as np
import pytest
from batch_trial import INVERT, add, do, lines_of, manifest, png, send_picture
from recipe_trial import output, pixels, put_vector, work
from worker_trial import Trial

from gpu_ops.picture import to_square
from storage.batch_records import CHUNK, BatchStatus
from storage.batch_specs import read_batch_spec
from storage.decoders import decode_picture
from storage.results import Results
from storage.specs import ApplySpec
from workers.attempt import Attempt
from workers.bench import recipe_for
from workers.bulk.operation import WIDTHS, Made
from workers.bulk.operations import operation_of
from workers.bulk.pieces import Piece
from workers.models import Models

pytestmark = pytest.mark.thorough


def apply(vector: str) -> dict[str, object]:
    return {"kind": "apply", "model": "cars", "vectors": [{"vector": vector}], "inversion_steps": 2}


def levels(data: bytes) -> np.ndarray:
    return np.frombuffer(pixels(data), np.uint8).astype(int)


def test_known_and_unknown_pictures_in_one_chunk_come_out_as_by_themselves(plant: Trial) -> None:
    images = [send_picture(plant, seed) for seed in range(4)]
    before = do(plant, INVERT, manifest(plant, *({"image": images[at]} for at in (0, 1, 3))))
    known = {line["id"]: line["result"] for line in lines_of(plant, before, "results")}
    vector = put_vector(plant, size=1.0)
    batch = do(plant, apply(vector), manifest(plant, *({"image": image} for image in images)))
    assert (batch.status, batch.chunks) == (BatchStatus.SUCCEEDED, 1)
    lines = lines_of(plant, batch, "results")
    assert [line["id"] for line in lines] == images
    assert [line["needs"] for line in lines if line["id"] in known] == [[known[each]] for each in known]
    (fresh,) = lines[2]["needs"]
    assert Results(plant.stores.objects, "local").find(fresh) is not None, "kept, for the next one"
    for image, line in zip(images, lines, strict=True):
        alone = work(plant, "apply", image=image, vectors=[{"vector": vector}], inversion_steps=2)
        file = Results(plant.stores.objects, "local").read(line["result"], "picture_00.png")
        its = levels(output(plant, alone, "picture_000_00.png"))
        assert np.abs(its - levels(file or b"")).max() <= 1


def test_a_chunk_says_how_many_bytes_its_results_have_those_that_serve_too(plant: Trial) -> None:
    inputs = manifest(plant, {"image": send_picture(plant, 1)})
    batch = do(plant, apply(put_vector(plant, size=1.0)), inputs)
    again = do(plant, batch.spec["spec"], inputs)
    (line,) = lines_of(plant, batch, "results")
    results = Results(plant.stores.objects, "local")
    made = [line["result"], *line["needs"]]
    byte_size = sum(len(plant.stores.objects.get_range(results.key(digest))) for digest in made)
    assert plant.stores.batches.chunk(batch.id, 0).results_bytes == byte_size
    assert plant.stores.batches.chunk(again.id, 0).results_bytes == 0, "it took them over"


def test_a_saved_inversion_whose_file_is_gone_is_made_again(plant: Trial) -> None:
    image, vector = send_picture(plant, 1), put_vector(plant, size=1.0)
    saved = work(plant, "invert", image=image, steps=2)
    plant.stores.objects.delete([saved.outputs["w_plus.safetensors"].key])
    batch = do(plant, apply(vector), manifest(plant, {"image": image}))
    (line,) = lines_of(plant, batch, "results")
    assert (line["status"], line["figures"]["inversion"]["steps"]) == ("succeeded", 2)


def test_what_is_known_is_drawn_before_the_last_item_was_read(
    plant: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = [send_picture(plant, seed) for seed in range(12)]
    inputs = manifest(plant, *({"image": image} for image in images))
    do(plant, INVERT, inputs)
    batch = add(plant, apply(put_vector(plant, size=1.0)), inputs)
    plant.take(recipe_for, queue="cpu")
    claim = plant.stores.jobs.claim("gpu", "trial", lease_s=60)
    assert claim is not None
    assert claim.job.kind == CHUNK
    attempt = Attempt(claim, plant.stores, Models(plant.stores.objects, plant.settings))
    spec = read_batch_spec(batch.spec)
    assert isinstance(spec.wanted, ApplySpec)
    operation, size_px, digest = operation_of(attempt, spec, Results(plant.stores.objects, "local"))
    monkeypatch.setitem(WIDTHS.measured, ("apply", "Drawing", digest), 2)
    read: list[int] = []

    def pieces() -> Iterator[Piece]:
        for index in range(12):
            picture = np.array(to_square(decode_picture(png(index)), size_px))
            read.append(index)
            known = operation.known(picture)
            assert known is not None
            yield Piece(index, {"id": str(index)}, picture, f"{index:064x}", known)

    read_by_then = [len(read) for event in operation.run(pieces()) if isinstance(event, Made)]
    assert len(read_by_then) == len(images)
    assert read_by_then[0] < len(images)
