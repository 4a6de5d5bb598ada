"""gunicorn's own lines, as every other line of the service is written."""

from typing import Any

from gunicorn.glogging import Logger as GunicornLogger

from storage.log import configure_logging
from storage.settings import Settings


class Logger(GunicornLogger):  # type: ignore[misc]  # gunicorn says no types
    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        configure_logging(Settings())
        self.error_log.handlers.clear()
        self.error_log.propagate = True
