"""schemathesis over the whole OpenAPI document, with all its checks: `make fuzz-api EXAMPLES=200`.

The app runs over memory stores behind werkzeug's server on loopback, with a model, a picture, a mask, a job.
What is not checked of which operation, and why, stands in schemathesis.toml. Ends with schemathesis's status.
"""

import argparse
import subprocess
import sys
import threading
from pathlib import Path

from api_trial import Trial, cars, mask_png, picture, upload
from werkzeug.serving import WSGIRequestHandler, make_server

from api.app import create_app
from storage.key_records import Scope
from storage.memory import memory_stores
from storage.records import LOCAL_TENANT
from storage.settings import Settings

HERE = Path(__file__).resolve().parent
PHASES = "examples,coverage,fuzzing,stateful"


class Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, type: str, message: str, *args: object) -> None:
        pass


def wired() -> tuple[Trial, str]:
    """And an admin's key."""
    secret = "whsec_" + "c2VjcmV0" * 5
    settings = Settings(
        max_body_bytes=2_000_000, webhook_secret=secret, keys_required=True, operators=(LOCAL_TENANT,)
    )
    stores = memory_stores()
    stores.library.put_model(cars())
    trial = Trial(create_app(settings, stores, lambda queue, job_id: None), stores, [])
    _, key = stores.keys.create(LOCAL_TENANT, "fuzz", Scope.ADMIN)
    client = trial.app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {key.text}"
    upload(client, picture())
    upload(client, mask_png(), "mask")
    trial.inverted()
    return trial, key.text


def main(examples: int, more: list[str]) -> int:
    trial, key = wired()
    server = make_server("127.0.0.1", 0, trial.app, threaded=True, request_handler=Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(HERE / "schemathesis.toml")),
        *("run", f"http://127.0.0.1:{server.server_port}/openapi.json", "--max-examples", str(examples)),
        *("--phases", PHASES, "--header", f"Authorization: Bearer {key}", *more),
    ]
    try:
        return subprocess.run(command, check=False).returncode
    finally:
        server.shutdown()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=200, help="of each operation")
    known, others = parser.parse_known_args()
    sys.exit(main(known.examples, others))
