"""Container files and manifests: right by their schemas, and hardened as docs/operations.md says."""

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import kubernetes_validate
import psycopg
import pytest
import yaml
from pods import JSON, KUBERNETES, ROOT, built, named

from storage.database import Database
from storage.decoders import MOST_PROCESSES
from storage.jobs import SqlJobs
from storage.migrate import migrate
from storage.settings import Settings

OVERLAYS = ("trial", "production")
OF_KEDA = ("ScaledObject", "TriggerAuthentication")
BESIDE = Path(sys.executable).parent


@pytest.fixture(scope="module", params=OVERLAYS)
def objects(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[JSON]:
    return built(request.param, tmp_path_factory.mktemp("built"))


@pytest.fixture
def scaled(tmp_path: Path) -> JSON:
    return named(built("production", tmp_path), "ScaledObject", "gpu")


def pod_specs(objects: list[JSON]) -> list[JSON]:
    return [
        each["spec"]["template"]["spec"]
        for each in objects
        if each["kind"] in ("Deployment", "StatefulSet", "Job")
    ]


def containers(objects: list[JSON]) -> list[JSON]:
    return [
        each for spec in pod_specs(objects) for each in [*spec["containers"], *spec.get("initContainers", [])]
    ]


def test_manifests_fit_the_schemas_of_kubernetes(objects: list[JSON]) -> None:
    for each in objects:
        if each["kind"] not in OF_KEDA:
            kubernetes_validate.validate(each, "1.30", strict=True)


def test_a_wrong_manifest_would_be_found(objects: list[JSON]) -> None:
    wrong = named(objects, "Deployment", "web") | {"spec": {"replicass": 2}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, "1.30", strict=True)


def test_every_pod_runs_as_a_user_of_no_rights_on_a_read_only_root(objects: list[JSON]) -> None:
    for spec in pod_specs(objects):
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in containers(objects):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["limits"]["memory"]


def test_every_image_is_pinned(objects: list[JSON]) -> None:
    tags = {each["image"].partition(":")[2] for each in containers(objects)}
    assert all(tag and tag[0].isdigit() for tag in tags)


def test_a_worker_may_take_longer_to_end_than_a_step_or_a_save(objects: list[JSON]) -> None:
    for name in ("gpu", "cpu"):
        grace_s = named(objects, "Deployment", name)["spec"]["template"]["spec"][
            "terminationGracePeriodSeconds"
        ]
        assert grace_s > Settings().stall_s + Settings().checkpoint_s + 60


def test_every_deployment_has_probes_and_a_disruption_budget(objects: list[JSON]) -> None:
    for each in objects:
        if each["kind"] == "Deployment":
            (container,) = each["spec"]["template"]["spec"]["containers"]
            assert {"startupProbe", "livenessProbe", "readinessProbe"} <= set(container)
            budget = named(objects, "PodDisruptionBudget", each["metadata"]["name"])
            assert budget["spec"]["selector"]["matchLabels"] == each["spec"]["selector"]["matchLabels"]


def test_settings_are_those_that_the_service_knows(objects: list[JSON]) -> None:
    known = {f"EDITQ_{name.upper()}" for name in Settings.model_fields}
    said = {name for name in named(objects, "ConfigMap", "editq")["data"] if name.startswith("EDITQ_")}
    assert said
    assert said <= known


def test_the_scaling_rule_of_the_worker_fits_the_schema_of_the_autoscaler_it_becomes(scaled: JSON) -> None:
    spec = scaled["spec"]
    behaviour = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    autoscaler = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "gpu"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", **spec["scaleTargetRef"]},
            "minReplicas": spec["minReplicaCount"],
            "maxReplicas": spec["maxReplicaCount"],
            "behavior": behaviour,
        },
    }
    kubernetes_validate.validate(autoscaler, "1.30", strict=True)
    known = {"scaleTargetRef", "pollingInterval", "cooldownPeriod", "minReplicaCount", "maxReplicaCount"}
    assert set(spec) <= known | {"fallback", "advanced", "triggers"}
    assert all(
        isinstance(value, str) for trigger in spec["triggers"] for value in trigger["metadata"].values()
    )


def test_scaling_counts_running_jobs_and_those_that_could_run_now(scaled: JSON, postgres_url: str) -> None:
    (trigger,) = scaled["spec"]["triggers"]
    assert trigger["metadata"]["targetQueryValue"] == "1"
    migrate(postgres_url)
    database = Database(postgres_url)
    jobs = SqlJobs(database)

    def counted() -> int:
        with psycopg.connect(postgres_url.replace("+psycopg", "")) as connection:
            row = connection.execute(trigger["metadata"]["query"]).fetchone()
        assert row is not None
        return int(row[0])

    assert counted() == 0
    for _ in range(3):
        jobs.add("local", "edit", {})
    jobs.add("local", "validate", {}, queue="cpu")
    assert counted() == 3
    claim = jobs.claim("gpu", "w", lease_s=60)
    assert claim is not None
    assert counted() == 3
    jobs.pause("gpu", True)
    assert counted() == 1
    jobs.pause("gpu", False)
    jobs.succeed(claim, {}, {})
    assert counted() == 2
    database.close()


