"""Idempotency-Key: a caller's name for one request, so that sending it twice does it once."""

import hashlib
import json
from typing import Annotated

from flask import request
from pydantic import BaseModel, Field

from storage.records import IdempotencyKey

KeyText = Annotated[str, Field(pattern=r"^[!-~]{1,255}$", examples=["5f0c7a4e-order-17"])]


class KeyHeaders(BaseModel):
    idempotency_key: KeyText | None = Field(
        default=None,
        alias="Idempotency-Key",
        description="Name of this request, 1 to 255 visible ASCII characters. The same request under the "
        "same name again does nothing and answers with the job as it is, and `Idempotency-Replayed: true`; "
        "another request under it is refused. Kept for a day.",
    )


def key_of(header: KeyHeaders, body: BaseModel | None = None) -> IdempotencyKey | None:
    """The key with the digest of what was asked: method, path, and the body as it was understood."""
    if header.idempotency_key is None:
        return None
    asked = {
        "method": request.method,
        "path": request.path,
        "body": None if body is None else body.model_dump(mode="json"),
    }
    canonical = json.dumps(asked, sort_keys=True, separators=(",", ":"))
    return IdempotencyKey(header.idempotency_key, hashlib.sha256(canonical.encode()).hexdigest())
