"""Pictures of an operation on its way: small, and now and then, for who watches."""

import io
import time
from base64 import b64encode
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from gpu_ops.progress import Progress

EVERY_S = 1.0
SIDE_PX, QUALITY = 192, 80  # some 4 to 8 kB each: the board keeps the last messages of a job only
EXACT_PX = 64  # a picture no larger than this is sent as it is, in about as many bytes


class Previews:
    """The first picture of an operation, as a data URI, once a second at most."""

    def __init__(self) -> None:
        self._drawn = float("-inf")

    def of(self, progress: "Progress") -> str | None:
        """None where it is too early for another, or the operation draws none."""
        now = time.monotonic()
        if progress.preview is None or now - self._drawn < EVERY_S:
            return None
        self._drawn = now
        picture = Image.fromarray(progress.preview()[0])
        stream, kind = io.BytesIO(), "png" if max(picture.size) <= EXACT_PX else "jpeg"
        picture.thumbnail((SIDE_PX, SIDE_PX))
        picture.save(stream, kind, quality=QUALITY)
        return f"data:image/{kind};base64,{b64encode(stream.getvalue()).decode()}"
