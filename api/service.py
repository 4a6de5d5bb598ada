"""What the views work with, hung on the Flask application by create_app."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flask import current_app, g

from api.known import Known
from api.slots import Slots
from storage.limit_records import Held, Limit
from storage.settings import Settings
from storage.stores import Stores
from workers.queue import Ring

if TYPE_CHECKING:
    from api.tokens import Tokens


@dataclass
class Service:
    """`stopping` says whether this process is on its way out: streams and long polls then end early."""

    settings: Settings
    stores: Stores
    ring: Ring
    slots: Slots
    stopping: Callable[[], bool] = lambda: False

    def __post_init__(self) -> None:
        self.limits: Known[dict[Limit, float]] = Known(self.stores.limits.of)
        self.held: Known[Held] = Known(self.stores.limits.held)
        self.tokens = tokens_of(self.settings)


def tokens_of(settings: Settings) -> "Tokens | None":
    """None where no issuer is named. Raises ImportError without the extra `oidc`."""
    if settings.oidc is None:
        return None
    from api.issuer import Issuer
    from api.tokens import Tokens

    return Tokens(Issuer(settings.oidc))


def service() -> Service:
    found = current_app.extensions["editq"]
    assert isinstance(found, Service)
    return found


def stores() -> Stores:
    return service().stores


def tenant_id() -> str:
    """Whose request this is, as auth.py found."""
    return str(g.tenant_id)