DECODER_BYTES = 45_000_000  # docs/measurements.md
PROCESSES = {"web": 2, "gpu": 1, "cpu": 1}  # that open pictures, of each; gunicorn's default is two
OWN_BYTES = {"web": 150_000_000, "gpu": 8 << 30, "cpu": 150_000_000}  # each without any


def in_bytes(amount: str) -> int:
    number, unit = amount.rstrip("KMGikmg"), amount.lstrip("0123456789")
    return int(number) << {"Mi": 20, "m": 20, "Gi": 30, "g": 30}[unit]


def test_memory_counts_the_processes_that_open_pictures(objects: list[JSON]) -> None:
    services = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())["services"]
    for name, processes in PROCESSES.items():
        template = named(objects, "Deployment", name)["spec"]["template"]
        resources = template["spec"]["containers"][0]["resources"]
        decoders = processes * MOST_PROCESSES * DECODER_BYTES
        own = processes * OWN_BYTES[name]
        assert in_bytes(resources["requests"]["memory"]) >= own + decoders, name
        assert in_bytes(resources["limits"]["memory"]) >= 2 * own + decoders, name
        assert in_bytes(services[name]["mem_limit"]) >= in_bytes(resources["limits"]["memory"]), name


def test_every_process_serves_metrics_where_the_network_lets_the_scraper_in(objects: list[JSON]) -> None:
    settings = named(objects, "ConfigMap", "editq")["data"]
    policy = named(objects, "NetworkPolicy", "metrics")["spec"]
    (rule,) = policy["ingress"]
    (chosen,) = policy["podSelector"]["matchExpressions"]
    assert set(chosen["values"]) == set(PROCESSES)
    assert rule["from"] == [{"namespaceSelector": {"matchLabels": {"editq.io/may-call": "true"}}}]
    compose = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())
    scraped = yaml.safe_load((ROOT / "deploy/prometheus/compose.yml").read_text())["scrape_configs"]
    found = {each["dns_sd_configs"][0]["names"][0]: each["dns_sd_configs"][0]["port"] for each in scraped}
    assert settings["EDITQ_METRICS_HOST"] == "0.0.0.0"
    for name in PROCESSES:
        template = named(objects, "Deployment", name)["spec"]["template"]
        ports = {port["name"]: port["containerPort"] for port in template["spec"]["containers"][0]["ports"]}
        assert [rule["ports"][0]["port"]] == ["metrics"]
        assert str(ports["metrics"]) == settings["EDITQ_METRICS_PORT"]
        assert template["metadata"]["annotations"]["prometheus.io/port"] == settings["EDITQ_METRICS_PORT"]
        service = compose["services"][name]
        assert service["environment"]["EDITQ_METRICS_PORT"] == str(found[name]) == "9464"
        assert "monitoring" in service["networks"]


def linted(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_container_file_passes_hadolint() -> None:
    linted(BESIDE / "hadolint", ROOT / "deploy/Dockerfile")


def test_the_container_file_builds_with_the_tested_packages_and_ends_as_no_root() -> None:
    text = (ROOT / "deploy/Dockerfile").read_text()
    stages = text.split("\nFROM ")[1:]
    torch = next(line for line in (ROOT / "deploy/install.sh").read_text().splitlines() if "torch=(" in line)
    assert torch.removeprefix("torch=(").removesuffix(")") in text
    for name in ("server", "worker"):
        (stage,) = [each for each in stages if each.splitlines()[0].endswith(f"AS {name}")]
        assert "USER 10001:10001" in stage


def test_compose_files_fit_their_schema() -> None:
    files = (ROOT / "deploy/compose.yaml", ROOT / "deploy/compose.gpu.yaml")
    linted(BESIDE / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", *files)


def test_compose_and_kubernetes_start_the_same_processes(objects: list[JSON]) -> None:
    services: dict[str, Any] = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())["services"]
    for each in objects:
        name = each["metadata"]["name"]
        if each["kind"] in ("Deployment", "Job"):
            assert services[name]["command"] == each["spec"]["template"]["spec"]["containers"][0]["command"]
    for name, service in services.items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert not service["image"].endswith(":latest")
        assert ":" in service["image"]


def test_kubernetes_files_hold_no_secret() -> None:
    files = [*KUBERNETES.rglob("*.yaml"), ROOT / "deploy/compose.yaml"]
    assert not [path for path in files if "kind: Secret\n" in path.read_text()]
    assert not list(KUBERNETES.rglob("secrets.env"))


def test_what_the_images_are_made_of_reaches_their_build() -> None:
    """Each source that is copied is let through by .dockerignore, and each package is copied."""
    lines = (ROOT / "deploy" / "Dockerfile").read_text().splitlines()
    copied = {
        name
        for line in lines
        if line.startswith("COPY ") and "--from" not in line
        for name in line.split()[1:-1]
    }
    ignored, *let_through = (ROOT / ".dockerignore").read_text().split()
    assert ignored == "*"
    assert copied <= {name.removeprefix("!") for name in let_through}
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]
    assert {name.rstrip("*") for name in packages["include"]} <= copied
    assert all((ROOT / name).exists() for name in copied)
