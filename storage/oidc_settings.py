"""The issuer of bearer tokens that people behind a login come with (EDITQ_OIDC)."""

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, field_validator

from storage.addresses import is_loopback, networks_of
from storage.key_records import Scope

Algorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"
]  # signed with a key that only the issuer has: what anybody may check with, nobody can sign with


class OidcSettings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    issuer: str = Field(
        description="As tokens name it in `iss`: https, or http on this machine. Its keys are found by "
        "`<issuer>/.well-known/openid-configuration`."
    )
    audience: Annotated[str, Field(min_length=1)] = Field(
        description="What `aud` must hold: this service, as the issuer knows it."
    )
    tenant_claim: str = Field(default="tenant", description="The claim that names the tenant.")
    scope_claim: str = Field(
        default="scope", description="The claim that says what its bearer may: words, or a list of them."
    )
    scopes: dict[str, Scope] = Field(
        default={f"editq:{scope.value}": scope for scope in Scope},
        description="Which word stands for which scope; the highest counts, other words say nothing.",
    )
    algorithms: tuple[Algorithm, ...] = Field(
        default=("RS256", "PS256", "ES256", "EdDSA"),
        min_length=1,
        description="What tokens may be signed by.",
    )
    networks: tuple[str, ...] = Field(
        default=(), description="Private networks that the issuer may lie in, such as 10.1.0.0/16."
    )
    timeout_s: PositiveFloat = Field(default=5.0, description="How long the issuer may take to answer.")
    keys_kept_s: PositiveFloat = Field(
        default=600.0, description="For how long its keys are not asked for again."
    )
    leeway_s: NonNegativeFloat = Field(
        default=30.0, le=300, description="By how much its clock and ours may differ."
    )

    @field_validator("issuer")
    @classmethod
    def _url(cls, value: str) -> str:
        checked_url(value)
        return value

    @field_validator("networks")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        networks_of(value)
        return value


def checked_url(url: str) -> str:
    """Raises ValueError for what keys are not fetched from: by plain http who is on the way adds one."""
    parts = urlsplit(url)
    plain = parts.scheme == "http" and is_loopback(parts.hostname or "")
    if not parts.hostname or parts.username or parts.query or parts.fragment:
        raise ValueError("must be an address without a user, query or fragment")
    if parts.scheme != "https" and not plain:
        raise ValueError("must be https, or http on this machine")
    return url
