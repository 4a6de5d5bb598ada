"""API keys as values: `editq_<prefix>_<secret>`. The prefix names the key, the secret is 256 random bits.

Only the SHA-256 of a secret is kept: it is too random to be guessed, so a slow hash would add nothing.
"""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from enum import StrEnum

from storage.errors import InvalidInput, KeyExpired, KeyMalformed, KeyRevoked, KeyUnknown

BEGINNING = "editq_"
SHAPE = re.compile(rf"{BEGINNING}([a-z2-7]{{12}})_([A-Za-z0-9_-]{{43}})")
TENANT = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")  # it begins the keys of objects
USED_EVERY_S = 300.0  # how finely the time of the last use is known: not every request writes
_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"
_NOTHING = "0" * 64


class Scope(StrEnum):
    """What a key may do; each may also do what those before it may."""

    READ = "read"
    SUBMIT = "submit"
    ADMIN = "admin"

    def allows(self, needed: "Scope") -> bool:
        order = list(Scope)
        return order.index(self) >= order.index(needed)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key without its secret. `last_used_at` is at most USED_EVERY_S too old."""

    id: str
    tenant_id: str
    name: str
    prefix: str
    scope: Scope
    created_at: float
    expires_at: float | None
    revoked_at: float | None
    last_used_at: float | None


@dataclass(frozen=True, slots=True)
class Stored:
    """A key's row as it is read to check a secret: `now` is the database's clock at that moment."""

    key: ApiKey
    sha256: str
    now: float


@dataclass(frozen=True, slots=True)
class NewSecret:
    prefix: str
    secret: str

    @property
    def text(self) -> str:
        """What its owner gets to see, once."""
        return f"editq_{self.prefix}_{self.secret}"

    @property
    def sha256(self) -> str:
        return digest_of(self.secret)

    def __repr__(self) -> str:
        return f"NewSecret({self.prefix})"


def new_secret() -> NewSecret:
    prefix = "".join(secrets.choice(_LETTERS) for _ in range(12))
    return NewSecret(prefix, secrets.token_urlsafe(32))


def digest_of(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def split(text: str) -> NewSecret:
    """Raises KeyMalformed, which repeats nothing of it."""
    found = SHAPE.fullmatch(text)
    if found is None:
        raise KeyMalformed("This is no API key of editq's.", expected="editq_, 12 letters, _ and 43 letters")
    return NewSecret(*found.groups())


def check(given: NewSecret, stored: Stored | None) -> ApiKey:
    """The key, where the secret is its own and it holds. Raises KeyUnknown, KeyRevoked, KeyExpired.

    It takes as long for a prefix that there is not, and only who has the secret hears what became of a key.
    """
    known = stored.sha256 if stored is not None else _NOTHING
    if not hmac.compare_digest(given.sha256, known) or stored is None:
        raise KeyUnknown("There is no such API key.")
    key = stored.key
    if key.revoked_at is not None:
        raise KeyRevoked("This API key was revoked.")
    if key.expires_at is not None and key.expires_at <= stored.now:
        raise KeyExpired("This API key has expired.")
    return key


def checked_tenant(tenant_id: str) -> str:
    """Raises InvalidInput."""
    if not TENANT.fullmatch(tenant_id) or tenant_id == "system":
        expected = "1 to 64 small letters, digits, _ or -, and not `system`"
        raise InvalidInput(f"{tenant_id!r} cannot be a tenant's name.", field="tenant", expected=expected)
    return tenant_id
