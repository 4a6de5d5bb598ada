"""The API under gunicorn with its ordinary threads, and more clients than these that do not move."""

import contextlib
import socket
import time
from collections.abc import Iterator

import pytest
from api_service import Service, serving

from api.patience import STILL_S, WHOLE_S

CROWD = 300  # of 128 threads
LINE = b"POST /v1/images HTTP/1.1\r\nHost: 127.0.0.1\r\n"
UPLOAD = LINE + b"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 2000000\r\n\r\n--x\r\n"


@pytest.fixture(scope="module")
def service(valkey_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("api"), valkey_url, threads=None) as service:
        yield service


def opened(stack: contextlib.ExitStack, service: Service, sent: bytes) -> socket.socket:
    connection = stack.enter_context(socket.create_connection(("127.0.0.1", service.port), timeout=60))
    connection.sendall(sent)
    return connection


def end_of(connection: socket.socket) -> float:
    """When the service closed it, in seconds from now."""
    began = time.monotonic()
    with contextlib.suppress(ConnectionResetError):
        while connection.recv(65536):
            pass
    return time.monotonic() - began


@pytest.mark.parametrize("sent", [LINE, b""], ids=["half a head", "nothing"])
def test_connections_that_send_no_whole_head_keep_nobody_out(service: Service, sent: bytes) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(CROWD):
            opened(stack, service, sent)
        time.sleep(1.5)  # all of them are let in
        began = time.monotonic()
        newcomer = opened(stack, service, b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert b"200 OK" in newcomer.recv(64)
        assert time.monotonic() - began < 20


def test_a_head_has_some_seconds_and_a_client_that_is_slow_within_them_is_answered(service: Service) -> None:
    with contextlib.ExitStack() as stack:
        never, late = opened(stack, service, LINE), opened(stack, service, b"GET /livez HTT")
        time.sleep(2)
        late.sendall(b"P/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        assert b"200 OK" in late.recv(64)
        assert end_of(never) < WHOLE_S + 5


@pytest.mark.slow
def test_an_upload_and_a_download_that_stand_still_are_cut_off(service: Service) -> None:
    kept = service.http.post("/v1/files", content=b"x" * 2_900_000)
    assert kept.status_code == 201, kept.text
    with contextlib.ExitStack() as stack:
        unread = stack.enter_context(socket.socket())
        unread.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        unread.connect(("127.0.0.1", service.port))
        asked = f"GET {kept.json()['url']} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        unread.sendall(asked.encode() * 8)  # more than the system keeps for one that does not read
        unsent = opened(stack, service, UPLOAD)
        assert b"400 BAD REQUEST" in unsent.recv(64)
        assert end_of(unsent) < 10
        deadline = time.monotonic() + 3 * STILL_S  # what the system keeps for it grows, twice
        while "took nothing of its answer" not in service.log.read_text():
            assert time.monotonic() < deadline
            time.sleep(0.5)
