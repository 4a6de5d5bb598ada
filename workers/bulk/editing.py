"""edit, for a chunk's items: the same mask operations on each item's own mask."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from gpu_ops.edit import EditResult
from gpu_ops.many.editing import Editing, EditTask
from gpu_ops.picture import Picture
from gpu_ops.refine import look
from storage.errors import EditqError, MaskUnchanged
from storage.mask_operations import apply_operations, edited_parts
from storage.masks import encode_mask
from storage.pictures import encode_png
from storage.plain import plain
from storage.results import digest_of
from storage.specs import EditSpec
from workers.bulk.applying import source_of
from workers.bulk.codes import Code, Codes, tensor_file
from workers.bulk.operation import Event, Events, Files, Made, Stepped, fault_of, run_many
from workers.bulk.pieces import Fault, Piece

VERSION = 1
"""As workers/bulk/applying.py has it."""
MOST = 32


@dataclass(frozen=True)
class EditMany:
    """The Operation of `edit`. copied: masks that operations copy from, by image id."""

    codes: Codes
    spec: EditSpec
    copied: Mapping[str, Picture]
    work: Editing
    settings: Mapping[str, Any]

    def digest_of(self, item: Mapping[str, Any], picture: Picture | None) -> str:
        return digest_of(
            {
                "kind": "edit",
                "version": VERSION,
                "code": source_of(self.codes, item, picture),
                "model": self.codes.model.digest,
                "settings": self.settings,
            }
        )

    def known(self, picture: Picture) -> Code | None:
        return self.codes.known(picture)

    def run(self, pieces: Iterator[Piece]) -> Events:
        codes = yield from self.codes.find(pieces, serving=True)
        tasks: dict[int, tuple[Piece, Code, EditTask]] = {}
        for piece, code in codes:
            made = self._task(piece, code)
            if isinstance(made, Fault):
                yield made
            else:
                tasks[piece.index] = piece, code, made
        yield from self._edited(tasks)

    def _edited(self, tasks: Mapping[int, tuple[Piece, Code, EditTask]]) -> Iterator[Event]:
        most = self.codes.attempt.tensor_batch(MOST)
        items = ((index, task) for index, (_, _, task) in tasks.items())
        for event in run_many(("edit", self.codes.model.digest), self.work, items, most):
            match event:
                case Stepped():
                    yield event
                case index, Exception() as error:
                    yield fault_of(index, error)
                case index, result:
                    piece, code, task = tasks[index]
                    told = {**result.metrics[0], "steps": result.steps, "inversion": dict(code.facts)}
                    encode = partial(self._encoded, result, task)
                    yield Made(index, piece.digest, encode, plain(told), code.needs)

    def _task(self, piece: Piece, code: Code) -> EditTask | Fault:
        parts, groups = self.codes.model.parts, self.codes.model.groups
        mask = look(self.codes.bundle, code.w_plus).masks[0]
        try:
            target = apply_operations(mask, self.spec.mask_operations, parts, groups, self.copied)
            if np.array_equal(target, mask):
                raise MaskUnchanged(
                    "The operations change nothing of this item's mask.", field="mask_operations"
                )
            return EditTask(code.w_plus, target, edited_parts(self.spec, mask, target, parts, groups))
        except EditqError as error:
            return Fault(piece.index, error)

    def _encoded(self, result: EditResult, task: EditTask) -> Files:
        parts = self.codes.model.parts
        return {
            "inverted.png": encode_png(result.inverted[0]),
            "mask.png": encode_mask(result.masks_before[0], parts),
            "target_mask.png": encode_mask(task.target_mask, parts),
            "edited.png": encode_png(result.pictures[0]),
            "edited_mask.png": encode_mask(result.masks[0], parts),
            "code.safetensors": tensor_file(w_plus=task.w_plus, delta_w=result.delta_w),
        }
