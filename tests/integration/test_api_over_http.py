"""The API under gunicorn, with SQLite, files and Valkey, spoken to over sockets."""

import io
import json
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from api_service import MAX_BODY_BYTES, THREADS, Service, serving
from httpx_sse import EventSource
from PIL import Image

from storage.objects import output_key


@pytest.fixture(scope="module")
def service(valkey_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("api"), valkey_url) as service:
        yield service


@pytest.fixture
def dark_service(tmp_path: Path) -> Iterator[Service]:
    """With a board and broker that accept connections and never answer."""
    with socket.create_server(("127.0.0.1", 0)) as frozen:
        port = frozen.getsockname()[1]
        with serving(tmp_path, f"redis://127.0.0.1:{port}/0") as service:
            yield service


def png() -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise((64, 48), 50).convert("RGB").save(buffer, "PNG")
    return buffer.getvalue()


def test_a_job_goes_from_upload_to_output(service: Service) -> None:
    image = service.http.post("/v1/images", files={"file": ("car.png", png())}).json()
    job_id = service.http.post("/v1/jobs", json={"kind": "invert", "image": image["id"]}).json()["id"]
    claim = service.claim()
    data = bytes(range(256)) * 20_000
    key = output_key("local", job_id, 1, "w_plus.safetensors")
    ref = service.stores.objects.put(key, data, "application/octet-stream")
    service.stores.jobs.succeed(claim, {"w_plus.safetensors": ref}, {"psnr_db": 30.0})
    job = service.http.get(f"/v1/jobs/{job_id}").json()
    assert (job["status"], job["result"]) == ("succeeded", {"psnr_db": 30.0})
    output = service.http.get(job["outputs"]["w_plus.safetensors"]["url"])
    assert output.content == data
    assert output.headers["Content-Disposition"].startswith("attachment")
    assert service.http.get(image["url"]).content == png_of(image, service)
    assert service.http.delete(f"/v1/images/{image['id']}").status_code == 204


def png_of(image: dict[str, str], service: Service) -> bytes:
    kept = service.stores.library.get_image("local", image["id"])
    return service.stores.objects.get(kept.object)


def test_events_stream_as_they_happen(service: Service) -> None:
    job_id = service.submit()
    arrived: list[tuple[str, str, float]] = []
    with service.http.stream("GET", f"/v1/jobs/{job_id}/events") as answer:
        events = EventSource(answer).iter_sse()
        first = next(events)
        assert (first.event, first.id) == ("queued", "1")
        claim = service.claim()
        stop = threading.Event()

        def work() -> None:
            step = 0
            while not stop.wait(0.1):
                step += 1
                service.stores.progress.publish(job_id, {"type": "progress", "attempt": 1, "step": step})

        worker = threading.Thread(target=work)
        worker.start()
        for event in events:
            arrived.append((event.event, event.id, time.monotonic()))
            if len(arrived) == 12:
                stop.set()
                worker.join()
                service.stores.jobs.succeed(claim, {}, {})
    assert arrived[0][0] == "running"
    assert arrived[-1][:2] == ("succeeded", "3")
    progress = [moment for kind, _, moment in arrived if kind == "progress"]
    assert len(progress) >= 10
    assert progress[9] - progress[0] > 0.5  # one by one, not in one piece at the end


def test_a_stream_that_broke_goes_on_where_it_was(service: Service) -> None:
    job_id = service.submit()
    with service.http.stream("GET", f"/v1/jobs/{job_id}/events") as answer:
        assert next(EventSource(answer).iter_sse()).id == "1"
    service.stores.jobs.fail(service.claim(), {"code": "non_finite", "detail": "..."})
    with service.http.stream("GET", f"/v1/jobs/{job_id}/events", headers={"Last-Event-ID": "1"}) as answer:
        events = [(event.id, event.event) for event in EventSource(answer).iter_sse()]
    assert events == [("2", "running"), ("3", "failed")]


def test_a_long_poll_ends_with_the_change(service: Service) -> None:
    job_id = service.submit()
    began = time.monotonic()
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(service.http.get, f"/v1/jobs/{job_id}?wait=30")
        time.sleep(0.5)
        assert not waiting.done()
        service.http.post(f"/v1/jobs/{job_id}/cancel")
        assert waiting.result().json()["status"] == "canceled"
    assert time.monotonic() - began < 5


