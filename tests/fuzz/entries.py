"""Where bytes of strangers come in: pictures, masks, manifests, tars, specs, checkpoints.

Each entry makes an input out of a whole one by dice, says whether it got past the checks of the header (for
text: whether it is JSON at all), and reads it. Reading may raise its refusals, and nothing else.
"""

import contextlib
import io
import json
import pickle
import random
import tarfile
import tempfile
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from importers_hostile import RUNNING
from onnx_files import written
from PIL import Image
from pydantic import ValidationError

from fuzz.mutation import changed, damaged, strange, with_sums
from gpu_ops.importers.limits import Limits
from gpu_ops.importers.reader.recognise import read_contents
from gpu_ops.importers.refusals import CheckpointRefused, UnknownFormat
from storage.errors import EditqError
from storage.manifests import csv_entries, jsonl_entries
from storage.masks import decode_mask
from storage.pictures import decode_picture, open_judged
from storage.specs import JOB_SPEC
from workers.bulk.reading import _members

MAX_PIXELS = 1_000_000
LIMITS = Limits(tensor_bytes=64 << 20, memory_bytes=256 << 20, pickle_steps=100_000)
HEADERS = {b"\x89PNG": 33, b"\xff\xd8": 160, b"RIFF": 30, b"BM": 54, b"II": 8}


@dataclass(frozen=True)
class Entry:
    whole: list[bytes]
    make: Callable[[random.Random, bytes], bytes]
    past_header: Callable[[bytes], bool]
    read: Callable[[bytes], object]
    refusals: tuple[type[BaseException], ...]
    files: tuple[str, ...]  # whose coverage is stated


def pictures() -> list[bytes]:
    found = []
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (18, 24, 3), np.uint8))
    for file_format, modes in {
        "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
        "JPEG": ("L", "RGB", "CMYK"),
        "TIFF": ("1", "L", "RGB", "CMYK"),
        "WEBP": ("RGB", "RGBA"),
        "BMP": ("1", "P", "RGB"),
    }.items():
        for mode in modes:
            for options in ({}, *(({"compression": "tiff_lzw"},) if file_format == "TIFF" else ())):
                file = io.BytesIO()
                noise.convert(mode).save(file, file_format, **options)
                found.append(file.getvalue())
    return found


def masks() -> list[bytes]:
    found = []
    for each in pictures():
        with contextlib.suppress(EditqError):
            decode_mask(each)
            found.append(each)
    return found


def picture_like(dice: random.Random, data: bytes) -> bytes:
    header = next(size for first, size in HEADERS.items() if data.startswith(first))
    made = damaged(dice, data, after=header if dice.random() < 0.75 else 0)
    return with_sums(made) if dice.random() < 0.7 else made


