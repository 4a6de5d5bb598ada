"""What holds for every route: problems, who may ask, ids of requests, health, the catalogue, OpenAPI."""

import io
import json
import logging
from typing import Any

import openapi_spec_validator
import pytest
from api_trial import Trial
from flask.testing import FlaskClient

from storage.errors import EditqError, StorageUnavailable
from storage.log import JsonLines


def test_an_unknown_route_is_a_problem(client: FlaskClient) -> None:
    answer = client.get("/v1/nothing")
    assert (answer.status_code, answer.content_type) == (404, "application/problem+json")
    assert answer.get_json()["type"] == "/v1/errors/not_found"


def test_a_wrong_method_names_the_right_ones(client: FlaskClient) -> None:
    answer = client.put("/v1/jobs")
    assert (answer.status_code, answer.get_json()["code"]) == (405, "method_not_allowed")
    assert {"GET", "POST"} <= set(answer.headers["Allow"].split(", "))
    assert "POST" in answer.get_json()["expected"]


def test_names_that_nothing_has_are_not_found(client: FlaskClient) -> None:
    for path in ("/v1/jobs/%00", "/v1/images/a%20b", "/v1/models/%F0%9F%9A%97", "/v1/jobs/x/outputs/..%5c"):
        assert client.get(path).status_code == 404


def test_the_unexpected_is_logged_and_tells_nothing(
    client: FlaskClient, trial: Trial, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("the secret is 1234")

    monkeypatch.setattr(trial.stores.jobs, "list", broken)
    answer = client.get("/v1/jobs", headers={"X-Request-ID": "abc-1"})
    problem = answer.get_json()
    assert (answer.status_code, problem["code"], problem["request_id"]) == (500, "internal_error", "abc-1")
    assert "1234" not in answer.text
    assert "Traceback" not in answer.text
    logged = next(record for record in caplog.records if record.exc_info)
    assert "the secret is 1234" in JsonLines().format(logged)


def test_a_store_that_is_away_may_be_asked_again(
    client: FlaskClient, trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> None:
        raise StorageUnavailable("The database does not answer.")

    monkeypatch.setattr(trial.stores.jobs, "list", away)
    answer = client.get("/v1/jobs")
    assert (answer.status_code, answer.get_json()["retryable"]) == (503, True)
    assert answer.headers["Retry-After"]


def test_a_harmless_request_id_is_kept_and_another_is_replaced(client: FlaskClient) -> None:
    assert client.get("/livez", headers={"X-Request-ID": "my-id.1"}).headers["X-Request-ID"] == "my-id.1"
    replaced = client.get("/livez", headers={"X-Request-ID": 'x" y'}).headers["X-Request-ID"]
    assert len(replaced) == 16


def test_log_lines_are_json_with_the_requests_id(client: FlaskClient) -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    access = logging.getLogger("editq.access")
    level = access.level
    access.addHandler(handler)
    access.setLevel(logging.INFO)
    try:
        client.get("/v1/models", headers={"X-Request-ID": "abc"})
    finally:
        access.removeHandler(handler)
        access.setLevel(level)
    line = json.loads(stream.getvalue())
    assert (line["request_id"], line["method"], line["path"], line["status"]) == (
        "abc",
        "GET",
        "/v1/models",
        200,
    )


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:80",
        "127.0.0.1.evil.example",
        "localhost@evil.example",
        "",
        "[::1",
        "a:b:c",
    ],
)
def test_other_hosts_names_are_refused(client: FlaskClient, host: str) -> None:
    answer = client.get("/v1/jobs", headers={"Host": host})
    assert (answer.status_code, answer.get_json()["field"]) == (403, "Host")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8000", "[::1]:8000", "LOCALHOST:1"])
def test_loopback_is_answered(client: FlaskClient, host: str) -> None:
    assert client.get("/v1/jobs", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://localhost:3000", "localhost:8000", "http://[", ""]
)
def test_pages_of_another_origin_are_refused(client: FlaskClient, origin: str) -> None:
    answer = client.post(
        "/v1/jobs", json={"kind": "sample"}, headers={"Host": "localhost:8000", "Origin": origin}
    )
    assert (answer.status_code, answer.get_json()["field"]) == (403, "Origin")


def test_its_own_pages_are_answered(client: FlaskClient) -> None:
    headers = {"Host": "localhost:8000", "Origin": "http://localhost:8000", "Sec-Fetch-Site": "same-origin"}
    assert client.post("/v1/jobs", json={"kind": "sample"}, headers=headers).status_code == 202


