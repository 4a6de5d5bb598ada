"""The containers of deploy/kubernetes as plain processes: what a kubelet would do with a pod, done here.

Manifests are built by kustomize. A container's command, environment and probes are the manifest's; where this
is root, so are its user, its rights and its read-only root.
"""

import base64
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from servers import ServerMissing, free_port, program

ROOT = Path(__file__).parents[2]
KUBERNETES = ROOT / "deploy" / "kubernetes"
JSON = dict[str, Any]
START_S = 100.0
_IMAGE = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}


def built(overlay: str, folder: Path) -> list[JSON]:
    """The objects of an overlay, with secrets drawn as deploy/secrets.sh draws them."""
    copy = folder / "kubernetes"
    shutil.copytree(KUBERNETES, copy, dirs_exist_ok=True)
    (copy / "overlays/trial/secrets.env").unlink(missing_ok=True)
    draw = [ROOT / "deploy/secrets.sh", copy / "overlays/trial/secrets.env"]
    subprocess.run(draw, check=True, capture_output=True)
    try:
        command = [program("kustomize"), "build"]
    except ServerMissing:
        command = [program("kubectl"), "kustomize"]
    done = subprocess.run(
        [*command, copy / "overlays" / overlay], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return [each for each in yaml.safe_load_all(done.stdout) if each]


def _kustomize() -> list[str]:
    """The command that builds an overlay. Not installed: the test is skipped, but fails where CI=true."""
    for name, verb in (("kustomize", "build"), ("kubectl", "kustomize")):
        with contextlib.suppress(ServerMissing):
            return [program(name), verb]
    if os.environ.get("CI") == "true":
        pytest.fail("neither kustomize nor kubectl is installed, and CI tests with everything")
    pytest.skip("neither kustomize nor kubectl is installed")


def named(objects: list[JSON], kind: str, name: str) -> JSON:
    (found,) = [each for each in objects if each["kind"] == kind and each["metadata"]["name"] == name]
    return found


def settings_of(objects: list[JSON], container: JSON) -> dict[str, str]:
    """The environment that the manifest gives a container, its ConfigMap and Secret read."""
    data: dict[str, str] = {}
    for source in container["envFrom"]:
        for kind, reference in source.items():
            wanted = {"configMapRef": "ConfigMap", "secretRef": "Secret"}[kind]
            found = named(objects, wanted, reference["name"])["data"]
            data |= found if wanted == "ConfigMap" else {k: _plain(v) for k, v in found.items()}
    return data


def _plain(value: str) -> str:
    return base64.b64decode(value).decode()


@dataclass
class Pod:
    """One running container."""

    spec: JSON
    container: JSON
    process: subprocess.Popen[bytes]
    log: Path
    port: int
    metrics_port: int

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def probe(self, name: str) -> bool:
        """As a kubelet asks: by the pod's address, without any header of its own; or inside the container."""
        probe = self.container[name]
        if "httpGet" in probe:
            asked = f"http://127.0.0.1:{self.port}{probe['httpGet']['path']}"
            with contextlib.suppress(httpx.TransportError):
                return httpx.get(asked, headers={"Host": "10.1.2.3:8000"}, trust_env=False).is_success
            return False
        inside = _entered(self.process) if _root() else []
        return subprocess.run([*inside, *probe["exec"]["command"]], check=False).returncode == 0

    def until_ready(self) -> None:
        deadline = time.monotonic() + START_S
        while not all(self.probe(name) for name in ("startupProbe", "livenessProbe", "readinessProbe")):
            assert self.process.poll() is None, self.output()
            assert time.monotonic() < deadline, self.output()
            time.sleep(0.2)

    def end(self) -> tuple[int, float]:
        """TERM, as a kubelet says it: (exit status, seconds). Raises TimeoutExpired after the grace time."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(self.spec["terminationGracePeriodSeconds"])
        return status, time.monotonic() - began


@contextlib.contextmanager
def running(
    objects: list[JSON], kind: str, name: str, folder: Path, instead: Mapping[str, str], *, init: bool = False
) -> Iterator[Pod]:
    """The (only) container of a workload, or its init container. `instead`: what differs on this machine."""
    spec = named(objects, kind, name)["spec"]["template"]["spec"]
    (container,) = spec["initContainers" if init else "containers"]
    metrics = {"EDITQ_METRICS_HOST": "127.0.0.1", "EDITQ_METRICS_PORT": str(free_port())}
    environment = settings_of(objects, container) | metrics | instead
    beside = {"EDITQ_DEVICE", "EDITQ_THREADS", "EDITQ_KEYS_REQUIRED"}
    assert set(instead) <= set(settings_of(objects, container)) | beside
    command = list(container["command"])
    if shutil.which(command[0], path=str(Path(sys.executable).parent)):
        command[0] = str(Path(sys.executable).parent / command[0])
    log = folder / f"{name}-{os.urandom(3).hex()}.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [*(_contained(container) if _root() else []), *command],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
            | environment,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:
        ports = int(environment["EDITQ_PORT"]), int(environment["EDITQ_METRICS_PORT"])
        yield Pod(spec, container, process, log, *ports)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _root() -> bool:
    return os.getuid() == 0


def _contained(container: JSON) -> list[str]:
    """Root read-only, the volumes empty and writable, the user the manifest's, without any capability."""
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    volumes = [f"mount -t tmpfs -o mode=1777 none {each['mountPath']}" for each in container["volumeMounts"]]
    steps = [*_home_opened(), *volumes, "mount -o remount,ro,bind /", 'exec setpriv "$@"']
    user = ["--reuid=10001", "--regid=10001", "--clear-groups", "--no-new-privs"]
    rights = ["--inh-caps=-all", "--bounding-set=-all"]
    inside = ["unshare", "--mount", "--propagation", "private", "sh", "-c", " && ".join(steps), "sh"]
    return [*inside, *user, *rights, "--"]


def _home_opened() -> list[str]:
    """Where Python or the code are in root's home, which nobody else may enter: a home of these alone."""
    wanted = sorted({str(Path(each).resolve()) for each in (sys.base_prefix, sys.prefix, ROOT)})
    inside = [path for path in wanted if path.startswith("/root/")]
    kept = [f"mkdir -p /mnt/{n} && mount --bind {path} /mnt/{n}" for n, path in enumerate(inside)]
    moved = [f"mkdir -p {path} && mount --move /mnt/{n} {path}" for n, path in enumerate(inside)]
    emptied = ["mount -t tmpfs -o mode=755 none /mnt", *kept, "mount -t tmpfs -o mode=755 none /root"]
    return [*emptied, *moved] if inside else []


def _entered(process: subprocess.Popen[bytes]) -> list[str]:
    return ["nsenter", "--mount", "--target", str(process.pid)]
