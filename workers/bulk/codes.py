"""The codes of a chunk's items: of a sample drawn, of a picture known or looked for, many at once."""

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from safetensors.torch import load, save

from gpu_ops.bundle import Bundle
from gpu_ops.invert import InvertResult
from gpu_ops.many.inverting import Inverting as InvertingWork
from gpu_ops.picture import Picture
from gpu_ops.sample import seeded_code
from storage.inversion_specs import Inverting
from storage.library_records import Model
from storage.masks import encode_mask
from storage.pictures import encode_png
from storage.plain import plain
from storage.results import Results
from workers.attempt import Attempt
from workers.bulk.operation import Event, Files, Made, Stepped, fault_of, run_many
from workers.bulk.pieces import Fault, Piece
from workers.recipes.inversions import inversion_digest, saved_inversion

MOST = 32
W_PLUS = "w_plus.safetensors"


@dataclass(frozen=True)
class Code:
    """w_plus [1, L, D] of an item; needs: the digest of the inversion that it comes from, if of one."""

    w_plus: torch.Tensor
    facts: Mapping[str, Any] = field(default_factory=dict)
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Codes:
    attempt: Attempt
    model: Model
    bundle: Bundle
    results: Results
    steps: int
    how: Inverting
    truncation_psi: float

    def digest_of(self, picture: Picture) -> str:
        return inversion_digest(self.model, self.bundle, picture, self.steps, self.how)

    def known(self, picture: Picture) -> Code | None:
        """The code on the CPU, of a picture that was inverted before. Safe for threads."""
        if not self.how.reuse:
            return None
        digest = self.digest_of(picture)
        opened = self.results.open(digest)
        if opened is not None and W_PLUS in opened[1]:
            found, files = opened
            return Code(load(files[W_PLUS])["w_plus"], found.figures, (digest,))
        saved = saved_inversion(self.attempt, digest)
        return None if saved is None or saved.weights is not None else Code(saved.w_plus, saved.facts)

    def known_first(self, pieces: Iterator[Piece], unknown: list[Piece]) -> Iterator[tuple[Piece, Code]]:
        """Pieces with their codes, up to the first that must be inverted: that one goes into `unknown`."""
        for piece in pieces:
            code = self._code(piece)
            if code is None:
                unknown.append(piece)
                return
            yield piece, code

    def find(
        self, pieces: Iterator[Piece], *, serving: bool
    ) -> Generator[Event, None, list[tuple[Piece, Code]]]:
        """The code of every piece. `serving`: an inversion is no item's result, but kept all the same.

        An inversion that cannot be made is its item's Fault.
        """
        found: dict[int, tuple[Piece, Code]] = {}
        wanted: dict[int, Piece] = {}
        for event in run_many(self._name, self._work, self._unknown(pieces, found, wanted), self._most):
            match event:
                case Stepped():
                    yield event
                case index, Exception() as error:
                    del wanted[index]
                    yield fault_of(index, error)
                case index, result:
                    piece = wanted.pop(index)
                    made = self._made(piece, result, serving=serving)
                    code = Code(result.w_plus.to(self.bundle.device), made.figures, (made.digest,))
                    found[index] = piece, code
                    yield made
        return [found[index] for index in sorted(found)]

    def _unknown(
        self, pieces: Iterator[Piece], found: dict[int, tuple[Piece, Code]], wanted: dict[int, Piece]
    ) -> Iterator[tuple[int, Picture]]:
        """Those that must be inverted; the others' codes go into `found`."""
        for piece in pieces:
            code = self._code(piece)
            if code is not None:
                found[piece.index] = piece, code
                continue
            assert piece.picture is not None
            wanted[piece.index] = piece
            yield piece.index, piece.picture

    def _code(self, piece: Piece) -> Code | None:
        if piece.picture is None:
            return Code(seeded_code(self.bundle, piece.item["seed"], self.truncation_psi))
        code: Code | None = piece.known
        return None if code is None else replace(code, w_plus=code.w_plus.to(self.bundle.device))

    @property
    def _work(self) -> InvertingWork:
        how = self.how
        return InvertingWork(self.bundle, self.steps, how.lr, how.start, how.patience, how.lambda_prior)

    @property
    def _name(self) -> tuple[str, str]:
        return "invert", self.model.digest

    @property
    def _most(self) -> int:
        return self.attempt.tensor_batch(MOST)

    def _made(self, piece: Piece, result: InvertResult, *, serving: bool) -> Made:
        assert piece.picture is not None
        facts = plain(
            {
                "steps": result.steps,
                "start": result.start,
                "psnr_db": result.psnr_db[0],
                "loss_first": result.losses_first[0],
                "loss_last": result.losses_last[0],
                "complete": result.complete,
            }
        )
        digest = self.digest_of(piece.picture) if serving else piece.digest
        return Made(None if serving else piece.index, digest, partial(self._encoded, result), facts)

    def _encoded(self, result: InvertResult) -> Files:
        return {
            "inverted.png": encode_png(result.pictures[0]),
            "mask.png": encode_mask(result.masks[0], self.model.parts),
            W_PLUS: tensor_file(w_plus=result.w_plus),
        }


def tensor_file(**tensors: torch.Tensor) -> bytes:
    return save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})


@dataclass(frozen=True)
class InvertMany:
    """The Operation of `invert`."""

    codes: Codes

    def digest_of(self, item: Mapping[str, Any], picture: Picture | None) -> str:  # noqa: ARG002
        assert picture is not None, "a sample is not inverted"
        return self.codes.digest_of(picture)

    def known(self, picture: Picture) -> Code | None:
        return self.codes.known(picture)

    def run(self, pieces: Iterator[Piece]) -> Generator[Event, None, None]:
        yield from self._known(pieces)

    def _known(self, pieces: Iterator[Piece]) -> Generator[Event, None, None]:
        made: set[int] = set()
        steps = self.codes.find(pieces, serving=False)
        while True:
            try:
                event = next(steps)
            except StopIteration as end:
                found: list[tuple[Piece, Code]] = end.value
                break
            if isinstance(event, Made | Fault) and event.index is not None:
                made.add(event.index)
            yield event
        for piece, code in found:
            if piece.index not in made:  # saved by a single job: drawn once more
                yield self._drawn(piece, code)

    def _drawn(self, piece: Piece, code: Code) -> Made:
        from gpu_ops.refine import look

        view = look(self.codes.bundle, code.w_plus)
        files = {
            "inverted.png": encode_png(view.pictures[0]),
            "mask.png": encode_mask(view.masks[0], self.codes.model.parts),
            W_PLUS: tensor_file(w_plus=code.w_plus),
        }
        return Made(piece.index, piece.digest, lambda: files, code.facts)
