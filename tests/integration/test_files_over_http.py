"""Uploads of files over sockets, under gunicorn: cut off, too large, larger than memory should grow."""

import hashlib
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from api_service import Service, serving

MAX_BYTES = 100_000_000


@pytest.fixture(scope="module")
def service(valkey_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("files")
    with serving(folder, valkey_url, EDITQ_MAX_FILE_BYTES=str(MAX_BYTES)) as service:
        yield service


def left_in(service: Service) -> list[Path]:
    objects = service.log.parent / "objects"
    return [path for path in objects.rglob("*") if path.is_file()]


def peak_kb(service: Service) -> int:
    """The most memory that a process of the service has held."""
    ask = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(service.process.pid)], capture_output=True, text=True
    )
    pids = [service.process.pid, *map(int, ask.stdout.split())]
    status = (Path(f"/proc/{pid}/status").read_text() for pid in pids)
    return max(int(found[1]) for each in status if (found := re.search(r"VmHWM:\s*(\d+)", each)))


@pytest.mark.parametrize("way", ["length", "chunked"])
@pytest.mark.parametrize("sent", [10, 3_000_000])
def test_an_upload_that_is_cut_off_leaves_nothing(service: Service, way: str, sent: int) -> None:
    coding = b"Content-Length: 9000000" if way == "length" else b"Transfer-Encoding: chunked"
    head = b"POST /v1/files HTTP/1.1\r\nHost: 127.0.0.1\r\n" + coding + b"\r\n\r\n"
    body = bytes(sent) if way == "length" else b"%x\r\n" % 9_000_000 + bytes(sent)
    with socket.create_connection(("127.0.0.1", service.port), timeout=20) as connection:
        connection.sendall(head + body)
        time.sleep(0.2)
        assert sent < 100 or left_in(service) != []  # it is being written
    deadline = time.monotonic() + 10
    while left_in(service) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left_in(service) == []
    assert service.http.get("/v1/files").json()["items"] == []


def test_a_large_file_passes_through_without_being_held_in_memory(service: Service) -> None:
    service.http.post("/v1/files", content=b"warm up").raise_for_status()
    before = peak_kb(service)
    piece = bytes(range(256)) * 4096
    answer = service.http.post("/v1/files", content=(piece for _ in range(90)))
    assert answer.status_code == 201, answer.text
    file = answer.json()
    assert file["sha256"] == hashlib.sha256(piece * 90).hexdigest()
    assert peak_kb(service) - before < 20_000  # of 92,160
    with service.http.stream("GET", file["url"]) as content:
        assert sum(map(len, content.iter_bytes())) == 90 << 20
    assert peak_kb(service) - before < 20_000
    service.http.delete(f"/v1/files/{file['id']}")


def test_a_file_over_the_limit_is_refused_while_it_is_sent(service: Service) -> None:
    before = left_in(service)
    answer = service.http.post("/v1/files", content=(bytes(1 << 20) for _ in range(110)))
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    assert left_in(service) == before
