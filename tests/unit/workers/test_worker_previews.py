"""Pictures of an optimisation on its way."""

import io
from base64 import b64decode

import numpy as np
from PIL import Image as Pillow

from gpu_ops.progress import Progress
from workers.previews import Previews


def test_an_optimisation_shows_small_pictures_now_and_then_and_bookkeeping_none() -> None:
    drawn = [np.full((1, 300, 200, 3), 40 * step, np.uint8) for step in range(4)]
    previews = Previews()
    shown = [previews.of(Progress(step + 1, 4, preview=lambda step=step: drawn[step])) for step in range(4)]
    assert [each is not None for each in shown] == [True, False, False, False]
    kind, data = shown[0].split(",")
    assert kind == "data:image/jpeg;base64"
    assert Pillow.open(io.BytesIO(b64decode(data))).size == (128, 192)
    assert Previews().of(Progress(1, 2)) is None


def test_a_picture_that_is_small_itself_is_shown_as_it_is() -> None:
    drawn = np.random.default_rng(0).integers(0, 256, (1, 64, 48, 3), np.uint8)
    preview = Previews().of(Progress(1, 1, preview=lambda: drawn))
    assert preview is not None
    kind, data = preview.split(",")
    assert kind == "data:image/png;base64"
    assert np.array_equal(np.asarray(Pillow.open(io.BytesIO(b64decode(data)))), drawn[0])
