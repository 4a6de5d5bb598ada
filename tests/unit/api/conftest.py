"""The API over the memory stores, with Flask's own client."""

import pytest
from api_trial import Trial, cars
from flask.testing import FlaskClient

from api.app import create_app
from storage.memory import memory_stores
from storage.settings import Settings


@pytest.fixture
def settings() -> Settings:
    return Settings(max_body_bytes=2_000_000)


@pytest.fixture
def trial(settings: Settings) -> Trial:
    stores = memory_stores()
    stores.library.put_model(cars())
    rung: list[tuple[str, str]] = []
    app = create_app(settings, stores, lambda queue, job_id: rung.append((queue, job_id)))
    return Trial(app, stores, rung)


@pytest.fixture
def client(trial: Trial) -> FlaskClient:
    return trial.app.test_client()
