"""`python -m workers.check`: looks at the parts that a service's processes need, for `editq doctor`.

Prints a line of JSON for each finding: check, state (ok, warning, failed), found, mend. Every part is looked
at by itself and imported only then, so that what is missing keeps no other from being looked at. No finding
holds a secret: of errors only the kind is told, or the sentence of one of our own.
"""

import hashlib
import io
import json
import os
import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from storage.settings import Settings

JSON = dict[str, Any]
_SERVER = "install editq[server]"
_WORKER = "install editq[worker]"
_RELEASE = "run `python -m workers.release` (`editq up` does so itself)"


def finding(check: str, state: str, found: str, mend: str | None = None) -> JSON:
    return {"check": check, "state": state, "found": found, "mend": mend}


def guarded(check: str, mend: str, install: str, look: Callable[[], JSON]) -> JSON:
    """What `look` finds; a missing package, or any error, is a finding too."""
    from storage.errors import EditqError

    try:
        return look()
    except ImportError as error:
        return finding(check, "failed", f"the package {error.name} cannot be imported", install)
    except EditqError as error:
        return finding(check, "failed", error.detail, mend)
    except Exception as error:  # noqa: BLE001  a finding, whatever it is
        return finding(check, "failed", f"{type(error).__name__}", mend)


def device(wanted: str) -> JSON:
    import torch

    name = f"torch {torch.__version__}"
    if wanted.startswith("cuda") and not torch.cuda.is_available():
        return finding("device", "failed", f"{name} sees no GPU, and EDITQ_DEVICE is {wanted}",
                       "set EDITQ_DEVICE=auto, or install a CUDA build of torch and its driver")  # fmt: skip
    if torch.cuda.is_available() and wanted != "cpu":
        torch.ones(1, device="cuda").sum().item()
        return finding("device", "ok", f"{name} on {torch.cuda.get_device_name(0)}")
    return finding("device", "ok", f"{name} on the CPU" + ("" if wanted == "cpu" else ": no GPU is seen"))


def database(settings: "Settings") -> JSON:
    from storage.database import normal_url
    from storage.migrate import current, newest

    url = normal_url(settings.database_url)
    if url.get_backend_name() == "sqlite":
        from pathlib import Path

        if not Path(str(url.database)).exists():
            return finding("database", "ok", "none yet: the first start of the service makes it")
    there = current(settings.database_url)
    if there is None:
        return finding("database", "warning", f"{url.get_backend_name()}, without tables yet", _RELEASE)
    if there != newest():
        return finding("database", "failed", f"its tables are of {there}, not {newest()}", _RELEASE)
    return finding("database", "ok", f"{url.get_backend_name()}, its tables of {there}")


def store(settings: "Settings") -> JSON:
    """Write, read and delete an object."""
    from storage.records import new_id
    from storage.stores import open_objects

    objects, data = open_objects(settings), b"editq doctor"
    key = f"system/doctor/{new_id()}"
    ref = objects.put(key, io.BytesIO(data), "application/octet-stream")
    try:
        if objects.get(ref) != data:
            return finding("object store", "failed", "it gives back other bytes than were put there",
                           "look at the disk, or at the S3 server")  # fmt: skip
    finally:
        objects.delete([key])
    kind = "files" if settings.objects == "files" else "S3"
    return finding("object store", "ok", f"{kind}: written, read and deleted")


def broker(settings: "Settings") -> JSON:
    import redis

    client = redis.Redis.from_url(settings.redis_url, socket_timeout=5, socket_connect_timeout=5)
    try:
        client.ping()
        policy = client.info("memory").get("maxmemory_policy")
    finally:
        client.close()
    if policy not in (None, "noeviction"):
        return finding("broker", "warning", f"it answers, but throws away what it holds ({policy})",
                       "set maxmemory-policy noeviction in its configuration")  # fmt: skip
    return finding("broker", "ok", "it answers")


