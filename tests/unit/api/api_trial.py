"""An API over memory stores, and pictures and masks to send it."""

import io
import struct
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image as Pillow

from storage.library_records import Model, Part, Vector
from storage.masks import Mask, encode_mask
from storage.objects import output_key, vector_key
from storage.records import SYSTEM_TENANT, Job, ObjectRef, new_id
from storage.stores import Stores

SIZE_PX = 16
DIGEST = "d" * 64
REPORT = {"table": [[-1.0, -0.2], [0.0, 0.0], [1.0, 0.5]], "measure": {"kind": "growth", "name": "wheel"}}
PARTS = (
    Part(0, "sky", (100, 150, 250)),
    Part(1, "body", (200, 30, 30)),
    Part(2, "tyre", (20, 20, 20)),
    Part(3, "rim", (180, 180, 180)),
)


def cars() -> Model:
    weights = ObjectRef("system/models/cars/d/generator.safetensors", "a" * 64, 3, "application/octet-stream")
    files = dict.fromkeys(("generator", "segmenter", "perceptual"), weights)
    groups = {"wheel": ("tyre", "rim")}
    card = {"license": "MIT"}
    return Model(new_id(), SYSTEM_TENANT, "cars", DIGEST, SIZE_PX, PARTS, groups, files, card, 0.0)


def car_mask() -> Mask:
    mask = np.zeros((SIZE_PX, SIZE_PX), np.uint8)
    mask[6:12] = 1
    mask[9:14, 3:8] = 2
    mask[10:13, 4:7] = 3
    return mask


def mask_png(mask: Mask | None = None) -> bytes:
    return encode_mask(car_mask() if mask is None else mask, PARTS)


def picture(format: str = "PNG", size: tuple[int, int] = (40, 30)) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Pillow.fromarray(pixels).save(buffer, format)
    return buffer.getvalue()


def bomb(side_px: int = 30_000) -> bytes:
    """A valid PNG of half a megabyte whose 900 million pixels unpack to as many bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer, row = zlib.compressobj(1), bytes(side_px // 8 + 1)
    pixels = b"".join(packer.compress(row) for _ in range(side_px)) + packer.flush()
    header = struct.pack(">IIBBBBB", side_px, side_px, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@dataclass
class Trial:
    app: Flask
    stores: Stores
    rung: list[tuple[str, str]]

    def kept(self) -> tuple[int, int, int]:
        """Jobs, images and objects that there are."""
        images = self.stores.library.list_images("local").items
        return len(self.stores.jobs.list("local").items), len(images), len(list(self.stores.objects.list("")))

    def inverted(self, mask: Mask | None = None, *, digest: str = DIGEST, kind: str = "invert") -> Job:
        """A job that has succeeded and left a mask."""
        stores = self.stores
        job = stores.jobs.add("local", kind, {"kind": kind, "model": "cars"})
        claim = stores.jobs.claim("gpu", "w", lease_s=30)
        assert claim is not None
        assert claim.job.id == job.id
        names = {"invert": "mask.png", "edit": "edited_mask.png", "sample": "mask_000.png"}
        names |= {"learn_vector": "mask.png", "apply": "mask_000_00.png"}
        key = output_key("local", job.id, 1, names[kind])
        outputs = {names[kind]: stores.objects.put(key, mask_png(mask), "image/png")}
        return stores.jobs.succeed(claim, outputs, {"model_digest": digest})


def upload(client: FlaskClient, data: bytes, role: str = "picture") -> str:
    answer = client.post(f"/v1/images?role={role}", data=data, content_type="image/png")
    assert answer.status_code == 201, answer.text
    return str(answer.get_json()["id"])


def put_vector(
    trial: Trial, *, generator: str | None = None, tenant_id: str = "local", report: Any = REPORT
) -> str:
    ref = trial.stores.objects.put(vector_key(tenant_id, new_id() * 2), b"x", "application/octet-stream")
    own = trial.stores.library.get_model(tenant_id, "cars").generator_sha256
    about = ("larger wheels", "cars", DIGEST, generator or own, "wheel grows", (), ("tyre",))
    made = Vector(new_id(), tenant_id, *about, {"delta_w": ref}, {}, report, None, 0.0)
    return trial.stores.library.put_vector(made).id
