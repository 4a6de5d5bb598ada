"""The API over the memory stores, with Flask's own client."""

import pytest
from api_trial import Trial, cars
from flask import Flask
from flask.testing import FlaskClient

from api.app import WAITING_REQUESTS, create_app
from api.service import Service
from api.slots import Slots
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
    app = _app(settings)
    app.extensions["editq"] = Service(
        settings, stores, lambda queue, job_id: rung.append((queue, job_id)), Slots(WAITING_REQUESTS)
    )
    return Trial(app, stores, rung)


_apps: dict[str, Flask] = {}


def _app(settings: Settings) -> Flask:
    """Wiring one takes longer than most tests: they share it, each with a service of its own."""
    wanted = repr(sorted(settings.model_dump().items()))
    if wanted not in _apps:
        _apps[wanted] = create_app(settings, memory_stores(), lambda queue, job_id: None)
    return _apps[wanted]


@pytest.fixture
def client(trial: Trial) -> FlaskClient:
    return trial.app.test_client()
