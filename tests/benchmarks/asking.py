"""Requests to a service, as fast as some clients can make them or at a rate, each timed.

With the standard library's client, or where as much as can be is asked for with wrk, if it is installed: what
takes longer to ask than to answer would be measured instead.
"""

import re
import shutil
import subprocess
import threading
import time
from http.client import HTTPConnection
from urllib.parse import urlsplit


def asked(
    address: str,
    method: str,
    path: str,
    *,
    seconds: float,
    body: bytes | None = None,
    per_s: float | None = None,
    clients: int = 4,
    status: int = 200,
) -> tuple[float, list[float]]:
    """(requests a second, seconds that each took). `per_s`: as many as are sent a second, by all clients
    together; who is late with one sends the next at once. Raises AssertionError at another status."""
    times: list[float] = []
    wrong: list[int] = []
    pause_s = clients / per_s if per_s else 0.0
    began = time.perf_counter()

    def ask(number: int) -> None:
        http = HTTPConnection(urlsplit(address).netloc, timeout=30)
        due = began + number * pause_s / clients
        while due < began + seconds and not wrong:
            time.sleep(max(0.0, due - time.perf_counter()))
            sent = time.perf_counter()
            http.request(method, path, body, {"Content-Type": "application/json"} if body else {})
            answer = http.getresponse()
            answer.read()
            if answer.status != status:
                wrong.append(answer.status)
            times.append(time.perf_counter() - sent)
            due = due + pause_s if pause_s else time.perf_counter()
        http.close()

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong, f"{method} {path} was answered {wrong[0]}"
    return len(times) / (time.perf_counter() - began), times


def most(address: str, path: str, *, seconds: float, clients: int = 4) -> tuple[float, str]:
    """How many GETs a second are answered with 200, to clients that ask one after another; who they were."""
    wrk = shutil.which("wrk")
    if wrk is None:
        return asked(address, "GET", path, seconds=seconds, clients=clients)[
            0
        ], f"{clients} clients in Python"
    command = [wrk, "-t1", f"-c{clients}", f"-d{seconds:.0f}s", address + path]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "Non-2xx" not in told, told
    found = re.search(r"Requests/sec:\s+([\d.]+)", told)
    assert found is not None, told
    return float(found[1]), f"wrk, {clients} connections"