def models() -> list[JSON]:
    """The bundled ones: whether their files are there, and as long as their headers say."""
    from pathlib import Path

    import gpu_ops

    folders = sorted(path.parent for path in (Path(gpu_ops.__path__[0]) / "pretrained").glob("*/model.json"))
    mend = (
        "fetch the repository's files again (`git status` and `git checkout gpu_ops/pretrained` show which)"
    )
    if not folders:
        return [finding("models", "failed", "no model is bundled", mend)]
    return [guarded(f"model {each.name}", mend, _WORKER, partial(_model, each, mend)) for each in folders]


def _model(folder: Any, mend: str) -> JSON:
    check = f"model {folder.name}"
    try:
        files = json.loads((folder / "model.json").read_text())["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return finding(check, "failed", "its model.json cannot be read", mend)
    from safetensors import SafetensorError, safe_open

    for name in files.values():
        if not (folder / name).is_file():
            return finding(check, "failed", f"{name} is missing", mend)
        try:
            with safe_open(folder / name, framework="np") as tensors:
                list(tensors.keys())
        except (SafetensorError, OSError):
            return finding(check, "failed", f"{name} is damaged", mend)
    return finding(check, "ok", f"its {len(files)} files are there and whole")


def registered(settings: "Settings") -> JSON:
    """The models of the library: each file's bytes against its record."""
    from storage.records import SYSTEM_TENANT
    from storage.stores import open_stores

    stores = open_stores(settings)
    known = stores.library.list_models(SYSTEM_TENANT)
    if not known:
        return finding("models of the library", "failed", "there are none", _RELEASE)
    for model in known:
        for role, ref in model.files.items():
            digest = hashlib.sha256()
            for piece in stores.objects.stream(ref):
                digest.update(piece)
            if digest.hexdigest() != ref.sha256:
                return finding(
                    "models of the library", "failed", f"{role} of {model.name} is damaged", _RELEASE
                )
    names = ", ".join(f"{model.name} {model.digest[:12]}" for model in known)
    return finding("models of the library", "ok", f"{names}: digests are right")


def settings_or(say: Callable[[JSON], None]) -> "Settings | None":
    """The settings; what is wrong with them is told by the variables' names alone."""
    mend = "docs/configuration.md describes every variable"
    try:
        from pydantic import ValidationError

        from storage.configuration import unknown
        from storage.settings import Settings
    except ImportError as error:
        say(finding("settings", "failed", f"the package {error.name} cannot be imported", _SERVER))
        return None
    try:
        settings = Settings()
    except ValidationError as error:
        names = sorted({f"EDITQ_{'_'.join(map(str, each['loc'])).upper()}" for each in error.errors()})
        say(finding("settings", "failed", f"wrong: {', '.join(names)}", mend))
        return None
    except Exception as error:  # noqa: BLE001  such as JSON that is none
        say(finding("settings", "failed", f"they cannot be read ({type(error).__name__})", mend))
        return None
    if strange := unknown(os.environ):
        say(finding("settings", "warning", f"nothing reads {', '.join(strange)}", mend))
    else:
        say(finding("settings", "ok", "every EDITQ_ variable can be read"))
    return settings


def main(arguments: list[str]) -> None:
    """With `--broker`, the broker that the settings name is looked at too."""

    def say(told: JSON) -> None:
        print(json.dumps(told), flush=True)

    settings = settings_or(say)
    wanted = settings.device if settings is not None else "auto"
    say(guarded("device", "install a build of torch that fits this machine", _WORKER, lambda: device(wanted)))
    for each in models():
        say(each)
    if settings is None:
        return
    reach = "look whether its server runs and may be reached with the address and password that are set"
    if "--broker" in arguments:
        say(guarded("broker", f"EDITQ_REDIS_URL: {reach}", _SERVER, lambda: broker(settings)))
    tables = guarded("database", f"EDITQ_DATABASE_URL: {reach}", _SERVER, lambda: database(settings))
    say(tables)
    say(guarded("object store", "look at the rights and the space of EDITQ_DATA_DIR, or at the EDITQ_S3_ "
                "variables", _SERVER, lambda: store(settings)))  # fmt: skip
    if tables["state"] == "ok" and not tables["found"].startswith("none yet"):
        say(guarded("models of the library", _RELEASE, _SERVER, lambda: registered(settings)))


if __name__ == "__main__":
    main(sys.argv[1:])
