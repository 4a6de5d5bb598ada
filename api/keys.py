"""/v1/keys: the API keys of the caller's tenant. A secret is shown once, in the answer that makes it."""

from datetime import UTC, datetime
from typing import Annotated, Any

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel, ConfigDict, Field

from api.errors import responses
from api.job_view import moment
from api.paging import PageQuery, PageView, answer, answer_page
from api.service import stores, tenant_id
from api.strictly import reads_json
from storage.key_records import ApiKey, NewSecret, Scope

LONGEST_S = 10 * 366 * 86400.0
LONGEST_GRACE_S = 30 * 86400.0

keys = APIBlueprint(
    "keys",
    __name__,
    url_prefix="/v1/keys",
    abp_tags=[Tag(name="keys", description="API keys: who may use this service in your tenant's name.")],
    abp_responses=responses(403, 422, 503),
)


class KeyView(BaseModel):
    id: str
    tenant: str
    name: str
    prefix: str = Field(
        description="What it begins with, after `editq_`: it names the key, and is no secret."
    )
    scope: Scope
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None = Field(description="To five minutes.")


class NewKeyView(KeyView):
    key: str = Field(description="The key itself. It is shown this once, and kept nowhere.")


class KeyPage(PageView):
    items: list[KeyView]


class KeyQuery(PageQuery):
    prefix: Annotated[str, Field(pattern=r"^[a-z2-7]{0,12}$")] = Field(
        default="", description="Only keys that begin so, after `editq_`."
    )


class KeyPath(BaseModel):
    key_id: str


class KeyWish(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    name: Annotated[str, Field(min_length=1, max_length=100, description="For whom or what it is.")]
    scope: Scope = Field(description="Each may also do what those before it may: read, submit, admin.")
    lasts_s: Annotated[float, Field(gt=0, le=LONGEST_S)] | None = Field(
        default=None, description="For how many seconds it holds; null: until it is revoked."
    )


class Rotation(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    grace_s: Annotated[float, Field(ge=0, le=LONGEST_GRACE_S)] = Field(
        default=86400.0, description="For how many seconds the old key still holds."
    )


def key_view(key: ApiKey) -> KeyView:
    return KeyView(**_members(key))


def _members(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id, "tenant": key.tenant_id, "name": key.name, "prefix": key.prefix, "scope": key.scope,
        "created_at": datetime.fromtimestamp(key.created_at, UTC), "expires_at": moment(key.expires_at),
        "revoked_at": moment(key.revoked_at), "last_used_at": moment(key.last_used_at),
    }  # fmt: skip


def _made(key: ApiKey, secret: NewSecret) -> Response:
    made = answer(NewKeyView(**_members(key), key=secret.text), 201)
    made.headers["Location"] = f"/v1/keys/{key.id}"
    made.headers["Cache-Control"] = "no-store"
    return made


@keys.post("", operation_id="createKey", responses={201: NewKeyView, **responses(400, 413, 415)})
@reads_json
def create_key(body: KeyWish) -> Response:
    """Create a key of your tenant's."""
    return _made(*stores().keys.create(tenant_id(), body.name, body.scope, lasts_s=body.lasts_s))


@keys.get("", operation_id="listKeys", responses={200: KeyPage})
def list_keys(query: KeyQuery) -> Response:
    """List your tenant's keys, newest first, those that no longer hold too."""
    page = stores().keys.list(tenant_id(), prefix=query.prefix, limit=query.limit, cursor=query.cursor)
    return answer_page(KeyPage(items=[key_view(key) for key in page.items], next_cursor=page.next_cursor))


@keys.get("/<key_id>", operation_id="getKey", responses={200: KeyView, **responses(404)})
def get_key(path: KeyPath) -> Response:
    """Describe a key."""
    return answer(key_view(stores().keys.get(tenant_id(), path.key_id)))


@keys.post(
    "/<key_id>/rotate",
    operation_id="rotateKey",
    responses={201: NewKeyView, **responses(400, 404, 409, 413, 415)},
)
@reads_json
def rotate_key(path: KeyPath, body: Rotation) -> Response:
    """Put a new key in the place of one, of the same name, scope and length of life.

    The old one holds for `grace_s` seconds more: time to bring the new one to where it is used.
    """
    return _made(*stores().keys.rotate(tenant_id(), path.key_id, grace_s=body.grace_s))


@keys.post("/<key_id>/revoke", operation_id="revokeKey", responses={200: KeyView, **responses(404)})
def revoke_key(path: KeyPath) -> Response:
    """Revoke a key: from now on it is refused."""
    return answer(key_view(stores().keys.revoke(tenant_id(), path.key_id)))
