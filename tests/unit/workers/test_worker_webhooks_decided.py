"""What becomes of a webhook after a call: the decision, and what it reads from an answer."""

import time
from email.utils import formatdate

import pytest

from storage.pinned import CallFailed
from workers.sending import Answer, retry_after_s
from workers.webhooks import PAUSES_S, Again, Delivered, GivenUp, decide, origin_of


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_is_delivered(status: int) -> None:
    assert decide(Answer(status), tries=1) == Delivered()


@pytest.mark.parametrize("status", [101, 300, 302, 400, 401, 404, 429, 500, 503, 599])
def test_any_other_answer_is_tried_again(status: int) -> None:
    assert isinstance(decide(Answer(status), tries=1), Again)


def test_pauses_grow_to_a_day_and_end_after_two() -> None:
    waited_s = 0.0
    for tries in range(1, 10):
        decision = decide(CallFailed("no connection"), tries=tries)
        assert isinstance(decision, Again)
        assert decision.error == "no connection"
        assert 0.8 <= decision.after_s / PAUSES_S[tries - 1] <= 1.2
        waited_s += decision.after_s
    assert decide(CallFailed("no connection"), tries=10) == GivenUp("no connection")
    assert 36 * 3600 < waited_s < 60 * 3600


def test_pauses_of_many_are_spread() -> None:
    decisions = [decide(Answer(500), tries=5) for _ in range(50)]
    assert len({decision.after_s for decision in decisions if isinstance(decision, Again)}) > 40


def test_gone_is_final() -> None:
    assert decide(Answer(410), tries=1) == GivenUp("answered 410")


@pytest.mark.parametrize(
    ("asked_s", "least_s", "most_s"), [(1, 4, 6), (300, 300, 300), (10**9, 86400, 86400), (None, 4, 6)]
)
def test_a_receiver_may_ask_for_more_time_but_not_for_ever(
    asked_s: float | None, least_s: float, most_s: float
) -> None:
    decision = decide(Answer(503, asked_s), tries=1)
    assert isinstance(decision, Again)
    assert least_s <= decision.after_s <= most_s


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"120", 120),
        (b" 7 ", 7),
        (b"0", 0),
        (formatdate(1_000_060, usegmt=True).encode(), 60),
        (formatdate(999_000, usegmt=True).encode(), 0),
        (b"9" * 5000, 999_999_999),
        *(
            (nonsense, None)
            for nonsense in (b"", b"-5", b"soon", b"1e9", b"\xff", b"Mon, 99 Foo 2026 00:00:00 GMT")
        ),
    ],
)
def test_retry_after_is_seconds_or_a_date_or_nothing(value: bytes, seconds: float | None) -> None:
    headers = [(b"Content-Length", b"0"), (b"Retry-After", value)]
    assert retry_after_s(headers, now=1_000_000) == seconds


def test_no_retry_after_is_none() -> None:
    assert retry_after_s([], now=time.time()) is None


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://a.example/b/c?d#e", "https://a.example"),
        ("http://a.example:8080?d=/e", "http://a.example:8080"),
        ("http://[::1]:80#/x", "http://[::1]:80"),
        ("https://a.example", "https://a.example"),
    ],
)
def test_the_urls_of_a_receiver_begin_the_same(url: str, origin: str) -> None:
    assert origin_of(url) == origin
