"""What a World has in store before anything happens: the tables, a model for each kind of job, a picture."""

import io

from PIL import Image as Pillow

from chaos.parts import Api
from chaos.recipes import OPERATIONS
from storage.library_records import Model, Part
from storage.migrate import migrate
from storage.records import SYSTEM_TENANT, ObjectRef, new_id
from storage.settings import Settings
from storage.stores import Stores, open_stores


def filled_stores(settings: Settings) -> Stores:
    """A model's name says what its jobs do (chaos/recipes.py); nobody reads its weights."""
    migrate(settings.database_url)
    stores = open_stores(settings)
    for name in OPERATIONS:
        stores.library.put_model(_model(name))
    return stores


def _model(name: str) -> Model:
    weights = ObjectRef(f"system/models/{name}/d/generator", "a" * 64, 3, "application/octet-stream")
    parts = (Part(0, "sky", (0, 0, 255)), Part(1, "body", (255, 0, 0)))
    return Model(new_id(), SYSTEM_TENANT, name, "d" * 64, 16, parts, {}, {"generator": weights}, {}, 0.0)


def uploaded_picture(api: Api) -> str:
    """The id of a small picture."""
    buffer = io.BytesIO()
    Pillow.new("RGB", (16, 16), (200, 30, 30)).save(buffer, "PNG")
    headers = {"Content-Type": "image/png"}
    answer = api.http.post("/v1/images?role=picture", content=buffer.getvalue(), headers=headers)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])
