"""Who is asking. For now one user, "local", on loopback and without keys.

A web page in the user's browser can reach loopback too, so the Host is checked (DNS rebinding: the
page's own name would stand there) and so is the Origin (another site's script or form). Keys, when
they come, replace `authenticate`; the rest of the API knows only the tenant's id.
"""

from urllib.parse import urlsplit

from flask import Flask, Request, g, request

from storage.errors import Forbidden
from storage.records import LOCAL_TENANT
from storage.settings import Settings

PROBES = frozenset({"/livez", "/readyz"})  # an orchestrator asks by address, and they tell nothing
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def authenticate(_request: Request) -> str:
    """The tenant that the request acts for."""
    return LOCAL_TENANT


def check_host(request: Request, allowed: frozenset[str]) -> None:
    """Raises Forbidden when the Host header names a machine that is not this one."""
    if "*" in allowed or _hostname(request.headers.get("Host", "")) in allowed:
        return
    raise Forbidden(
        "This service does not answer under that name.",
        field="Host",
        expected="a name in EDITQ_ALLOWED_HOSTS (by default localhost and 127.0.0.1)",
    )


def check_origin(request: Request) -> None:
    """Raises Forbidden when a page of another origin is asking. Clients that are no browser send none."""
    origin = request.headers.get("Origin")
    same = origin is None or origin.lower().partition("://")[2] == request.headers.get("Host", "").lower()
    site = request.headers.get("Sec-Fetch-Site", "none")
    foreign = origin is None and site not in ("none", "same-origin") and request.method not in SAFE_METHODS
    if not same or foreign:
        raise Forbidden(
            "Pages of another origin may not use this service.",
            field="Origin",
            expected="the service's own origin",
        )


def _hostname(host: str) -> str | None:
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
    except ValueError:
        return None
    return parts.hostname if parts.path == "" and "@" not in host else None


def register_auth(app: Flask, settings: Settings) -> None:
    allowed = frozenset(name.strip("[]").lower() for name in settings.allowed_hosts)

    @app.before_request
    def authorise() -> None:
        g.tenant_id = None
        if request.path in PROBES:
            return
        check_host(request, allowed)
        check_origin(request)
        g.tenant_id = authenticate(request)
