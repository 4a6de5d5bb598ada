"""Who did what: a line of the log `editq.audit` for each request that changes something, or was not let in.

Reads that were answered are in the access log. Lines name keys by id, never by what opens them.
"""

import logging

from flask import Flask, Response, g, request

from api.auth import SAFE_METHODS
from api.scopes import scope_of

log = logging.getLogger("editq.audit")
REFUSED = frozenset({401, 403, 429})


def register_audit(app: Flask) -> None:
    @app.after_request
    def note(answer: Response) -> Response:
        changes = request.method not in SAFE_METHODS and scope_of(request.endpoint) is not None
        if changes or answer.status_code in REFUSED:
            key = g.get("key")
            log.info(
                "audit",
                extra={
                    "request_id": g.get("request_id"),
                    "tenant_id": g.get("tenant_id"),
                    "key_id": None if key is None else key.id,
                    "action": request.endpoint,
                    "object": answer.headers.get("Location") or request.path,
                    "status": answer.status_code,
                    "peer": request.remote_addr,
                },
            )
        return answer
