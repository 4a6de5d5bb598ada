"""What every progress board does (memory, Valkey, Redis), and how a board goes dark."""

import math
import os
import secrets
import signal
import threading
import time
from pathlib import Path

import pytest
import servers
from redis import Redis

from storage.breaker import CircuitBreaker
from storage.progress import KEPT_MESSAGES, RedisProgressBoard
from storage.stores import ProgressBoard

JOB = "0190c0ffee00aabbccddeeff00112233"


def test_the_latest_message_is_shown(board: ProgressBoard) -> None:
    assert board.latest(JOB) is None
    for step in range(3):
        board.publish(JOB, {"type": "progress", "step": step, "losses": {"rgb": math.nan}, "of": (1, 2)})
    board.publish("f" * 32, {"step": 99})
    assert board.latest(JOB) == {"type": "progress", "step": 2, "losses": {"rgb": None}, "of": [1, 2]}


def test_a_listener_gets_what_is_published_from_now_on(board: ProgressBoard) -> None:
    board.publish(JOB, {"step": 0})
    messages = board.listen(JOB, timeout_s=5)
    board.publish(JOB, {"step": 1})  # after listen() was called, before anything was asked for
    assert next(messages) == {"step": 1}
    threading.Timer(0.1, lambda: [board.publish(JOB, {"step": step}) for step in (2, 3)]).start()
    assert [next(messages), next(messages)] == [{"step": 2}, {"step": 3}]


def test_listeners_share_and_stop_in_time(board: ProgressBoard) -> None:
    heard: list[list[dict[str, object]]] = [[], []]
    listeners = [board.listen(JOB, timeout_s=0.5) for _ in heard]
    threads = [
        threading.Thread(target=lambda l=l, h=h: h.extend(l))  # noqa: E741
        for l, h in zip(listeners, heard, strict=True)  # noqa: E741
    ]
    start = time.monotonic()
    for thread in threads:
        thread.start()
    board.publish(JOB, {"step": 1})
    for thread in threads:
        thread.join()
    assert heard == [[{"step": 1}], [{"step": 1}]]
    assert 0.4 < time.monotonic() - start < 3


def test_a_cancel_is_noticed(board: ProgressBoard) -> None:
    assert not board.cancel_noticed(JOB)
    board.notice_cancel(JOB)
    assert board.cancel_noticed(JOB)
    assert not board.cancel_noticed("f" * 32)


def test_workers_come_stay_and_go(board: ProgressBoard) -> None:
    assert board.workers() == ()
    board.present({"name": "b:2:gpu", "job": None}, ttl_s=60)
    board.present({"name": "a:1:gpu", "job": JOB}, ttl_s=0.1)
    assert [worker["name"] for worker in board.workers()] == ["a:1:gpu", "b:2:gpu"]
    board.present({"name": "b:2:gpu", "job": JOB}, ttl_s=60)
    time.sleep(0.15)
    assert board.workers() == ({"name": "b:2:gpu", "job": JOB},)
    board.absent("b:2:gpu")
    board.absent("never:0:gpu")
    assert board.workers() == ()


def test_a_board_that_is_there_says_so(board: ProgressBoard) -> None:
    assert board.check()


def test_a_stream_is_capped_and_does_not_stay_for_ever(valkey_url: str) -> None:
    prefix = f"test-{secrets.token_hex(6)}:"
    board = RedisProgressBoard(valkey_url, prefix=prefix)
    for step in range(3 * KEPT_MESSAGES):
        board.publish(JOB, {"step": step})
    board.notice_cancel(JOB)
    with Redis.from_url(valkey_url) as client:
        assert client.xlen(f"{prefix}progress:{JOB}") < 2 * KEPT_MESSAGES
        assert 0 < client.ttl(f"{prefix}progress:{JOB}") <= 3600
        assert 0 < client.ttl(f"{prefix}cancel:{JOB}") <= 3600
    board.close()


def asked_everything(board: ProgressBoard) -> list[object]:
    board.publish(JOB, {"step": 1})
    board.notice_cancel(JOB)
    board.present({"name": "w"}, ttl_s=5)
    board.absent("w")
    return [board.latest(JOB), board.cancel_noticed(JOB), board.workers(), board.check()]


def test_a_board_that_is_away_is_dark_and_quick() -> None:
    board = RedisProgressBoard(f"redis://127.0.0.1:{servers.free_port()}/0")
    start = time.monotonic()
    for _ in range(50):
        assert asked_everything(board) == [None, False, (), False]
    assert time.monotonic() - start < 2
    assert list(board.listen(JOB, timeout_s=0.4)) == []
    assert time.monotonic() - start > 0.3


def test_a_frozen_server_costs_less_than_a_second_and_its_return_is_noticed(tmp_path: Path) -> None:
    try:
        server = servers.redis_server(tmp_path, servers.valkey_binary())
    except servers.ServerMissing as error:
        pytest.skip(str(error))
    with server as (url, process):
        board = RedisProgressBoard(url)
        board.publish(JOB, {"step": 0})
        os.kill(process.pid, signal.SIGSTOP)
        start = time.monotonic()
        assert asked_everything(board) == [None, False, (), False]
        frozen_s = time.monotonic() - start
        assert frozen_s < 1
        messages = board.listen(JOB, timeout_s=10)  # begins in the dark
        os.kill(process.pid, signal.SIGCONT)
        deadline = time.monotonic() + 8
        while not board.check() and time.monotonic() < deadline:
            time.sleep(0.05)
        later = threading.Timer(1.0, lambda: board.publish(JOB, {"step": 2}))
        later.start()
        assert next(messages) == {"step": 2}
        later.join()
        board.close()


def test_a_restarted_server_costs_no_message(tmp_path: Path) -> None:
    """Connections of the pool are stale then: the one retry makes a fresh one."""
    server = servers.redis_server(tmp_path)
    try:
        url, _ = server.__enter__()
    except servers.ServerMissing as error:
        pytest.skip(str(error))
    board = RedisProgressBoard(url)
    assert board.check()
    with Redis.from_url(url) as client:
        client.client_kill_filter(skipme=True)
    board.publish(JOB, {"step": 5})
    assert board.latest(JOB) == {"step": 5}
    board.close()
    server.__exit__(None, None, None)


def test_the_breaker_lets_one_probe_pass() -> None:
    breaker = CircuitBreaker(pause_s=0.05, longest_pause_s=0.1)
    assert breaker.allows()
    breaker.failed()
    assert not breaker.allows()
    time.sleep(0.06)
    assert [breaker.allows() for _ in range(3)] == [True, False, False]
    breaker.failed()
    time.sleep(0.06)
    assert not breaker.allows()  # it waits longer each time, up to a bound
    time.sleep(0.05)
    assert breaker.allows()
    breaker.succeeded()
    assert [breaker.allows() for _ in range(3)] == [True, True, True]
