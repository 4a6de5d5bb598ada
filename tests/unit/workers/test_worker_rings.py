"""What a ring says; a worker that would have to load a model lets others hear of it first; who stays for the
next ring answers what it heard.
"""

from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from workers.pace import Pace
from workers.queue import Hint, hint_of, message
from workers.tasks import MOST_PASSED, PASS_S, answer, pass_on


@pytest.mark.parametrize("hint", [Hint("a1"), Hint("a1", "cars"), Hint("a1", "cars", 2), Hint("undrain")])
def test_a_hint_is_read_as_it_was_written(hint: Hint) -> None:
    assert Hint.read(hint_of(message("gpu", str(hint)).encode())) == hint


@pytest.mark.parametrize("text", ["", "a b", "a b c", "a b -1", "a b 1 d", "  "])
def test_words_that_are_no_hint_name_no_model(text: str) -> None:
    assert Hint.read(text).model == ""


@pytest.mark.parametrize("raw", [b"", b"\xff", b"[]", b"{}", b'{"body": "?"}', b'{"body": "W10="}'])
def test_a_message_of_another_form_says_nothing(raw: bytes) -> None:
    assert hint_of(raw) == ""


@pytest.mark.parametrize(
    ("hint", "rings"),
    [
        (Hint("job", "cars"), []),
        (Hint("job", "faces"), ["job faces 1"]),
        (Hint("job", "faces", MOST_PASSED - 1), [f"job faces {MOST_PASSED}"]),
        (Hint("job", "faces", MOST_PASSED), []),
        (Hint("job"), []),
    ],
    ids=["loaded", "not loaded", "passed before", "passed often enough", "no model"],
)
def test_a_ring_is_passed_on_by_who_has_not_loaded_its_model(
    hint: Hint, rings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rung, slept = [], []
    monkeypatch.setattr("workers.tasks.time.sleep", slept.append)
    models = SimpleNamespace(loaded=lambda name: name == "cars")
    place: Any = SimpleNamespace(models=models, ring=lambda queue, text: rung.append((queue, text)))
    pass_on("gpu", hint, place)
    assert rung == [("gpu", text) for text in rings]
    assert slept == [PASS_S] * len(rings)


class Place:
    """Of which `take` finds so many jobs at each look, and that hears these rings."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, found: Sequence[int], rings: Sequence[str]) -> None:
        self.looks, self.gave_back, self.told_to_end_at = 0, 0, 99
        self.pace = Pace()
        self.models = SimpleNamespace(loaded=lambda _name: True)
        self._found, self.rings = iter(found), iter(rings)
        monkeypatch.setattr("workers.tasks.take", self._take)
        monkeypatch.setattr("workers.tasks.give_back", self._give_back)

    def _take(self, _queue: str, _place: Any) -> tuple[Any, ...]:
        self.looks += 1
        return (SimpleNamespace(kind="sample"),) * next(self._found)

    def _give_back(self) -> None:
        self.gave_back += 1

    def heard(self, _queue: str, _timeout_s: float) -> str | None:
        return next(self.rings, None)

    def draining(self) -> bool:
        return self.looks >= self.told_to_end_at


def answered(place: Any) -> Iterator[str]:
    answer("gpu", "job", place)
    return place.rings


def test_rings_are_answered_until_none_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place(monkeypatch, [1, 2, 1], ["one", "two"])
    assert list(answered(place)) == []
    assert place.looks == 3


def test_who_finds_nothing_leaves_the_next_ring_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place(monkeypatch, [1, 0], ["one", "another's"])
    assert list(answered(place)) == ["another's"]


def test_who_is_told_to_end_hears_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place(monkeypatch, [1, 1], ["one", "another's"])
    place.told_to_end_at = 2
    assert list(answered(place)) == ["another's"]


def test_memory_of_a_long_job_is_given_back_once_nothing_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    long, short = (Place(monkeypatch, [1, 1], ["one"]) for _ in range(2))
    short.pace.took("sample", 0.1)
    for place, times in ((long, 1), (short, 0)):
        monkeypatch.setattr("workers.tasks.take", place._take)
        monkeypatch.setattr("workers.tasks.give_back", place._give_back)
        answered(place)
        assert place.gave_back == times
