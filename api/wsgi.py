"""What gunicorn loads: `gunicorn -c python:api.gunicorn_conf api.wsgi:app` (see Settings)."""

from api.app import create_app
from api.log import configure_logging
from storage.settings import Settings
from storage.stores import open_stores
from workers.queue import make_ring

settings = Settings()
configure_logging(settings.log_level)
app = create_app(settings, open_stores(settings), make_ring(settings))
