"""How a job is to be treated: priorities, deadlines, keeping, webhooks; and what of it is refused."""

from typing import Any

import pytest
from api_trial import Trial
from flask.testing import FlaskClient

from storage.settings import Settings

SECRET = "whsec_" + "c2VjcmV0" * 5
HOOK = {"url": "https://example.org/hook"}


def submit(client: FlaskClient, **options: Any) -> Any:
    return client.post("/v1/jobs", json={"kind": "sample", "options": options})


@pytest.fixture
def settings() -> Settings:
    return Settings(
        max_body_bytes=2_000_000, webhook_secret=SECRET, webhook_networks=("10.1.0.0/16", "fd00:1::/32")
    )


def test_options_are_shown_in_columns_and_are_no_part_of_the_spec(client: FlaskClient, trial: Trial) -> None:
    answer = submit(
        client, priority="bulk", start_within_s=60, finish_within_s=120.5, keep_s=3600, webhook=HOOK
    )
    job = answer.get_json()
    assert answer.status_code == 202, job
    assert "options" not in job["spec"]
    assert (job["priority"], job["keep_s"]) == ("bulk", 3600)
    assert job["webhook"] == HOOK | {"events": ["succeeded", "failed", "canceled"]}
    row = trial.stores.jobs.get("local", job["id"])
    assert row.start_by is not None
    assert row.finish_by is not None
    assert (round(row.start_by - row.created_at, 2), round(row.finish_by - row.created_at, 2)) == (60, 120.5)
    assert job["start_by"] < job["finish_by"]


def test_a_job_without_options_says_so(client: FlaskClient) -> None:
    job = client.post("/v1/jobs", json={"kind": "sample"}).get_json()
    assert job["priority"] == "standard"
    names = ("start_by", "finish_by", "keep_s", "webhook", "retry_of", "outputs_expired_at")
    assert [job[name] for name in names] == [None] * 6
    counts = ("failures", "outages", "out_of_memory", "lost", "drains")
    assert [job[name] for name in counts] == [0] * 5
    assert (job["losses"], job["stop_requested"]) == ([], False)


@pytest.mark.parametrize(
    ("options", "field", "expected"),
    [
        ({"priority": "urgent"}, "options.priority", "one of interactive, standard, bulk"),
        ({"priority": 0}, "options.priority", "one of interactive, standard, bulk"),
        ({"start_within_s": 0}, "options.start_within_s", "a number above 0 and at most 31536000"),
        ({"finish_within_s": "60"}, "options.finish_within_s", "a number above 0 and at most 31536000"),
        ({"finish_within_s": 1e9}, "options.finish_within_s", "a number above 0 and at most 31536000"),
        ({"start_within_s": 61, "finish_within_s": 60}, "options.start_within_s", "at most finish_within_s"),
        ({"keep_s": 59}, "options.keep_s", "a number from 60 to 315360000"),
        (
            {"colour": 1},
            "options.colour",
            "one of priority, start_within_s, finish_within_s, keep_s, webhook",
        ),
        ({"webhook": {}}, "options.webhook.url", None),
        ({"webhook": HOOK | {"events": []}}, "options.webhook.events", None),
        ({"webhook": HOOK | {"events": ["exploded"]}}, "options.webhook.events.0", None),
        ({"webhook": {"url": "ftp://example.org"}}, "options.webhook.url", None),
        ({"webhook": {"url": "https://" + "a" * 2000}}, "options.webhook.url", None),
    ],
)
def test_options_out_of_range_are_named(
    client: FlaskClient, trial: Trial, options: dict[str, Any], field: str, expected: str | None
) -> None:
    answer = submit(client, **options)
    problem = answer.get_json()
    assert (answer.status_code, problem["field"]) == (422, field), problem
    assert problem["expected"]
    assert expected in (None, problem["expected"])
    assert trial.kept() == (0, 0, 0)
    assert trial.rung == []


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9/x",
        "http://localhost/x",
        "http://a.localhost./x",
        "http://10.0.0.1/",
        "http://192.168.1.1",
        "http://169.254.169.254/latest/meta-data",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[fe80::1%25eth0]/",
        "http://[64:ff9b::7f00:1]/",
        "http://0.0.0.0/",
        "http://224.0.0.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://127.1/",
        "http://user:secret@example.org/",
        "http://example.org:0/",
        "http://example.org:99999/",
        "http:///x",
        "http://[::1",
    ],
)
def test_webhooks_to_private_or_impossible_addresses_are_refused(
    client: FlaskClient, trial: Trial, url: str
) -> None:
    answer = submit(client, webhook={"url": url})
    problem = answer.get_json()
    assert (answer.status_code, problem["field"]) == (422, "options.webhook.url"), problem
    assert "secret" not in problem["detail"]
    assert trial.kept() == (0, 0, 0)


@pytest.mark.parametrize(
    "url",
    ["https://example.org:8443/a?b=c", "http://93.184.216.34/", "http://10.1.2.3/x", "http://[fd00:1::9]/"],
)
def test_public_and_allowed_addresses_are_taken(client: FlaskClient, url: str) -> None:
    assert submit(client, webhook={"url": url}).status_code == 202


def test_without_a_secret_no_webhook_is_promised(client: FlaskClient, trial: Trial) -> None:
    service = trial.app.extensions["editq"]
    service.settings = service.settings.model_copy(update={"webhook_secret": None})
    answer = submit(client, webhook=HOOK)
    problem = answer.get_json()
    assert (answer.status_code, problem["field"]) == (422, "options.webhook")
    assert "EDITQ_WEBHOOK_SECRET" in problem["detail"]
    assert trial.kept() == (0, 0, 0)
    assert submit(client).status_code == 202


def test_deliveries_are_listed_and_sent_again_once_they_have_ended(client: FlaskClient, trial: Trial) -> None:
    job_id = submit(client, webhook=HOOK | {"events": ["queued", "canceled"]}).get_json()["id"]
    client.post(f"/v1/jobs/{job_id}/cancel")
    queued, canceled = client.get(f"/v1/jobs/{job_id}/deliveries").get_json()["items"]
    assert [queued["id"], canceled["id"]] == [f"{job_id}-1", f"{job_id}-2"]
    assert (queued["status"], queued["tries"], queued["url"]) == ("pending", 0, HOOK["url"])
    again = f"/v1/jobs/{job_id}/deliveries/{queued['id']}/resend"
    assert client.post(again).get_json()["code"] == "conflict"
    for delivery in trial.stores.outbox.due(lease_s=30):
        trial.stores.outbox.postponed(delivery, error="no answer", after_s=None)
    failed = client.get(f"/v1/jobs/{job_id}/deliveries").get_json()["items"][0]
    assert (failed["status"], failed["last_error"], failed["next_at"]) == ("failed", "no answer", None)
    answer = client.post(again)
    assert (answer.status_code, answer.get_json()["status"]) == (202, "pending")
    assert client.post(f"/v1/jobs/{job_id}/deliveries/{job_id}-9/resend").status_code == 404
    assert client.get(f"/v1/jobs/{'f' * 32}/deliveries").get_json()["code"] == "job_not_found"
