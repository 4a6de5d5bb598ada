"""Who is asking, and whether they may: by an API key, a token of the operator's issuer, or as the one user of
this machine.

Without keys only loopback is answered. A web page in the user's browser can reach that too, so the Host is
checked (DNS rebinding: the page's own name would stand there) and so is the Origin (another site's script or
form). The rest of the API knows only the tenant's id.
"""

import contextlib
from urllib.parse import urlsplit

from flask import Flask, Request, g, request

from api.limits import check_rate
from api.scopes import OPERATORS, check_stated, scope_of
from api.service import service
from storage.addresses import is_loopback
from storage.errors import EditqError, Forbidden, KeyMalformed, KeyMissing, ScopeMissing
from storage.key_records import BEGINNING, USED_EVERY_S, ApiKey, Scope, check, split
from storage.records import LOCAL_TENANT
from storage.settings import Settings

PROBES = frozenset({"/livez", "/readyz"})  # an orchestrator asks by address, and they tell nothing
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def brings_key(request: Request) -> bool:
    """Where no key is asked for, another scheme's header is for a proxy on the way, and no wrong key."""
    return request.headers.get("Authorization", "").lower().startswith("bearer")


def authenticate(request: Request) -> ApiKey:
    """The key that the request carries, or whose token it is. Raises an Unauthorised, or what Tokens does."""
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    if not scheme:
        raise KeyMissing(
            "This service asks for an API key.", field="Authorization", expected="Bearer editq_…"
        )
    if scheme.lower() != "bearer":
        raise KeyMalformed("Only API keys are known here.", field="Authorization", expected="Bearer editq_…")
    tokens = service().tokens
    if tokens is not None and not text.strip().startswith(BEGINNING):
        return tokens.bearer(text.strip())
    given, keys = split(text.strip()), service().stores.keys
    stored = keys.stored(given.prefix)
    key = check(given, stored)
    if stored is not None and (key.last_used_at or 0) <= stored.now - USED_EVERY_S:
        with contextlib.suppress(EditqError):  # a note, and no reason to refuse anybody
            keys.used(key)
    return key


def authorise(key: ApiKey, endpoint: str | None, operators: frozenset[str]) -> None:
    """Raises ScopeMissing."""
    needed = scope_of(endpoint) or Scope.READ
    if not key.scope.allows(needed):
        raise ScopeMissing(
            f"This key or token may {key.scope}, and this asks for {needed}.",
            field="Authorization",
            expected=f"a key of scope {needed}",
        )
    if endpoint in OPERATORS and key.tenant_id not in operators:
        raise ScopeMissing(
            "This is about everybody's work.",
            field="Authorization",
            expected="an admin key of a tenant in EDITQ_OPERATORS",
        )


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


def check_peer(request: Request) -> None:
    """Raises KeyMissing where keys are not asked for and another machine is asking."""
    if not is_loopback(request.remote_addr or ""):
        raise KeyMissing(
            "Without keys only this machine is answered.",
            field="Authorization",
            expected="EDITQ_KEYS_REQUIRED=true, and a key",
        )


def _hostname(host: str) -> str | None:
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
    except ValueError:
        return None
    return parts.hostname if parts.path == "" and "@" not in host else None


def register_auth(app: Flask, settings: Settings) -> None:
    """Before every request. `finish_auth` must be called when all routes are there."""
    allowed = frozenset(name.strip("[]").lower() for name in settings.allowed_hosts)
    operators = frozenset(settings.operators)

    @app.before_request
    def admit() -> None:
        g.tenant_id = g.key = None
        if request.path in PROBES:
            return
        check_host(request, allowed)
        check_origin(request)
        if not settings.keys_required:
            check_peer(request)
        if scope_of(request.endpoint) is None:
            return
        if not settings.keys_required and not brings_key(request):
            g.tenant_id = LOCAL_TENANT
            check_rate(LOCAL_TENANT)
            return
        g.key = authenticate(request)
        g.tenant_id = g.key.tenant_id
        check_rate(g.tenant_id)
        authorise(g.key, request.endpoint, operators)


def finish_auth(app: Flask) -> None:
    """Raises ScopeNotStated."""
    check_stated(rule.endpoint for rule in app.url_map.iter_rules())
