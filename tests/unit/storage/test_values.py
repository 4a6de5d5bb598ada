"""Settings, plain values, ids, cursors, keys, breakers, errors: what the stores are made of."""

import contextlib
import math
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from storage import errors
from storage.cursors import decode_cursor, encode_cursor, page_of
from storage.objects import checkpoint_key, image_key, job_prefix, model_key, output_key
from storage.plain import plain
from storage.records import FOLLOWS, Event, Status, new_id
from storage.settings import Settings

pytestmark = pytest.mark.thorough


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in os.environ:
        if name.startswith("EDITQ_"):
            monkeypatch.delenv(name)


def test_settings_have_defaults_below_one_folder() -> None:
    settings = Settings()
    assert settings.database_url == "sqlite:///.editq/editq.db"
    assert (settings.objects, settings.objects_dir) == ("files", Path(".editq/objects"))
    assert settings.cache_dir == Path(".editq/cache")
    assert Settings(data_dir=Path("/data")).database_url == "sqlite:////data/editq.db"


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDITQ_S3_BUCKET", "pictures")
    monkeypatch.setenv("EDITQ_S3_PREFIX", "/a/b")
    monkeypatch.setenv("EDITQ_S3_PATH_STYLE", "true")
    monkeypatch.setenv("EDITQ_ALLOWED_HOSTS", "a.example, b.example,")
    monkeypatch.setenv("EDITQ_PORT", "")
    settings = Settings()
    assert (settings.objects, settings.s3_prefix, settings.s3_path_style) == ("s3", "a/b/", True)
    assert settings.allowed_hosts == ("a.example", "b.example")
    assert settings.port == 8000


def test_settings_hide_secrets_and_cannot_be_changed() -> None:
    settings = Settings(
        s3_secret_key="hush",  # type: ignore[arg-type]
        database_url="postgresql://u:hush@h/d",
        redis_url="redis://:hush@h",
    )
    assert "hush" not in repr(settings)
    assert "hush" not in str(settings)
    with pytest.raises(ValidationError):
        settings.port = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    "wrong", [{"port": 70_000}, {"lease_s": 0}, {"max_body_bytes": -1}, {"log_level": "LOUD"}, {"prot": 1}]
)
def test_settings_that_cannot_be_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Settings(**wrong)  # type: ignore[arg-type]


def test_every_setting_is_described() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_ids_sort_by_when_they_were_made_and_never_repeat() -> None:
    made = [new_id() for _ in range(2000)]
    assert sorted(set(made)) == made
    assert {len(one) for one in made} == {32}
    int(made[0], 16)
    several: list[str] = []
    threads = [
        threading.Thread(target=lambda: several.extend(new_id() for _ in range(500))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(several)) == 2000


def test_no_status_follows_an_end() -> None:
    assert {status for status in Status if status.ended} == {Status.SUCCEEDED, Status.FAILED, Status.CANCELED}
    assert set(FOLLOWS) == set(Status)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(json_values)
def test_plain_values_have_no_nan(value: object) -> None:
    import json

    text = json.dumps(plain(value), allow_nan=False)
    assert plain(json.loads(text)) == plain(value)


def test_what_is_no_json_value_is_a_mistake() -> None:
    assert plain((1, (2.5, math.inf))) == [1, [2.5, None]]
    for value in (object(), b"x", {1: 2}, Path("x"), {"a": {1, 2}}):
        with pytest.raises(TypeError):
            plain(value)


class Item:
    def __init__(self, created_at: float, id: str) -> None:
        self.created_at, self.id = created_at, id


@given(st.floats(0, 1e12), st.text("0123456789abcdef", min_size=32, max_size=32))
def test_a_cursor_leads_back_to_its_place(created_at: float, id: str) -> None:
    cursor = encode_cursor(Item(created_at, id))
    assert decode_cursor(cursor) == (created_at, id)
    assert cursor.isascii()
    assert not set(cursor) & set("+/=&?#")


def test_a_cursor_that_no_database_could_look_for_is_refused() -> None:
    with pytest.raises(errors.InvalidInput):
        decode_cursor(encode_cursor(Item(1.0, "a\0b")))


@given(st.text(max_size=80))
def test_any_other_text_is_refused_by_name(text: str) -> None:
    with contextlib.suppress(errors.InvalidInput):
        created_at, _ = decode_cursor(text)
        assert math.isfinite(created_at)


def test_a_page_says_whether_there_is_more() -> None:
    items = [Item(float(i), "a" * 32) for i in range(3)]
    assert page_of(items, 3).next_cursor is None
    assert page_of(items, 2).next_cursor == encode_cursor(items[1])
    assert page_of([], 2).items == ()


def test_keys_are_apart_by_tenant_job_and_attempt() -> None:
    job = "0" * 32
    assert image_key("local", "a" * 64) == f"local/images/{'a' * 64}"
    assert output_key("local", job, 2, "edited.png") == f"local/jobs/{job}/2/outputs/edited.png"
    assert checkpoint_key("local", job, 2, 30).startswith(job_prefix("local", job))
    assert model_key("system", "cars", "d" * 64, "generator.safetensors").startswith("system/models/cars/")
    for wrong in ("..", "", "a/../b", "/a", ".x", "a b", "ä"):
        with pytest.raises(ValueError, match="key"):
            output_key("local", job, 1, wrong)


def test_every_error_is_named_and_drawn() -> None:
    def below(kind: type[errors.EditqError]) -> list[type[errors.EditqError]]:
        return [kind, *(leaf for sub in kind.__subclasses__() for leaf in below(sub))]

    kinds = [kind for kind in below(errors.EditqError) if kind.__module__ == errors.__name__]
    codes = [kind.code for kind in kinds]
    assert len(set(codes)) == len(codes)
    assert all(
        kind.__name__ in (errors.__doc__ or "") and kind.code in (errors.__doc__ or "") for kind in kinds[1:]
    )
    error = errors.MaskMismatch("wrong", field="mask", expected="64x64")
    assert error.as_dict() == {
        "code": "mask_mismatch",
        "detail": "wrong",
        "field": "mask",
        "expected": "64x64",
    }


def test_an_event_is_a_value() -> None:
    assert Event("j", 1, "queued", {}, 0.0) == Event("j", 1, "queued", {}, 0.0)


@pytest.mark.parametrize(
    "secret", ["whsec_", "whsec_abc", "whsec_!!!!", "plain", "whsec_" + "QUFB" * 4, "QUFB" * 10]
)
def test_a_webhook_secret_that_receivers_could_not_use_is_refused_without_being_shown(
    monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    monkeypatch.setenv("EDITQ_WEBHOOK_SECRET", secret)
    with pytest.raises(ValidationError) as caught:
        Settings()
    shown = str(caught.value).replace("must be whsec_ and", "")
    assert secret not in shown


def test_webhook_networks_must_be_networks() -> None:
    assert Settings(webhook_networks=("10.1.0.0/16",)).webhook_networks == ("10.1.0.0/16",)
    with pytest.raises(ValidationError, match=r"10\.1\.0\.0/99"):
        Settings(webhook_networks=("10.1.0.0/99",))
