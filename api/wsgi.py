"""What gunicorn loads: `gunicorn -c python:api.gunicorn_conf api.wsgi:app` (see Settings)."""

from api.app import create_app
from storage.log import configure_logging
from storage.settings import Settings
from storage.stores import open_stores
from storage.tracing import configure_tracing
from workers.queue import Doorbell

settings = Settings()
configure_logging(settings)
configure_tracing(settings, "editq-api")
app = create_app(settings, open_stores(settings), Doorbell(settings.redis_url).ring)