def test_a_cross_site_post_without_an_origin_is_refused(client: FlaskClient) -> None:
    answer = client.post("/v1/jobs", json={"kind": "sample"}, headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403


def test_probes_are_answered_under_any_name(client: FlaskClient) -> None:
    assert client.get("/livez", headers={"Host": "10.0.0.7"}).get_json() == {"status": "alive"}
    assert client.get("/readyz", headers={"Host": "10.0.0.7"}).get_json()["status"] == "ready"


def test_without_its_board_the_service_is_degraded_but_ready(
    client: FlaskClient, trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial.stores.progress, "check", lambda: False)
    answer = client.get("/readyz")
    assert (answer.status_code, answer.get_json()["status"], answer.get_json()["board"]) == (
        200,
        "degraded",
        False,
    )


@pytest.mark.parametrize(("store", "method"), [("jobs", "eligible"), ("objects", "check")])
def test_without_database_or_objects_it_is_not_ready(
    client: FlaskClient, trial: Trial, monkeypatch: pytest.MonkeyPatch, store: str, method: str
) -> None:
    def away(*_: object) -> None:
        raise StorageUnavailable("away")

    monkeypatch.setattr(getattr(trial.stores, store), method, away)
    assert (client.get("/readyz").status_code, client.get("/livez").status_code) == (503, 200)


def test_models_are_described(client: FlaskClient) -> None:
    model = client.get("/v1/models/cars").get_json()
    assert (model["tenant"], model["resolution_px"], model["groups"]) == (
        "system",
        16,
        {"wheel": ["tyre", "rim"]},
    )
    assert model["parts"][2] == {"id": 2, "name": "tyre", "colour": [20, 20, 20]}
    assert client.get("/v1/models").get_json()["items"] == [model]
    assert client.get("/v1/models/boats").get_json()["code"] == "model_not_found"


def test_workers_come_from_board_and_rows(client: FlaskClient, trial: Trial) -> None:
    for name in ("a:1:gpu", "b:1:gpu"):
        trial.stores.progress.present(
            {"name": name, "queue": "gpu", "device": "cpu", "started_at": 1.0}, ttl_s=60
        )
    trial.stores.jobs.add("local", "sample", {})
    trial.stores.jobs.add("somebody", "sample", {})
    mine = trial.stores.jobs.claim("gpu", "b:1:gpu", lease_s=30)
    trial.stores.jobs.claim("gpu", "c:1:gpu", lease_s=30)
    assert mine is not None
    a, b, c = client.get("/v1/workers").get_json()["items"]
    assert (a["name"], a["state"], a["device"], a["jobs"]) == ("a:1:gpu", "ready", "cpu", [])
    assert (b["state"], b["jobs"], b["others"]) == ("busy", [mine.job.id], 0)
    assert (c["state"], c["jobs"], c["others"]) == ("missing", [], 1)


def test_every_code_of_the_tree_is_in_the_catalogue(client: FlaskClient) -> None:
    def codes(kind: type[EditqError]) -> set[str]:
        return {kind.code}.union(*map(codes, kind.__subclasses__()))

    listed = {kind["code"]: kind for kind in client.get("/v1/errors").get_json()["items"]}
    assert set(listed) == codes(EditqError) - {"error"}
    assert listed["mask_unchanged"] == client.get("/v1/errors/mask_unchanged").get_json()
    assert (listed["mask_unchanged"]["status"], listed["mask_unchanged"]["parent"]) == (422, "invalid_input")
    assert client.get("/v1/errors/nothing").status_code == 404


def test_the_openapi_document_is_valid_and_whole(client: FlaskClient, trial: Trial) -> None:
    document: dict[str, Any] = client.get("/openapi.json").get_json()
    openapi_spec_validator.validate(document)
    assert document["openapi"].startswith("3.1")
    assert set(document["components"]["schemas"]["EditSpec"]["properties"]) >= {
        "mask_operations",
        "lambda_prior",
    }
    rules = [rule for rule in trial.app.url_map.iter_rules() if rule.rule.startswith("/v1")]
    for rule in rules:
        written = document["paths"][rule.rule.replace("<", "{").replace(">", "}")]
        assert {method.lower() for method in rule.methods or ()} - {"head", "options"} <= set(written), rule
    for operations in document["paths"].values():
        for operation in operations.values():
            problem = operation["responses"].get("422", {"content": {"application/problem+json": {}}})[
                "content"
            ]
            assert list(problem) == ["application/problem+json"], operation["operationId"]
    submit = document["paths"]["/v1/jobs"]["post"]
    assert [parameter["name"] for parameter in submit["parameters"]] == ["Idempotency-Key"]
    assert "507" in submit["responses"]
    assert set(document["components"]["schemas"]["JobOptions"]["properties"]) >= {"priority", "webhook"}
    operations = [way for path in document["paths"].values() for way in path.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(names) == len(set(names))


def test_the_browsable_page_needs_nothing_from_elsewhere(client: FlaskClient) -> None:
    page = client.get("/docs/swagger")
    assert page.status_code == 200
    assert "//" not in page.text.replace("https://github.com", "").replace("// ", "")
    assert client.get("/docs/swagger/js/swagger-ui-bundle.js").status_code == 200
    assert client.get("/docs/openapi.json").status_code == 200
    assert client.get("/").get_json()["docs"] == "/docs/swagger"


def test_no_answer_lets_a_browser_guess_or_frame(client: FlaskClient) -> None:
    for path in ("/", "/v1/jobs", "/v1/nothing", "/docs/swagger"):
        headers = client.get(path).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]


def test_the_openapi_document_asks_for_what_tells_kinds_apart_and_names_what_downloads_answer(
    client: FlaskClient,
) -> None:
    document: dict[str, Any] = client.get("/openapi.json").get_json()
    schemas = document["components"]["schemas"]
    assert all("kind" in schemas[name]["required"] for name in ("SampleSpec", "EditSpec", "ApplySpec"))
    archive = document["paths"]["/v1/batches/{batch_id}/archive"]["get"]["responses"]["200"]
    assert set(archive["content"]) == {"application/zip", "application/x-tar"}
    assert "304" in document["paths"]["/v1/images/{image_id}/content"]["get"]["responses"]