def test_streams_and_long_polls_never_starve_the_rest(service: Service) -> None:
    job_id = service.submit()
    url = f"http://127.0.0.1:{service.port}/v1/jobs/{job_id}"
    statuses: list[int] = []
    with ThreadPoolExecutor(20) as pool, httpx.Client(timeout=30, trust_env=False) as http:
        opened = threading.Semaphore(0)

        def watch() -> None:
            with http.stream("GET", f"{url}/events") as answer:
                statuses.append(answer.status_code)
                opened.release()
                for _ in answer.iter_bytes():
                    pass

        for _ in range(12):
            pool.submit(watch)
        for _ in range(12):
            assert opened.acquire(timeout=10)
        polls = [pool.submit(http.get, f"{url}?wait=30") for _ in range(4)]
        began = time.monotonic()
        assert http.get(f"{url}").status_code == 200
        assert time.monotonic() - began < 2
        assert all(poll.result(timeout=5).status_code == 200 for poll in polls)  # no place: answered at once
        service.http.post(f"/v1/jobs/{job_id}/cancel")
    assert sorted(statuses) == [200] * (THREADS // 2) + [503] * (12 - THREADS // 2)


def test_places_of_clients_that_left_come_back(service: Service) -> None:
    job_id = service.submit()
    for _ in range(THREADS // 2 + 1):
        with service.http.stream("GET", f"/v1/jobs/{job_id}/events") as answer:
            assert answer.status_code == 200
        with pytest.raises(httpx.ReadTimeout):
            service.http.get(f"/v1/jobs/{job_id}?wait=30", timeout=0.2)
        time.sleep(0.6)
    service.http.post(f"/v1/jobs/{job_id}/cancel")


@pytest.mark.parametrize("way", ["length", "chunked", "multipart"])
def test_a_body_over_the_limit_is_refused_while_it_is_sent(service: Service, way: str) -> None:
    big = bytes(MAX_BODY_BYTES + 200_000)
    headers = {"Content-Type": "image/png"}
    if way == "length":
        answer = service.http.post("/v1/images", content=big, headers=headers)
    elif way == "chunked":
        pieces = (big[start : start + 65536] for start in range(0, len(big), 65536))
        answer = service.http.post("/v1/images", content=pieces, headers=headers)
    else:
        answer = service.http.post("/v1/images", files={"file": ("big.png", big)})
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    assert service.http.get("/v1/models").status_code == 200


def test_a_body_that_never_ends_is_not_read_for_ever(service: Service) -> None:
    with socket.create_connection(("127.0.0.1", service.port), timeout=20) as connection:
        connection.sendall(
            b"POST /v1/images HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/png\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        sent = 0
        try:
            while sent < 100 * MAX_BODY_BYTES:
                connection.sendall(b"10000\r\n" + bytes(65536) + b"\r\n")
                sent += 65536
        except OSError:
            pass
    assert sent < 100 * MAX_BODY_BYTES
    assert service.http.get("/livez").status_code == 200


def test_logs_are_json_lines_with_request_ids(service: Service) -> None:
    service.http.get("/v1/models", headers={"X-Request-ID": "find-me-1"})
    lines = [json.loads(line) for line in service.log.read_text().splitlines() if "find-me-1" in line]
    assert [(line["path"], line["status"]) for line in lines] == [("/v1/models", 200)]


def test_with_a_frozen_board_jobs_are_still_taken_and_told_of(dark_service: Service) -> None:
    began = time.monotonic()
    job_id = dark_service.submit()
    assert time.monotonic() - began < 5
    health = dark_service.http.get("/readyz")
    assert (health.status_code, health.json()["status"]) == (200, "degraded")
    claim = dark_service.claim()
    threading.Timer(1.0, dark_service.stores.jobs.succeed, [claim, {}, {}]).start()
    with dark_service.http.stream("GET", f"/v1/jobs/{job_id}/events") as answer:
        events = [event.event for event in EventSource(answer).iter_sse()]
    assert events == ["queued", "running", "succeeded"]


def test_term_ends_open_streams_soon(dark_service: Service) -> None:
    job_id = dark_service.submit()
    with dark_service.http.stream("GET", f"/v1/jobs/{job_id}/events") as answer:
        events = EventSource(answer).iter_sse()
        assert next(events).event == "queued"
        began = time.monotonic()
        dark_service.process.send_signal(signal.SIGTERM)
        assert list(events) == []
    dark_service.process.wait(10)
    assert time.monotonic() - began < 8
