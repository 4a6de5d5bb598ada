"""One thread of a process listens to the board for everybody there, and for nobody it does not exist."""

import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import servers
from redis import Redis

from storage.progress import RedisProgressBoard

JOBS = [f"{number:032x}" for number in range(100)]


@pytest.fixture
def board(valkey_url: str) -> Iterator[RedisProgressBoard]:
    board = RedisProgressBoard(valkey_url, prefix=f"test-{secrets.token_hex(6)}:")
    yield board
    board.close()


def threads() -> int:
    return sum(thread.name == "board listener" for thread in threading.enumerate())


def until(condition: Callable[[], object], timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def test_a_hundred_listeners_share_one_thread_and_one_connection(board: RedisProgressBoard) -> None:
    before = threads()
    listeners = [board.listen(job) for job in JOBS]
    assert threads() == before + 1
    for step, job in enumerate(JOBS):
        board.publish(job, {"step": step})
    assert [listener.hear(10) for listener in listeners] == [{"step": step} for step in range(len(JOBS))]
    assert len(board._listener.connection_pool._available_connections) <= 1
    for listener in listeners:
        listener.close()
    until(lambda: threads() == before)


def test_listeners_that_were_forgotten_end_the_thread_too(board: RedisProgressBoard) -> None:
    before = threads()
    listeners = [board.listen(job) for job in JOBS[:3]]
    assert threads() == before + 1
    listeners.clear()
    until(lambda: threads() == before)
    later = board.listen(JOBS[0])  # and it starts again
    board.publish(JOBS[0], {"step": 1})
    assert later.hear(10) == {"step": 1}
    later.close()


def test_who_comes_later_hears_what_comes_later(board: RedisProgressBoard) -> None:
    with board.listen(JOBS[0]) as early:
        board.publish(JOBS[0], {"step": 1})
        with board.listen(JOBS[0]) as late:
            board.publish(JOBS[0], {"step": 2})
            assert [early.hear(10), early.hear(10)] == [{"step": 1}, {"step": 2}]
            assert late.hear(10) == {"step": 2}
            assert late.hear(0.5) is None


def test_who_comes_while_others_wait_hears_at_once(valkey_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.progress.BLOCK_S", 20.0)
    board = RedisProgressBoard(valkey_url, prefix=f"test-{secrets.token_hex(6)}:")
    with board.listen(JOBS[0]) as quiet, board.listen(JOBS[1]) as late:
        for step in range(3):
            board.publish(JOBS[1], {"step": step})
            assert late.hear(5) == {"step": step}
            with board.listen(JOBS[2 + step]) as later:
                board.publish(JOBS[2 + step], {"step": 7})
                assert later.hear(5) == {"step": 7}
        assert quiet.hear(0) is None
    board.publish(JOBS[0], {"step": 0})  # the reading that waits ends with this
    board.close()


def test_a_listener_that_takes_nothing_keeps_the_newest(board: RedisProgressBoard) -> None:
    with board.listen(JOBS[0]) as slow, board.listen(JOBS[0]) as other:
        for step in range(1000):
            board.publish(JOBS[0], {"step": step})
        heard: list[object] = []
        until(lambda: heard.append(other.hear(5)) or heard[-1] == {"step": 999})
        until(lambda: slow._heard[-1] == {"step": 999})
        assert len(slow._heard) <= 200


def test_listening_goes_on_when_the_server_was_away_and_came_back_empty(tmp_path: Path) -> None:
    try:
        binary = servers.valkey_binary()
        with servers.redis_server(tmp_path, binary) as (url, _):
            board = RedisProgressBoard(url)
            listener = board.listen(JOBS[0])
            board.publish(JOBS[0], {"step": 1})
            assert listener.hear(10) == {"step": 1}
            port = url.rpartition(":")[2].partition("/")[0]
    except servers.ServerMissing as error:
        pytest.skip(str(error))
    assert listener.hear(1.0) is None  # it is away
    new = board.listen(JOBS[1])  # and this one begins in the dark
    command = [binary, "--bind", "127.0.0.1", "--port", port, "--save", "", "--dir", str(tmp_path)]
    with Redis.from_url(url) as client, servers.running(command, client.ping):
        heard: list[object] = []

        def both() -> bool:
            for job in JOBS[:2]:
                board.publish(job, {"step": 2})
            heard.extend(bool(each.hear(0.1)) and each for each in (listener, new))
            return listener in heard and new in heard

        until(both, 30)
        listener.close(), new.close()
        board.close()


def test_a_child_process_listens_for_itself(board: RedisProgressBoard) -> None:
    with board.listen(JOBS[0]) as mine:
        child = os.fork()
        if child == 0:
            theirs = board.listen(JOBS[0])
            board.publish(JOBS[0], {"from": "child"})
            heard = theirs.hear(20)
            os._exit(0 if heard == {"from": "child"} and threads() == 1 else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert mine.hear(10) == {"from": "child"}
