"""For receivers of webhooks: whether a call came from this editq, and came just now.

    from editq.webhooks import WebhookRefused, verify

    event = verify(secret, request.headers, request.get_data())

Nothing is remembered here. A call is sent again, under the same `webhook-id`, until it is answered with 2xx,
and whoever listens in can repeat one for five minutes: keep the ids that were dealt with for that long at
least (for three days, to drop all that editq itself repeats), and answer a known one with 2xx at once.
"""

import json
from collections.abc import Mapping
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError

TOLERANCE_S = 300  # the library's: older or newer timestamps are refused


class WebhookRefused(Exception):
    """Not signed with this secret, not from just now, or no event."""


def verify(secret: str, headers: Mapping[str, str], body: bytes | str) -> dict[str, Any]:
    """The event in a call. `body` is what came, byte for byte: what was parsed and written again fits none.

    `secret` is the service's EDITQ_WEBHOOK_SECRET; names of headers in any case. Raises WebhookRefused.
    """
    signer = Webhook(secret)
    try:
        signer.verify(body, dict(headers), json_parse=False)
    except WebhookVerificationError as error:
        raise WebhookRefused(f"{error}.") from error
    except ValueError as error:  # headers that are no text, base64 or list; a body that is not UTF-8
        raise WebhookRefused("The call is not signed as a webhook is.") from error
    try:
        event = json.loads(body)
    except ValueError as error:
        raise WebhookRefused("The body is not JSON.") from error
    if not isinstance(event, dict):
        raise WebhookRefused("The body is not an event.")
    return event