def judged(data: bytes, formats: tuple[str, ...] = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")) -> bool:
    """Whether the header was taken: what follows is decoding."""
    with contextlib.suppress(EditqError), open_judged(data, MAX_PIXELS, formats):
        return True
    return False


def manifest_like(dice: random.Random, data: bytes) -> bytes:
    if dice.random() < 0.4 or not data.startswith(b"{"):
        return damaged(dice, data)
    lines = [changed(dice, json.loads(line)) for line in data.splitlines()]
    return "\n".join(json.dumps(line) for line in lines).encode("utf-8", "surrogatepass")


def lines() -> list[bytes]:
    entries = [
        {"id": "car-17", "key": "lot/17.jpg"},
        {"image": "0" * 32, "strengths": {"1" * 32: 0.5}},
        {"seed": 17, "n": 3, "error": {"code": "x"}},
        {"file": "2" * 32, "at": 512, "bytes": 9000},
    ]
    jsonl = "\n".join(map(json.dumps, entries)).encode()
    return [
        jsonl,
        b'id,key\ncar-17,lot/17.jpg\ncar-18,"lot/18"\n',
        b"image,strength\n" + b"0" * 32 + b",0.5\n",
    ]


def read_lines(data: bytes) -> None:
    entries = jsonl_entries if data.lstrip()[:1] in (b"{", b"[") else csv_entries
    half = len(data) // 2
    for _ in entries([data[:half], data[half:]]):
        pass


def tars() -> list[bytes]:
    found = []
    for form in (tarfile.USTAR_FORMAT, tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode="w", format=form) as tar:
            for name in ("a/1.png", "b/" + "x" * 90 + ".png"):
                member = tarfile.TarInfo(name)
                member.size = 700
                tar.addfile(member, io.BytesIO(bytes(700)))
        found.append(file.getvalue())
    return found


def tar_like(dice: random.Random, data: bytes) -> bytes:
    """With the sums of its headers mended, more often than not: what they say is believed then."""
    file = bytearray(damaged(dice, data, after=0 if dice.random() < 0.3 else 512))
    if dice.random() < 0.7:
        for at in range(0, len(file) - 511, 512):
            if file[at + 257 : at + 262] == b"ustar":
                file[at + 148 : at + 156] = b" " * 8
                file[at + 148 : at + 156] = b"%06o\0 " % sum(file[at : at + 512])
    return bytes(file)


def is_tar(data: bytes) -> bool:
    try:
        tarfile.TarInfo.frombuf(data[:512], "utf-8", "surrogateescape")
    except tarfile.TarError:
        return False
    return True


def read_tar(data: bytes) -> None:
    for _ in _members(iter([data[:1000], data[1000:]]), "inputs"):
        pass


def specs() -> list[bytes]:
    wheel = {"op": "scale", "part": "wheel", "factor": 1.4}
    polygon = {"op": "polygon", "into": "wheel", "points": [[1, 1], [5, 1], [3, 5]]}
    webhook = {"url": "https://example.org/x", "events": ["failed"]}
    options = {"priority": "bulk", "start_within_s": 60, "keep_s": 600, "webhook": webhook}
    cars, image, pair = {"model": "cars"}, "0" * 32, {"image": "0" * 32, "mask": "0" * 32}
    vector = {"vector": "1" * 32, "strength": 0.5}
    found: list[dict[str, Any]] = [
        {"kind": "sample", "seed": 1, "count": 2, "truncation_psi": 0.7, "options": options},
        {"kind": "invert", "image": image, "steps": 50, "lr": 0.1},
        {"kind": "edit", "inversion": image, "mask_operations": [wheel, polygon], "steps": 9},
        {"kind": "edit", "image": image, "mask": image, "q_edit": ["wheel"]},
        {"kind": "apply", "inputs": [{"image": image}], "vectors": [vector]},
        {"kind": "generate_dataset", "count": 5, "formats": ["coco_panoptic", "pairs"]},
        {"kind": "train_segmenter", "name": "x", "folds": 0, "annotations": [pair, pair]},
    ]
    return [json.dumps({**cars, **each}).encode() for each in found]


def spec_like(dice: random.Random, data: bytes) -> bytes:
    if dice.random() < 0.15:
        return damaged(dice, data)
    made = strange(dice) if dice.random() < 0.01 else changed(dice, json.loads(data))
    return json.dumps(made).encode("utf-8", "surrogatepass")


def is_json(data: bytes) -> bool:
    try:
        json.loads(data)
    except (ValueError, RecursionError):
        return False
    return True


def all_json(data: bytes) -> bool:
    return not data.startswith(b"{") or all(is_json(line) for line in data.splitlines())


def checkpoints() -> list[bytes]:
    state = OrderedDict(weight=torch.arange(6.0).reshape(2, 3), bias=torch.ones(2, dtype=torch.float16))
    found = [maker(Path("/nowhere/canary")) for maker in RUNNING.values()]
    for zipped in (True, False):
        file = io.BytesIO()
        torch.save(
            {"g_ema": state, "latent_avg": torch.zeros(3)}, file, _use_new_zipfile_serialization=zipped
        )
        found += [file.getvalue()] * 4
    npy = io.BytesIO()
    np.save(npy, np.arange(12, dtype=np.float32).reshape(3, 4))
    found += [npy.getvalue()] * 3
    found += [pickle.dumps({"G_ema": {"x": 1}, "list": [1, (2, 3)]}, protocol=each) for each in (2, 4)]
    return found + [onnx_network()] * 3


def onnx_network() -> bytes:
    layers = (torch.nn.Conv2d(3, 4, 3, 2), torch.nn.ReLU(), torch.nn.Flatten())
    return bytes(written(torch.nn.Sequential(*layers)).SerializeToString())


def checkpoint_like(dice: random.Random, data: bytes) -> bytes:
    return damaged(dice, data, after=min(len(data) // 4, 24) if dice.random() < 0.75 else 0)


def is_known(data: bytes) -> bool:
    try:
        _read_checkpoint(data)
    except UnknownFormat as refusal:
        return "begins with" not in str(refusal)
    except (CheckpointRefused, MemoryError):
        return True
    except Exception:  # noqa: BLE001 - the reading process takes it for a damaged file: see its entry.py
        return True
    return True


def _read_checkpoint(data: bytes) -> None:
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.seek(0)
        read_contents(file, memoryview(data), LIMITS)


ENTRIES: dict[str, Callable[[], Entry]] = {
    "picture": lambda: Entry(
        pictures(), picture_like, judged, partial(decode_picture, max_pixels=MAX_PIXELS), (EditqError,),
        ("storage/pictures.py",),
    ),
    "mask": lambda: Entry(
        masks(), picture_like, partial(judged, formats=("PNG",)),
        partial(decode_mask, max_pixels=MAX_PIXELS), (EditqError,), ("storage/masks.py",),
    ),
    "manifest": lambda: Entry(
        lines(), manifest_like, all_json, read_lines, (EditqError,), ("storage/manifests.py",)
    ),
    "tar": lambda: Entry(tars(), tar_like, is_tar, read_tar, (EditqError,), ("workers/bulk/reading.py",)),
    "spec": lambda: Entry(
        specs(), spec_like, is_json, JOB_SPEC.validate_json, (ValidationError,),
        ("storage/specs.py", "storage/mask_specs.py", "storage/vector_specs.py", "storage/options.py"),
    ),
    "importer": lambda: Entry(
        checkpoints(), checkpoint_like, is_known, _read_checkpoint, (CheckpointRefused, MemoryError),
        ("gpu_ops/importers/reader/*.py",),
    ),
}  # fmt: skip


def text_of(value: Any) -> str:
    return f"{type(value).__name__}: {str(value)[:200]}"
