"""apply, for a chunk's items: vectors at the batch's strengths, or at an item's own."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import Any

import torch

from gpu_ops.apply import Applied, Plan
from gpu_ops.many.applying import Applying, ApplyTask, Drawing
from gpu_ops.picture import Picture
from gpu_ops.refine import View
from gpu_ops.vectors import Use, combine
from storage.masks import encode_mask
from storage.pictures import encode_png
from storage.plain import plain
from storage.results import digest_of
from storage.vector_specs import ApplySpec
from workers.bulk.codes import Code, Codes
from workers.bulk.operation import Events, Files, Made, Stepped, fault_of, run_many
from workers.bulk.pieces import Piece
from workers.recipes.apply_task import Chosen

VERSION = 2
"""Counted up whenever the same item, model and settings would give another result than before."""
MOST = 64
Shown = View | Applied


@dataclass(frozen=True)
class Columns:
    """An item of which some strengths of the sweep are done: `shown`, by their places in it."""

    piece: Piece
    code: Code
    shown: dict[int, Shown] = field(default_factory=dict)


@dataclass(frozen=True)
class ApplyMany:
    """The Operation of `apply`. settings: what of the spec its results depend on."""

    codes: Codes
    spec: ApplySpec
    chosen: tuple[Chosen, ...]
    q_edit: tuple[int, ...]
    work: Applying | Drawing
    settings: Mapping[str, Any]

    def digest_of(self, item: Mapping[str, Any], picture: Picture | None) -> str:
        return digest_of(
            {
                "kind": "apply",
                "version": VERSION,
                "code": source_of(self.codes, item, picture),
                "model": self.codes.model.digest,
                "settings": self.settings,
                "strengths": self._strengths(item),
            }
        )

    def known(self, picture: Picture) -> Code | None:
        return self.codes.known(picture)

    def run(self, pieces: Iterator[Piece]) -> Events:
        """What is known is drawn while more is read, until something must be inverted."""
        unknown: list[Piece] = []
        yield from self._applied(self.codes.known_first(pieces, unknown))
        if unknown:
            codes = yield from self.codes.find(chain(unknown, pieces), serving=True)
            yield from self._applied(codes)

    def _applied(self, codes: Iterable[tuple[Piece, Code]]) -> Events:
        begun: dict[int, Columns] = {}
        most = self.codes.attempt.tensor_batch(MOST)
        for event in run_many(self._name, self.work, self._tasks(codes, begun), most):
            match event:
                case Stepped():
                    yield event
                case (index, _), Exception() as error:
                    if begun.pop(index, None) is not None:
                        yield fault_of(index, error)
                case (index, column), result:
                    if index in begun:
                        begun[index].shown[column] = result
                        if len(begun[index].shown) == len(self.spec.sweep):
                            yield self._whole(begun.pop(index))

    @property
    def _name(self) -> tuple[str, ...]:
        return "apply", type(self.work).__name__, self.codes.model.digest

    def _tasks(
        self, codes: Iterable[tuple[Piece, Code]], begun: dict[int, Columns]
    ) -> Iterator[tuple[tuple[int, int], ApplyTask]]:
        last: dict[str, float] | None = None
        deltas: list[torch.Tensor | None] = []
        for piece, code in codes:
            begun[piece.index] = Columns(piece, code)
            strengths = self._strengths(piece.item)
            if strengths != last:  # they are all the same where items have none of their own
                last, deltas = strengths, self._deltas(strengths, code.w_plus)
            for column, delta_w in enumerate(deltas):
                yield (piece.index, column), ApplyTask(code.w_plus, delta_w, self.q_edit)

    def _deltas(self, strengths: Mapping[str, float], like: torch.Tensor) -> list[torch.Tensor | None]:
        """What the vectors add, for each factor of the sweep."""
        return [
            combine((Use(v.delta_w, factor * strengths[v.vector.id], v.vector.id) for v in self.chosen), like)
            for factor in self.spec.sweep
        ]

    def _strengths(self, item: Mapping[str, Any]) -> dict[str, float]:
        given = item.get("strengths", {})
        return {each.vector.id: given.get(each.vector.id, each.strength) for each in self.chosen}

    def _whole(self, done: Columns) -> Made:
        """An item's result, now that all its columns are there."""
        piece, code = done.piece, done.code
        figures = {"strengths": self._strengths(piece.item), "sweep": list(self.spec.sweep)}
        figures |= _inversion(code) | _told(done.shown)
        encode = partial(self._encoded, done.shown)
        return Made(piece.index, piece.digest, encode, plain(figures), code.needs)

    def _encoded(self, columns: Mapping[int, Shown]) -> Files:
        files = {}
        for column, shown in sorted(columns.items()):
            picture, mask = _pixels(shown)
            files[f"picture_{column:02d}.png"] = encode_png(picture)
            files[f"mask_{column:02d}.png"] = encode_mask(mask, self.codes.model.parts)
        return files


def _pixels(shown: Shown) -> tuple[Picture, Picture]:
    return (shown.pictures[0], shown.masks[0]) if isinstance(shown, View) else (shown.picture, shown.mask)


def _told(columns: Mapping[int, Shown]) -> dict[str, Any]:
    told = [
        {"mode": each.way, "why": each.why, "steps": each.steps, **each.figures}
        for _, each in sorted(columns.items())
        if isinstance(each, Applied)
    ]
    return {"applied": told} if told else {}


def _inversion(code: Code) -> dict[str, Any]:
    return {"inversion": dict(code.facts)} if code.facts else {}


def source_of(codes: Codes, item: Mapping[str, Any], picture: Picture | None) -> list[Any] | str:
    """What an item's code depends on."""
    return ["seed", item["seed"], codes.truncation_psi] if picture is None else codes.digest_of(picture)


def work_of(codes: Codes, plan: Plan) -> Applying | Drawing:
    """One forward pass for the vectors alone; else what may have to optimise."""
    bundle = codes.bundle.for_applying()
    return Drawing(bundle) if plan.mode == "vector" else Applying(bundle, plan)
