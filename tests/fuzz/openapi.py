"""schemathesis over the whole OpenAPI document, with all its checks: `make fuzz-api EXAMPLES=200`.

Each operation is asked in a process and a service of its own: the app on loopback, PostgreSQL, Valkey, files,
and things to name (living.py). Then all of them in turn, as one's answers name what the next is asked of.
What came of each is kept in fuzz-out/openapi.json, so that a run that was cut off goes on; --again begins
anew. What is not checked of which operation, and why, stands in schemathesis.toml. Ends with 1 where
something failed.
"""

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
import threading
import time
import zlib
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
import schemathesis
import schemathesis.cli
import servers
from api_trial import Trial, cars
from operations import operations
from werkzeug.serving import WSGIRequestHandler, make_server

from api.app import create_app
from fuzz.living import Living
from storage.migrate import migrate
from storage.records import LOCAL_TENANT, new_id
from storage.settings import Settings
from storage.stores import open_stores

HERE, KEPT = Path(__file__).resolve().parent, Path("fuzz-out/openapi.json")
STATEFUL = "one-after-another"
LIMITLESS = {f"limit_{name}": 0 for name in ("requests_per_s", "jobs_waiting", "bytes_stored")}
SEED = 11


class Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, type: str, message: str, *args: object) -> None:
        pass


def serve(folder: Path, database: str, redis: str) -> tuple[str, Living]:
    """Its address, and what it has."""
    settings = Settings(
        data_dir=folder, database_url=database, redis_url=redis, max_body_bytes=2_000_000, keys_required=True,
        operators=(LOCAL_TENANT,), webhook_secret="whsec_" + "c2VjcmV0" * 5, **LIMITLESS,
    )  # fmt: skip
    stores = open_stores(settings)
    stores.library.put_model(cars())
    app = create_app(settings, stores, lambda queue, job_id: None)
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}", Living(Trial(app, stores, []))


def hook(living: Living) -> None:
    @schemathesis.auth()
    class Key:
        def get(self, case: Any, context: Any) -> str:
            return living.key

        def set(self, case: Any, data: str, context: Any) -> None:
            case.headers["Authorization"] = f"Bearer {data}"

    @schemathesis.hook
    def before_call(context: Any, case: Any, kwargs: Any) -> None:
        if case.meta is None or case.meta.phase.name.value == "stateful":
            return  # its names are those of earlier answers
        made_up = repr((case.path_parameters, case.query, case.body)).encode("utf-8", "surrogatepass")
        if zlib.crc32(made_up) % 3 == 0:  # the same ones whenever the same is asked
            return
        name = case.operation.definition.raw["operationId"]
        valid = case.meta.generation.mode.value == "positive"
        living.into_path(name, case.path_parameters or {})
        living.into_body(name, case.body, valid=valid)
        if valid and "Idempotency-Key" in (case.headers or {}):
            case.headers["Idempotency-Key"] = new_id()
        if valid and "cursor" in (case.query or {}):
            case.query["cursor"] = living.cursor(case.operation.path)

    @schemathesis.hook
    def after_call(context: Any, case: Any, response: Any) -> None:
        if response.status_code == 401 and b"key_revoked" in response.content:
            living.renew_key()


def ask(name: str, examples: int, database: str, redis: str, report: str) -> None:
    """In a process of its own, whose output goes into a file."""
    with KEPT.with_name(f"openapi-{name}.log").open("wb") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    with tempfile.TemporaryDirectory(prefix="editq-fuzz-") as folder:
        address, living = serve(Path(folder), database, redis)
        hook(living)
        only = ("--phases", "stateful")
        if name != STATEFUL:
            only = ("--phases", "examples,coverage,fuzzing", "--include-operation-id", name)
        arguments = [
            *("--config-file", str(HERE / "schemathesis.toml"), "run", f"{address}/openapi.json", *only),
            *("--max-examples", str(examples), "--seed", str(SEED), "--continue-on-failure"),
            *("--report-json-path", report, "--no-color"),
        ]
        schemathesis.cli.schemathesis.main(arguments, standalone_mode=False)


def told(report: dict[str, Any], examples: int, seconds: float) -> dict[str, Any]:
    """What is kept of an operation. accepted: answered 2xx; unreachable: of something that is not there."""
    rates = [phase for phases in report["valid_rates"].values() for phase in phases.values()]
    return {
        "examples": examples,
        "cases": report["test_cases"]["generated"],
        **{
            each: sum(rate[each] for rate in rates)
            for each in ("accepted", "unreachable", "conflicts", "rejected")
        },
        "failures": report["failures"],
        "errors": report["errors"],
        "complete": report["complete"],
        "seconds": round(seconds, 1),
    }


def good(found: dict[str, Any] | None) -> bool:
    return found is not None and found["complete"] and not (found["failures"] or found["errors"])


def main(names: list[str], examples: int, again: bool) -> int:
    kept: dict[str, Any] = json.loads(KEPT.read_text()) if KEPT.exists() and not again else {}
    KEPT.parent.mkdir(exist_ok=True)
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="editq-fuzz-"))
        redis, _ = stack.enter_context(servers.redis_server(Path(folder), servers.valkey_binary()))
        cluster = stack.enter_context(servers.postgres_cluster())
        for number, name in enumerate(names):
            if good(kept.get(name)) and kept[name]["examples"] >= examples:
                continue
            report, since = Path(folder) / "report.json", time.monotonic()
            report.unlink(missing_ok=True)
            database = _database(cluster, number)
            arguments = (name, examples, database, redis, str(report))
            process = multiprocessing.get_context("fork").Process(target=ask, args=arguments)
            process.start()
            process.join()
            if not report.exists():
                print(f"{name}: the process ended with {process.exitcode} and no report", flush=True)
                kept.pop(name, None)
                continue
            kept[name] = told(json.loads(report.read_text()), examples, time.monotonic() - since)
            KEPT.write_text(json.dumps(kept, indent=1))
            print(
                name, {each: told for each, told in kept[name].items() if told not in ([], True)}, flush=True
            )
    return summed(names, kept)


def _database(cluster: str, number: int) -> str:
    name = f"fuzz_{number}"
    with psycopg.connect(cluster.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    url = cluster.rpartition("/")[0] + f"/{name}"
    migrate(url)
    return url


def summed(names: list[str], kept: dict[str, Any]) -> int:
    rows = [(name, kept.get(name)) for name in names]
    for name, row in rows:
        if not good(row):
            print(f"! {name}: {row and [*row['failures'], *row['errors']]}")
    done = [row for _, row in rows if row is not None]
    total = {
        each: sum(row[each] for row in done)
        for each in ("cases", "accepted", "unreachable", "conflicts", "rejected", "seconds")
    }
    bad = sum(not good(row) for _, row in rows)
    print(f"{len(rows) - bad} of {len(rows)} without a failure; {total}")
    return min(bad, 1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("operation", nargs="*", help="operation ids; all by default")
    parser.add_argument("--examples", type=int, default=200, help="of each operation")
    parser.add_argument("--again", action="store_true", help="also what was asked before")
    asked = parser.parse_args()
    every = [*sorted(operation.name for operation in operations()), STATEFUL]
    sys.exit(main(asked.operation or every, asked.examples, asked.again))
