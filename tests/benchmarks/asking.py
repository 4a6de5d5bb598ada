"""Requests to a service, as fast as some clients can make them or at a rate, each timed.

With the standard library's client, or if they are installed with hey at a rate, and with wrk where as much as
can be is asked for: what takes longer to ask than to answer would be measured instead.
"""

import csv
import re
import shutil
import subprocess
import threading
import time
from http.client import HTTPConnection
from urllib.parse import urlsplit

HEY = shutil.which("hey")
AT_A_RATE = "clients in Python" if HEY is None else "hey"  # who asks so many times a second


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
    together, evenly spaced. Raises AssertionError at another status."""
    if HEY is not None and per_s is not None:
        command = [HEY, "-z", f"{seconds:g}s", "-c", "1", "-q", f"{per_s / clients:g}", "-o", "csv"]
        command += ["-m", method, "-T", "application/json", "-d", (body or b"").decode(), address + path]
        return _told_by_hey(command, clients, 1 / per_s, status)
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


def _told_by_hey(command: list[str], clients: int, apart_s: float, status: int) -> tuple[float, list[float]]:
    """By a process for each client: the workers of one would all ask at once."""
    running = []
    began = time.perf_counter()
    for number in range(clients):
        time.sleep(max(0.0, began + number * apart_s - time.perf_counter()))
        running.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
    told = [line for each in running for line in csv.DictReader(each.communicate()[0].splitlines())]
    wrong = [line["status-code"] for line in told if line["status-code"] != str(status)]
    assert not wrong, f"{command[-1]} was answered {wrong[0]}"
    until_s = max(float(line["offset"]) for line in told)
    return len(told) / until_s, [float(line["response-time"]) for line in told]


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
