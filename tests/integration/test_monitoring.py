"""Real processes, scraped: every metric that the dashboard and the alert rules ask for is there."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import servers
from prometheus_client.parser import text_string_to_metric_families
from tiny_model import make_tiny_model
from worker_plant import ROOT, Plant, gpu

from api.errors import catalogue
from storage.migrate import migrate
from storage.records import Status
from workers.release import register_models

DEPLOY = ROOT / "deploy"
RULES, DASHBOARD = DEPLOY / "prometheus" / "alerts.yml", DEPLOY / "grafana" / "editq.json"
OF_PROMETHEUS = {"up"}
NEEDS_GPU = {"editq_gpu_busy_ratio", "editq_gpu_memory_used_bytes", "editq_gpu_memory_bytes"} | {
    "editq_gpu_allocated_bytes"
}
NAME = re.compile(r"(?<![\w\"=~$])(?:editq_\w+|up)(?=[\s{\[)]|$)")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]  # torch is imported
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@dataclass
class Service:
    plant: Plant
    api: httpx.Client
    ports: dict[str, int]
    log: Path

    def scrape(self, process: str) -> dict[str, list[Any]]:
        """Samples by their names."""
        answer = httpx.get(f"http://127.0.0.1:{self.ports[process]}/metrics", trust_env=False, timeout=30)
        assert answer.status_code == 200, answer.text
        samples: dict[str, list[Any]] = {}
        for family in text_string_to_metric_families(answer.text):
            for sample in family.samples:
                samples.setdefault(sample.name, []).append(sample)
        return samples

    def value(self, process: str, name: str, **labels: str) -> float:
        """Summed over the labels that are not named."""
        return sum(
            sample.value
            for sample in self.scrape(process).get(name, [])
            if labels.items() <= sample.labels.items()
        )

    def lines(self, which: str) -> list[dict[str, Any]]:
        log = self.log if which == "api" else gpu(self.plant).log
        return [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("monitored")
    ports = {name: servers.free_port() for name in ("api", "gpu", "cpu")}
    make_tiny_model(folder / "pretrained")
    plant = Plant(folder, redis_url)
    plant.broker.flushall()
    migrate(plant.settings.database_url)
    register_models(plant.stores, folder / "pretrained")
    for queue in ("cpu", "gpu"):
        plant.start(queue, EDITQ_METRICS_PORT=str(ports[queue]))
    port, log = servers.free_port(), folder / "api.log"
    environ = plant.environ | {"EDITQ_PORT": str(port), "EDITQ_METRICS_PORT": str(ports["api"])}
    command = (sys.executable, "-m", "gunicorn", "-c", "python:api.gunicorn_conf", "api.wsgi:app")
    with log.open("wb") as file, httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as api:
        process = subprocess.Popen(
            command, env=os.environ | environ | {"WEB_CONCURRENCY": "2"}, cwd=ROOT, stdout=file, stderr=file
        )
        try:
            plant.until(lambda: _answers(api), "an answer of the API")
            found = Service(plant, api, ports, log)
            _work(found)
            yield found
        finally:
            process.terminate()
            process.wait(30)
            plant.stop()


def _answers(api: httpx.Client) -> bool:
    try:
        return api.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


def _work(service: Service) -> None:
    """One job of each end."""
    plant = service.plant
    plant.until(lambda: len(plant.stores.progress.workers()) == 2, "the workers' presence")
    asked = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01", "X-Request-ID": "find-me"}
    answer = service.api.post("/v1/jobs", json={"kind": "sample", "model": "cars"}, headers=asked)
    done = plant.stores.jobs.get("local", answer.json()["id"])
    assert plant.ended(done).status is Status.SUCCEEDED, gpu(plant).output()[-3000:]
    assert plant.ended(plant.submit("sample", truncation_psi="none")).status is Status.FAILED
    later = plant.stores.jobs.add("local", "sample", {"kind": "sample"}, queue="nobody's")
    assert service.api.post(f"/v1/jobs/{later.id}/cancel").status_code < 300
    plant.stores.jobs.add("local", "sample", {"kind": "sample"}, queue="nobody's")


def queried() -> dict[str, set[str]]:
    """Names of metrics, by who asks for them."""
    dashboard = json.loads(DASHBOARD.read_text())
    asked = {
        f"panel {panel['title']}": target["expr"]
        for panel in dashboard["panels"]
        for target in panel.get("targets", ())
    }
    rules = re.split(r"- alert: (\w+)", RULES.read_text())
    asked |= {
        f"alert {name}": re.sub(
            r"\n *(for|labels|annotations):.*", "", text.split("expr:")[1], flags=re.DOTALL
        )
        for name, text in zip(rules[1::2], rules[2::2], strict=True)
    }
    return {who: set(NAME.findall(expression)) for who, expression in asked.items()}


def test_each_query_names_a_metric() -> None:
    asked = queried()
    assert len(asked) > 30
    assert [who for who, names in asked.items() if not names] == []


def test_each_metric_that_is_queried_is_in_a_live_scrape(service: Service) -> None:
    live = {name for process in service.ports for name in service.scrape(process)}
    missing = {
        who: absent
        for who, names in queried().items()
        if (absent := names - live - NEEDS_GPU - OF_PROMETHEUS)
    }
    assert missing == {}


def test_the_alerts_know_the_codes_of_errors() -> None:
    codes = set(re.search(r'code=~"([a-z_|]+)"', RULES.read_text()).group(1).split("|"))  # type: ignore[union-attr]
    assert codes <= catalogue().keys()


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (Debian: prometheus) is not installed")
@pytest.mark.parametrize("asked", ["check rules alerts", "check config prometheus", "test rules alerts.test"])
def test_promtool_takes_the_files(asked: str) -> None:
    command = ["promtool", *f"{asked}.yml".split()]
    done = subprocess.run(command, cwd=RULES.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_became_of_jobs_is_counted_where_it_happened(service: Service) -> None:
    ended = "editq_jobs_ended_total"
    assert service.value("gpu", ended, kind="sample", status="succeeded", code="") == 1
    assert service.value("gpu", ended, kind="sample", status="failed", code="invalid_input") == 1
    assert service.value("api", ended, kind="sample", status="canceled") == 1
    assert service.value("gpu", "editq_attempt_seconds_count", kind="sample", end="succeeded") == 1
    assert service.value("gpu", "editq_attempt_seconds_sum", kind="sample", end="succeeded") > 0
    assert service.value("gpu", "editq_job_wait_seconds_count", queue="gpu", kind="sample") == 2
    assert service.value("gpu", "editq_steps_total", kind="sample") >= 1
    assert service.value("gpu", "editq_gpu_seconds_total", kind="sample") > 0
    assert service.value("api", "editq_jobs_added_total", kind="sample") == 1


def test_queues_are_told_by_the_api_and_by_housekeeping(service: Service) -> None:
    for process in ("api", "cpu"):
        assert service.value(process, "editq_queue_jobs", kind="sample", status="queued") == 1
        assert service.value(process, "editq_queue_eligible_jobs", queue="nobody's") == 1
        assert service.value(process, "editq_queue_oldest_seconds", queue="nobody's") > 0
    assert service.value("api", "editq_workers", queue="gpu") == 1
    assert service.value("api", "editq_part_up") == service.value("cpu", "editq_part_up") == 3
    assert "editq_queue_jobs" not in service.scrape("gpu")


def test_requests_are_counted_by_route_whichever_process_answers(service: Service) -> None:
    before = service.value("api", "editq_http_requests_total", route="/v1/jobs/<job_id>", status="404")
    for number in range(12):
        httpx.get(service.api.base_url.join(f"/v1/jobs/{number}"), trust_env=False)  # a connection each
        assert service.api.request("FOO", "/nowhere").status_code == 404
    route = {"route": "/v1/jobs/<job_id>", "method": "GET", "status": "404"}
    assert service.value("api", "editq_http_requests_total", **route) == before + 12
    assert service.value("api", "editq_http_requests_total", route="unknown", method="other") == 12
    assert service.value("api", "editq_http_request_seconds_count", route="/v1/jobs/<job_id>") >= 12


def test_metrics_are_for_who_came_to_this_machine_by_its_name(service: Service) -> None:
    url = f"http://127.0.0.1:{service.ports['api']}"
    for path, headers, status in (
        ("/metrics", {}, 200),
        ("/metrics", {"Host": "localhost:1"}, 200),
        ("/metrics", {"Host": "evil.example"}, 403),
        ("/metrics", {"Origin": "http://evil.example"}, 403),
        ("/v1/jobs", {}, 404),
    ):
        assert httpx.get(url + path, headers=headers, trust_env=False).status_code == status, (path, headers)
    assert service.api.get("/metrics").status_code == 404


def test_one_trace_leads_from_the_request_to_the_workers_lines(service: Service) -> None:
    access = [line for line in service.lines("api") if line.get("request_id") == "find-me"]
    job_id = next(line["job_id"] for line in access if "job_id" in line)
    assert {line["trace_id"] for line in access} == {TRACE}
    worked = [line for line in service.lines("gpu") if line.get("job_id") == job_id]
    assert {line["trace_id"] for line in worked} == {TRACE}
    assert {(line["attempt"], line["tenant_id"], line["kind"]) for line in worked} == {(1, "local", "sample")}


def test_every_line_of_every_process_is_an_object_of_json(service: Service) -> None:
    logs = [service.log, *(worker.log for worker in service.plant.workers)]
    for log in logs:
        _, brace, lines = log.read_text().partition("{")  # Celery warns root before it asks how to log
        for line in (brace + lines).splitlines():
            assert {"time", "level", "logger", "message"} <= json.loads(line).keys(), (log, line)
