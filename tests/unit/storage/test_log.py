"""Lines of the log: what they tell, in both forms, and that no secret is in them."""

import io
import json
import logging
import sys

import pytest

from storage.log import BLOT, Blotter, JsonLines, TextLines, about, configure_logging, note, secrets_of
from storage.settings import Settings
from storage.tracing import span

KEY = "editq_abcdefghijkl_" + "Zx9_-" * 8 + "Zx9"
SECRETS = Settings(
    database_url="postgresql+psycopg://editq:pa%2Fss-word@db/editq",
    redis_url="redis://:hunter22@broker:6379/0",
    s3_access_key="AKIA",
    s3_secret_key="s3/secret+key",  # type: ignore[arg-type]
    webhook_secret="whsec_" + "QUJD" * 10,  # type: ignore[arg-type]
    buckets={"photos": {"bucket": "b", "access_key": "a", "secret_key": "bucket-secret"}},  # type: ignore[dict-item]
    traces_headers={"authorization": "of the collector"},  # type: ignore[dict-item]
)


def record(message: str, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("editq.test", logging.WARNING, __file__, 1, message, (), None)
    vars(made).update(extra)
    return made


def test_a_line_tells_of_what_it_happened_in() -> None:
    with about(request_id="r1"), span("outer") as _, about(job_id="j1", attempt=2):
        note(tenant_id="local")
        line = json.loads(JsonLines().format(record("moved", status=200, other="x")))
    told = {"message": "moved", "level": "warning", "request_id": "r1", "job_id": "j1", "attempt": 2}
    assert told | {"status": 200} == {name: line[name] for name in (*told, "status")}
    assert (line["tenant_id"], len(line["trace_id"]), len(line["span_id"])) == ("local", 32, 16)
    assert "other" not in line
    after = json.loads(JsonLines().format(record("later")))
    assert set(after) == {"time", "level", "logger", "message"}


def test_whatever_is_logged_is_one_line_of_json() -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError:
        made = record('a "quoted"\nmessage \u2028 \x00')
        made.exc_info = sys.exc_info()
    line = JsonLines().format(made)
    assert "\n" not in line
    assert "Traceback" in json.loads(line)["exception"]


def test_the_form_for_people_is_short() -> None:
    with about(job_id="j1"):
        assert TextLines().format(record("moved"))[9:] == "WARNING editq.test: moved  job_id=j1"


@pytest.mark.parametrize("form", [JsonLines, TextLines])
@pytest.mark.parametrize("secret", sorted(secrets_of(SECRETS)))
def test_secrets_of_the_settings_are_in_no_line(form: type[JsonLines], secret: str) -> None:
    made = record(f"could not reach x?{secret}y", path=f"/{secret}")
    try:
        raise OSError(f"refused: {secret}")
    except OSError:
        made.exc_info = sys.exc_info()
    line = form(Blotter(secrets_of(SECRETS))).format(made)
    assert secret not in line
    assert BLOT in line


def test_each_secret_of_the_settings_is_known() -> None:
    assert {"pa/ss-word", "pa%2Fss-word", "hunter22", "s3/secret+key", "bucket-secret"} < secrets_of(SECRETS)
    assert {"of the collector", "whsec_" + "QUJD" * 10} < secrets_of(SECRETS)


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("redis://:s3cret@host:1/0 is away", "s3cret"),
        ("connecting to postgresql://user:pass%40@db/x", "pass%40"),
        ("Authorization: Bearer abc.def-1234567", "abc.def-1234567"),
        ("{'authorization': 'Basic dXNlcjpwYXNz'}", "dXNlcjpwYXNz"),
        (f"key {KEY} is unknown", KEY[19:]),
        ("signed with whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        ("GET /b/k?X-Amz-Signature=0a1b2c&X-Amz-Date=1", "0a1b2c"),
        ("GET /v1/events?ticket=abcdef", "abcdef"),
    ],
)
def test_secrets_are_known_by_their_shape(text: str, secret: str) -> None:
    blotted = Blotter()(text)
    assert secret not in blotted
    assert BLOT in blotted


def test_the_prefix_of_a_key_stays_for_it_names_the_key() -> None:
    assert "editq_abcdefghijkl_" in Blotter()(f"key {KEY} is unknown")


@pytest.mark.parametrize(
    "text", ["http://127.0.0.1:8000/v1/jobs", "a@b.org: 3 < 4", "job 01a2 attempt 1: edit"]
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert Blotter(secrets_of(SECRETS))(text) == text


@pytest.mark.parametrize(("chosen", "json_lines"), [("auto", True), ("json", True), ("text", False)])
def test_a_file_gets_json_and_a_terminal_text(
    monkeypatch: pytest.MonkeyPatch, chosen: str, json_lines: bool
) -> None:
    root = logging.getLogger()
    before = (root.level, root.handlers[:])
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    try:
        configure_logging(Settings(log_format=chosen))  # type: ignore[arg-type]
        logging.getLogger("editq.test").warning("with redis://:secret@host")
    finally:
        logging.captureWarnings(False)
        root.setLevel(before[0])
        root.handlers[:] = before[1]
    assert stream.getvalue().startswith("{") == json_lines
    assert "secret@" not in stream.getvalue()
