"""The API under gunicorn with its ordinary threads: crowds of streams, of equal submits, of each at once."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import servers
from api_service import Service, serving
from httpx_sse import EventSource
from redis import Redis

from api.slots import WAITING_THREADS

STREAMS = 100
HOOK = {"url": "http://127.0.0.1:9/hook", "events": ["succeeded"]}
SECRET = "whsec_" + "c2VjcmV0" * 5


@pytest.fixture(scope="module")
def service(valkey_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(
        tmp_path_factory.mktemp("api"),
        valkey_url,
        threads=None,
        EDITQ_WEBHOOK_SECRET=SECRET,
        EDITQ_WEBHOOK_NETWORKS="127.0.0.0/8",
    ) as service:
        yield service


@contextlib.contextmanager
def streams(service: Service, job_id: str, count: int) -> Iterator[list[socket.socket]]:
    """Open event streams, one after the other: each from when its headers have come."""
    request = f"GET /v1/jobs/{job_id}/events HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    with contextlib.ExitStack() as stack:
        opened, heads = [], []
        for _ in range(count):
            connection = stack.enter_context(
                socket.create_connection(("127.0.0.1", service.port), timeout=60)
            )
            connection.sendall(request.encode())
            opened.append(connection)
            heads.append(connection.recv(16))
        assert set(heads) <= {b"HTTP/1.1 200 OK\r", b"HTTP/1.1 503 SER"}, set(heads)
        yield [one for one, head in zip(opened, heads, strict=True) if b"200" in head]


def rest_of(connection: socket.socket) -> str:
    return b"".join(iter(lambda: connection.recv(65536), b"")).decode()


def test_a_hundred_open_streams_do_not_starve_submits(service: Service) -> None:
    job_id = service.submit()
    with streams(service, job_id, STREAMS) as opened:
        assert len(opened) == STREAMS
        slowest_s = 0.0
        for seed in range(20):
            began = time.monotonic()
            service.submit(seed=seed)
            slowest_s = max(slowest_s, time.monotonic() - began)
        assert slowest_s < 5, slowest_s  # a thread that had to wait for a stream would wait for ever
        service.http.post(f"/v1/jobs/{job_id}/cancel")
        told = [rest_of(connection) for connection in opened]
    assert all("event: canceled" in text for text in told)


def test_streams_beyond_their_places_are_refused_and_nothing_else_is(service: Service) -> None:
    job_id = service.submit()
    with streams(service, job_id, WAITING_THREADS + 8) as opened:
        assert len(opened) == WAITING_THREADS
        began = time.monotonic()
        assert (
            service.http.get(f"/v1/jobs/{job_id}?wait=30").json()["status"] == "queued"
        )  # no place: at once
        service.submit()
        assert time.monotonic() - began < 10
        service.http.post(f"/v1/jobs/{job_id}/cancel")
        assert all("event: canceled" in rest_of(connection) for connection in opened)


def test_all_streams_of_a_process_hear_progress_through_one_connection(
    service: Service, valkey_url: str
) -> None:
    job_id = service.submit()
    claim = service.claim()
    while claim.job.id != job_id:  # of tests before
        service.stores.jobs.fail(claim, {"code": "non_finite", "detail": "..."})
        claim = service.claim()
    with Redis.from_url(valkey_url) as redis, contextlib.ExitStack() as stack:
        of_others = {one["id"] for one in redis.client_list()}  # also those that earlier tests left
        opened = stack.enter_context(streams(service, job_id, 30))
        progress = {"type": "progress", "attempt": 1}
        deadline = time.monotonic() + 30
        reading = []
        for step in range(40):
            service.stores.progress.publish(job_id, {**progress, "step": step})
            reading.append({one["id"] for one in redis.client_list() if one["cmd"] == "xread"} - of_others)
            time.sleep(0.05)
            assert time.monotonic() < deadline
        service.stores.jobs.succeed(claim, {}, {})
        told = [rest_of(connection) for connection in opened]
    assert all(text.count("event: progress") >= 5 for text in told)
    assert all("event: succeeded" in text for text in told)
    # Those that read a second later still, at the best of times: on a slow machine one may be being replaced.
    settled = [before & after for before, after in zip(reading, reading[20:], strict=False)]
    assert min(map(len, settled)) <= 1  # none: the process had its connection before


@pytest.mark.slow
def test_who_is_turned_away_with_a_large_body_is_answered_and_may_go_on(
    valkey_url: str, tmp_path: Path
) -> None:
    """The only place of the process is taken by a client that sends nothing of its body, for a second."""
    head = b"POST /v1/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    picture = {"file": ("car.png", b"x" * 2_000_000)}
    with (
        serving(tmp_path, valkey_url, threads=8) as service,
        socket.create_connection(("127.0.0.1", service.port)) as slow,
    ):
        slow.sendall(head + b"Content-Length: 9\r\n\r\n")
        time.sleep(0.1)
        answer = service.http.post("/v1/images", files=picture)
        assert (answer.status_code, answer.json()["code"]) == (503, "too_busy")
        assert int(answer.headers["Retry-After"]) >= 1
        assert service.http.get("/livez").status_code == 200  # through the same connection
        time.sleep(0.5)
        assert service.http.post("/v1/images", files=picture).json()["code"] != "too_busy"


def test_equal_submits_at_once_make_one_job(service: Service) -> None:
    gate, headers = threading.Barrier(12), {"Idempotency-Key": "the-same"}

    def submit() -> httpx.Response:
        gate.wait(30)
        return service.http.post("/v1/jobs", json={"kind": "sample", "seed": 77}, headers=headers)

    with ThreadPoolExecutor(12) as pool:
        answers = [each.result() for each in [pool.submit(submit) for _ in range(12)]]
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    listed = service.http.get("/v1/jobs?limit=100").json()["items"]
    assert sum(job["spec"]["seed"] == 77 for job in listed) == 1


def test_a_retry_of_the_same_ended_job_sent_twice_is_one_job(service: Service) -> None:
    job_id = service.submit(options={"webhook": HOOK, "priority": "bulk", "finish_within_s": 3600})
    service.http.post(f"/v1/jobs/{job_id}/cancel")
    headers = {"Idempotency-Key": "again"}
    first = service.http.post(f"/v1/jobs/{job_id}/retry", headers=headers)
    second = service.http.post(f"/v1/jobs/{job_id}/retry", headers=headers)
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json()["id"] == second.json()["id"] != job_id
    assert second.headers["Idempotency-Replayed"] == "true"
    again = first.json()
    assert (again["retry_of"], again["priority"], again["webhook"]) == (job_id, "bulk", HOOK)


def test_a_stream_hears_again_when_the_board_was_away(tmp_path: Path) -> None:
    try:
        binary = servers.valkey_binary()
    except servers.ServerMissing as error:
        pytest.skip(str(error))
    port = servers.free_port()
    command = [binary, "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", str(tmp_path)]
    url = f"redis://127.0.0.1:{port}/0"

    def board() -> contextlib.AbstractContextManager[object]:
        client = Redis.from_url(url)
        return servers.running(command, client.ping)

    (tmp_path / "data").mkdir()
    with contextlib.ExitStack() as stack:
        with board():
            service = stack.enter_context(serving(tmp_path / "data", url))
            job_id = service.submit()
            claim = service.claim()
            answer = stack.enter_context(service.http.stream("GET", f"/v1/jobs/{job_id}/events"))
            events = EventSource(answer).iter_sse()
            assert [next(events).event, next(events).event] == ["queued", "running"]
        time.sleep(1)
        stack.enter_context(board())
        stop = threading.Event()

        def work() -> None:
            step = 0
            while not stop.wait(0.1):
                step += 1
                message = {"type": "progress", "attempt": 1, "step": step}
                service.stores.progress.publish(job_id, message)

        worker = threading.Thread(target=work)
        worker.start()
        try:
            assert next(events).event == "progress"
        finally:
            stop.set()
            worker.join()
        service.stores.jobs.succeed(claim, {}, {})
        assert [event.event for event in events if event.id][-1:] == ["succeeded"]


def test_clients_that_do_not_close_their_connections_hold_nobody_up(service: Service) -> None:
    """Ten that are told to close and do not: each may hold one thread for a while, none the whole process."""
    request = b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    with contextlib.ExitStack() as stack:
        began = time.monotonic()
        for _ in range(10):
            lingering = stack.enter_context(socket.create_connection(("127.0.0.1", service.port), timeout=30))
            lingering.sendall(request)
            assert b"200" in lingering.recv(16)
        with httpx.Client(base_url=f"http://127.0.0.1:{service.port}", trust_env=False) as newcomer:
            assert newcomer.get("/livez", timeout=30).status_code == 200
        assert time.monotonic() - began < 15  # one after the other they would take twenty seconds


def sockets(process_id: int) -> int:
    return sum("socket:" in str(file.readlink()) for file in Path(f"/proc/{process_id}/fd").iterdir())


def taken(service: Service, processes: list[int]) -> list[int]:
    """How many of 24 connections, opened one after the other and kept, each process took."""
    before = [sockets(each) for each in processes]
    with contextlib.ExitStack() as stack:
        for _ in range(24):
            connection = stack.enter_context(
                socket.create_connection(("127.0.0.1", service.port), timeout=30)
            )
            connection.sendall(b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert connection.recv(16).startswith(b"HTTP/1.1 200")
        return [sockets(each) - was for each, was in zip(processes, before, strict=True)]


@pytest.mark.slow
def test_processes_share_connections_that_come_in_a_rush(valkey_url: str, tmp_path: Path) -> None:
    with serving(tmp_path, valkey_url, threads=None, WEB_CONCURRENCY="2") as service:
        time.sleep(5)  # the other process may begin later than the one that answered
        main = Path(f"/proc/{service.process.pid}/task/{service.process.pid}/children")
        assert min(taken(service, [int(each) for each in main.read_text().split()])) >= 8
