"""`python -m workers.release`: what must be done once per release, before its processes start.

The database is migrated, and the bundled models, with their starter vectors, are put into the object store
and the library, as the system's. Doing it again changes nothing. It needs no torch.

    python -m workers.release --wait      only wait until that was done elsewhere (init containers)
    python -m workers.release --back 0005  bring the tables back to those of an older version
"""

import hashlib
import json
import logging
import sys
import time
from pathlib import Path
from typing import Any

import gpu_ops
from storage.errors import StorageUnavailable
from storage.library_records import Model, Part
from storage.log import configure_logging
from storage.migrate import migrate, migrated, step_back
from storage.objects import model_key
from storage.records import SYSTEM_TENANT, ObjectRef, new_id
from storage.settings import Settings
from storage.stores import Objects, Stores, open_stores
from workers.release_vectors import register_vectors

DESCRIPTION = "model.json"
EXTRAS = {"card": "card.md", "preview": "preview.png"}  # shown to people; no part of the digest
MEDIA_TYPES = {".json": "application/json", ".md": "text/markdown", ".png": "image/png"}

log = logging.getLogger(__name__)


def release(settings: Settings, pretrained: Path) -> tuple[Model, ...]:
    migrate(settings.database_url)
    return register_models(open_stores(settings), pretrained)


def wait(settings: Settings, every_s: float = 2.0) -> None:
    """Until the database has this version's tables, or newer ones, and a model."""
    while True:
        try:
            if migrated(settings.database_url) and open_stores(settings).library.list_models(SYSTEM_TENANT):
                return
            log.info("waiting for `python -m workers.release`")
        except StorageUnavailable as error:
            log.info("waiting for the database: %s", error.detail)
        time.sleep(every_s)


def register_models(stores: Stores, pretrained: Path) -> tuple[Model, ...]:
    """Every folder with a model.json becomes a model of the system's, with its starter vectors."""
    folders = sorted(path.parent for path in pretrained.glob(f"*/{DESCRIPTION}"))
    found = tuple(register_model(stores, folder) for folder in folders)
    for model, folder in zip(found, folders, strict=True):
        register_vectors(stores, model, folder)
    return found


def register_model(stores: Stores, folder: Path, tenant_id: str = SYSTEM_TENANT) -> Model:
    description: dict[str, Any] = json.loads((folder / DESCRIPTION).read_text())
    weights = {role: folder / name for role, name in description["files"].items()}
    weights["description"] = folder / DESCRIPTION
    digest = digest_of({role: _sha256(path) for role, path in weights.items()})
    extras = {role: folder / name for role, name in EXTRAS.items() if (folder / name).is_file()}
    keys = {
        role: (model_key(tenant_id, description["name"], digest, path.name), path)
        for role, path in (weights | extras).items()
    }
    files = {role: _put(stores.objects, key, path) for role, (key, path) in keys.items()}
    known = {"name", "resolution_px", "parts", "groups", "files"}
    model = stores.library.put_model(
        Model(
            id=new_id(),
            tenant_id=tenant_id,
            name=description["name"],
            digest=digest,
            resolution_px=description["resolution_px"],
            parts=tuple(Part(p["id"], p["name"], tuple(p["colour"])) for p in description["parts"]),
            groups={name: tuple(members) for name, members in description["groups"].items()},
            files=files,
            card={name: value for name, value in description.items() if name not in known},
            created_at=0.0,  # the library's clock sets it
        )
    )
    for key, path in keys.values():  # again, for what was removed as garbage before its record was there
        _put(stores.objects, key, path)
    log.info("model %s %s", model.name, model.digest)
    return model


def digest_of(sha256_by_role: dict[str, str]) -> str:
    """What pins a model: SHA-256 over its roles and their files' own, in order."""
    return hashlib.sha256(json.dumps(sorted(sha256_by_role.items())).encode()).hexdigest()


def _put(objects: Objects, key: str, path: Path) -> ObjectRef:
    """Written again only where it is missing: the key holds the digest."""
    media_type = MEDIA_TYPES.get(path.suffix, "application/octet-stream")
    if objects.exists(key):
        return ObjectRef(key, _sha256(path), path.stat().st_size, media_type)
    with path.open("rb") as file:
        return objects.put(key, file, media_type)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    settings = Settings()
    configure_logging(settings)
    if sys.argv[1:] == ["--wait"]:
        wait(settings)
    elif sys.argv[1:2] == ["--back"]:
        step_back(settings.database_url, sys.argv[2])
    else:
        release(settings, Path(gpu_ops.__path__[0]) / "pretrained")
