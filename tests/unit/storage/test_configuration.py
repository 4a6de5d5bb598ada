"""docs/configuration.md is made from the settings, and is current."""

from pathlib import Path

from storage.configuration import SECTIONS, page, unknown
from storage.settings import Settings

DOCUMENT = Path(__file__).parents[3] / "docs" / "configuration.md"


def test_the_document_is_what_the_settings_say_now() -> None:
    assert DOCUMENT.read_text() == page(), "python -m storage.configuration > docs/configuration.md"


def test_every_variable_is_described_in_a_section() -> None:
    assert next(iter(SECTIONS)) == next(iter(Settings.model_fields))
    assert set(SECTIONS) <= set(Settings.model_fields)
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert f"| `EDITQ_{name.upper()}` |" in page()


def test_a_secret_has_no_default_to_show() -> None:
    assert "SecretStr" not in page()


def test_a_variable_that_nothing_reads_is_found() -> None:
    environ = {"EDITQ_REDIS_URL": "x", "EDITQ_URL": "x", "EDITQ_REDDIS_URL": "x", "PATH": "x"}
    assert unknown(environ) == ["EDITQ_REDDIS_URL"]
