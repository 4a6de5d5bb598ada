"""Bearer tokens of an OIDC issuer: whose they are, and what they may. Needs the extra `oidc`."""

from typing import Any

import jwt

from api.issuer import Issuer
from storage.errors import (
    ScopeMissing,
    TenantMissing,
    TokenEarly,
    TokenExpired,
    TokenForeign,
    TokenMalformed,
    TokenRefused,
)
from storage.key_records import TENANT, ApiKey, Scope
from storage.records import SYSTEM_TENANT

MOST_CHARACTERS = 16 << 10
LONGEST_SUBJECT = 200
MUST_HAVE = ("exp", "iss", "aud", "sub")
HEADER = "Authorization"


class Tokens:
    """Checks tokens. Nothing is kept of them, and no error repeats what they hold."""

    def __init__(self, issuer: Issuer) -> None:
        self._issuer = issuer
        self._settings = issuer.settings

    def bearer(self, token: str) -> ApiKey:
        """Who comes with it, as a key that is in no table: id `oidc:<sub>`.

        Raises an Unauthorised; TenantMissing, ScopeMissing; IssuerUnavailable.
        """
        claims = self._checked(token)
        subject = str(claims["sub"])[:LONGEST_SUBJECT]
        return ApiKey(
            id=f"oidc:{subject}",
            tenant_id=self._tenant_of(claims),
            name=subject,
            prefix="",
            scope=self._scope_of(claims),
            created_at=float(claims.get("iat", 0)),
            expires_at=float(claims["exp"]),
            revoked_at=None,
            last_used_at=None,
        )

    def _checked(self, token: str) -> dict[str, Any]:
        if len(token) > MOST_CHARACTERS:
            raise TokenMalformed("The token is too long.", field=HEADER)
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError, RecursionError):
            expected = "Bearer editq_…, or a token of the issuer's"
            raise TokenMalformed(
                "This is no API key, and no token.", field=HEADER, expected=expected
            ) from None
        if header.get("alg") not in self._settings.algorithms:
            raise TokenRefused(
                "The token is signed in a way that is not taken.",
                field=HEADER,
                expected=f"one of {', '.join(self._settings.algorithms)}",
            )
        key = self._issuer.key(header.get("kid"))
        if key is None or header["alg"] not in key.algorithms:
            raise TokenRefused("The token is signed with no key of the issuer's.", field=HEADER)
        try:
            return jwt.decode(
                token,
                key.public,
                algorithms=[header["alg"]],
                audience=self._settings.audience,
                issuer=self._settings.issuer,
                leeway=self._settings.leeway_s,
                options={"require": list(MUST_HAVE)},
            )
        except jwt.ExpiredSignatureError:
            raise TokenExpired("The token has expired.", field=HEADER) from None
        except (jwt.ImmatureSignatureError, jwt.InvalidIssuedAtError):
            raise TokenEarly("The token does not hold yet.", field=HEADER) from None
        except (jwt.InvalidAudienceError, jwt.InvalidIssuerError):
            expected = f"of {self._settings.issuer}, for {self._settings.audience}"
            raise TokenForeign("The token is for another.", field=HEADER, expected=expected) from None
        except jwt.MissingRequiredClaimError as error:
            raise TokenRefused(f"The token lacks `{error.claim}`.", field=HEADER) from None
        except (jwt.PyJWTError, ValueError, TypeError, ArithmeticError):
            raise TokenRefused("The token's signature is not the issuer's.", field=HEADER) from None

    def _tenant_of(self, claims: dict[str, Any]) -> str:
        tenant = claims.get(self._settings.tenant_claim)
        if not isinstance(tenant, str) or not TENANT.fullmatch(tenant) or tenant == SYSTEM_TENANT:
            raise TenantMissing(
                "The token names no tenant.",
                field=HEADER,
                expected=f"the claim `{self._settings.tenant_claim}`: small letters, digits, _ or -",
            )
        return tenant

    def _scope_of(self, claims: dict[str, Any]) -> Scope:
        said = claims.get(self._settings.scope_claim)
        words = said.split() if isinstance(said, str) else said if isinstance(said, list) else []
        known = self._settings.scopes
        found = {known[word] for word in words if isinstance(word, str) and word in known}
        if not found:
            raise ScopeMissing(
                "The token may do nothing here.",
                field=HEADER,
                expected=f"one of {', '.join(known)} in the claim `{self._settings.scope_claim}`",
            )
        return max(found, key=list(Scope).index)
