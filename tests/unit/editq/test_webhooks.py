"""What a receiver of webhooks believes, and what not."""

import base64
from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks import Webhook

from editq.webhooks import TOLERANCE_S, WebhookRefused, verify

SECRET = "whsec_" + base64.b64encode(b"editq" * 6).decode()
OTHER = "whsec_" + base64.b64encode(b"other" * 6).decode()
BODY = '{"type": "job.succeeded", "data": {"job_id": "1"}}'


def signed(*, body: str = BODY, secret: str = SECRET, age_s: float = 0.0) -> dict[str, str]:
    at = datetime.now(UTC) - timedelta(seconds=age_s)
    return {
        "Webhook-Id": "1-3",
        "Webhook-Timestamp": str(int(at.timestamp())),
        "Webhook-Signature": Webhook(secret).sign("1-3", at, body),
    }


@pytest.mark.parametrize("body", [BODY, BODY.encode()])
def test_a_true_call_gives_its_event(body: str | bytes) -> None:
    assert verify(SECRET, signed(), body) == {"type": "job.succeeded", "data": {"job_id": "1"}}


def test_one_of_several_signatures_is_enough() -> None:
    headers = signed()
    both = signed(secret=OTHER)["Webhook-Signature"] + " v2,abc " + headers["Webhook-Signature"]
    assert verify(SECRET, headers | {"Webhook-Signature": both}, BODY)


@pytest.mark.parametrize("age_s", [TOLERANCE_S + 5, -TOLERANCE_S - 5])
def test_a_call_of_another_time_is_refused(age_s: float) -> None:
    with pytest.raises(WebhookRefused, match=r"too (old|new)"):
        verify(SECRET, signed(age_s=age_s), BODY)
    assert verify(SECRET, signed(age_s=age_s * 0.9), BODY)


def test_another_secret_body_id_or_time_is_refused() -> None:
    headers = signed()
    with pytest.raises(WebhookRefused):
        verify(OTHER, headers, BODY)
    with pytest.raises(WebhookRefused):
        verify(SECRET, headers, BODY + " ")
    for name, value in (
        ("Webhook-Id", "1-4"),
        ("Webhook-Timestamp", str(int(headers["Webhook-Timestamp"]) - 1)),
    ):
        with pytest.raises(WebhookRefused):
            verify(SECRET, headers | {name: value}, BODY)


@pytest.mark.parametrize("name", ["Webhook-Id", "Webhook-Timestamp", "Webhook-Signature"])
@pytest.mark.parametrize(
    "value", [None, "", " ", ",", "v1", "v1,", "v1,é", "v1,!!!", "v1,a", "nan", "1e400", "0,0,0"]
)
def test_headers_that_are_missing_or_nonsense_are_refused(name: str, value: str | None) -> None:
    headers = signed()
    del headers[name]
    if value is not None:
        headers[name] = value
    with pytest.raises(WebhookRefused):
        verify(SECRET, headers, BODY)


@pytest.mark.parametrize("body", ["", "[]", "null", "{", "7"])
def test_a_signed_body_that_is_no_event_is_refused(body: str) -> None:
    with pytest.raises(WebhookRefused):
        verify(SECRET, signed(body=body), body)


def test_a_body_that_is_no_text_is_refused() -> None:
    with pytest.raises(WebhookRefused):
        verify(SECRET, signed(), b"\xff\xfe")
