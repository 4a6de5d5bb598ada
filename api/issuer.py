"""The keys of an issuer of tokens: found by its discovery document, kept for a while, asked for again where a
token names one that is not known.

Asked for over storage/pinned.py: at permitted addresses alone, within a time, without redirects. An issuer
that is away is asked at most every few seconds, and its last keys hold on for an hour.
"""

import json
import logging
import ssl
import threading
import time
from collections.abc import Mapping
from typing import Any

import httpx
import jwt

from storage.addresses import networks_of
from storage.errors import IssuerUnavailable
from storage.oidc_settings import OidcSettings, checked_url
from storage.pinned import CallFailed, called

DISCOVERY = "/.well-known/openid-configuration"
MOST_BYTES = 256 << 10
AGAIN_S = 5.0  # an unknown key's name, or an issuer that is away, has it asked no more often
STALE_S = 3600.0
LEAST_RSA_BITS = 2048
FAMILIES = {
    "RSA": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    "P-256": ("ES256",), "P-384": ("ES384",), "P-521": ("ES512",), "Ed25519": ("EdDSA",),
}  # fmt: skip

log = logging.getLogger("editq.api")


class Key:
    """A public key, and the algorithms that it is for."""

    def __init__(self, of_issuer: Mapping[str, Any], allowed: tuple[str, ...]) -> None:
        """Raises jwt.PyJWTError, ValueError for what is no key to check signatures with."""
        kind = of_issuer.get("crv") if of_issuer.get("kty") in ("EC", "OKP") else of_issuer.get("kty")
        family = FAMILIES.get(str(kind))
        if family is None or of_issuer.get("use", "sig") != "sig" or "d" in of_issuer:
            raise ValueError("no public key for signatures")
        stated = of_issuer.get("alg")
        self.algorithms = tuple(name for name in family if name in allowed and stated in (None, name))
        if not self.algorithms:
            raise ValueError("for algorithms that are not allowed")
        self.public: Any = jwt.PyJWK.from_dict(dict(of_issuer), algorithm=self.algorithms[0]).key
        if of_issuer["kty"] == "RSA" and self.public.key_size < LEAST_RSA_BITS:
            raise ValueError("too short")


class Issuer:
    """Safe for threads: of those that need its keys at once, one asks."""

    def __init__(self, settings: OidcSettings, trust: ssl.SSLContext | None = None) -> None:
        self.settings = settings
        self._networks = networks_of(settings.networks)
        self._trust = trust
        self._asking = threading.Lock()
        self._keys: dict[str | None, Key] = {}
        self._kept_at = self._asked_at = float("-inf")

    def key(self, name: str | None) -> Key | None:
        """By the `kid` of a token; without one, where the issuer has a single key. None: it has no such key.
        Raises IssuerUnavailable where its keys are not known."""
        fresh = time.monotonic() - self._kept_at < self.settings.keys_kept_s
        found = self._named(name)
        if found is not None and fresh:
            return found
        self._ask(wait=found is None)
        if time.monotonic() - self._kept_at > self.settings.keys_kept_s + STALE_S:
            raise IssuerUnavailable("The issuer of tokens does not answer, so none can be checked.")
        return self._named(name)

    def _named(self, name: str | None) -> Key | None:
        keys = self._keys
        if name is None:
            return next(iter(keys.values())) if len(keys) == 1 else None
        return keys.get(name)

    def _ask(self, *, wait: bool) -> None:
        """Once for all that want it now; those that can go on with what they have do not wait."""
        began = time.monotonic()
        if not self._asking.acquire(blocking=wait):
            return
        try:
            if began - self._asked_at < AGAIN_S or self._asked_at > began:
                return
            self._asked_at = time.monotonic()
            self._keys = self._fetched()
            self._kept_at = time.monotonic()
        except (CallFailed, ValueError) as error:
            log.warning("the issuer of tokens: %s", error)
        finally:
            self._asking.release()

    def _fetched(self) -> dict[str | None, Key]:
        """Raises CallFailed, ValueError."""
        issuer = self.settings.issuer
        about = self._read(issuer.rstrip("/") + DISCOVERY)
        if about.get("issuer") != issuer:
            raise ValueError("its discovery document is another issuer's")
        found: dict[str | None, Key] = {}
        for each in self._read(checked_url(str(about.get("jwks_uri")))).get("keys", ()):
            try:
                found[each.get("kid")] = Key(each, self.settings.algorithms)
            except (jwt.PyJWTError, ValueError, KeyError, TypeError, AttributeError) as error:
                log.info("a key of the issuer's is not used: %s", error)
        if not found:
            raise ValueError("it has no key that could be used")
        return found

    def _read(self, url: str) -> dict[str, Any]:
        trust = self._trust = self._trust or httpx.create_ssl_context()
        with called(
            "GET",
            url,
            headers={"Accept": "application/json", "User-Agent": "editq"},
            networks=self._networks,
            timeout_s=self.settings.timeout_s,
            trust=trust,
        ) as answer:
            if answer.status != 200:
                raise CallFailed(f"answered {answer.status}")
            body = b""
            for block in answer.iter_stream():
                body += block
                if len(body) > MOST_BYTES:
                    raise CallFailed(f"its answer is larger than {MOST_BYTES} bytes")
        document = json.loads(body)
        if not isinstance(document, dict):
            raise ValueError("its answer is no JSON object")
        return document
