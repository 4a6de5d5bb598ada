"""No secret lies in the repository: what is tracked is looked through for what secrets look like."""

import re
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.thorough

ROOT = Path(__file__).resolve().parents[3]
LOOKS = {
    "private key": re.compile(rb"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----\s+[A-Za-z0-9+/=]{40}"),
    "key of AWS": re.compile(rb"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    "token of GitHub": re.compile(rb"\bgh[pousr]_[A-Za-z0-9]{36}\b"),
    "token of Slack": re.compile(rb"\bxox[baprs]-[A-Za-z0-9-]{10,}"),
    "token of PyPI": re.compile(rb"\bpypi-AgEI[A-Za-z0-9_-]{50,}"),
    "JSON Web Token": re.compile(rb"\beyJ[A-Za-z0-9_-]{20,}\.eyJ[A-Za-z0-9_-]{20,}\.[A-Za-z0-9_-]{20,}"),
    "API key of editq": re.compile(rb"\beditq_[A-Za-z0-9]{6,}_[A-Za-z0-9_-]{30,}"),
    "secret of webhooks": re.compile(rb"whsec_[A-Za-z0-9+/]{32,}={0,2}"),
    "password in a URL": re.compile(
        rb"\b(?:postgresql|redis|amqp|https?)[+a-z]*://[^\s:/@\"'{}<>]+:[^\s@/\"'{}<>$]{8,}@"
    ),
}
KNOWN = {
    b"postgresql+psycopg://user:" + b"password@",  # of the settings' own description
    b"postgresql://editq:" + b"PASSWORD@",  # of docs/operations.md
    b"postgresql+psycopg://editq:" + b"pa%2Fss-word@",  # what logs must hide, in their test
    b"whsec_" + b"MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",  # the standard's own example
    b"whsec_" + b"ZWRpdHEgZWRpdHEgZWRpdHEgZWRpdHEgZWRpdHE=",  # "editq" five times: the tests' own
}


def test_nothing_that_is_tracked_looks_like_a_secret() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode != 0:
        pytest.skip("this is no clone")
    found = []
    for name in listed.stdout.decode().split("\0"):
        path = ROOT / name
        if not path.is_file() or path.stat().st_size > 1_000_000:
            continue
        data = path.read_bytes()
        found += [
            (name, what, match[:40])
            for what, look in LOOKS.items()
            for match in look.findall(data)
            if match not in KNOWN
        ]
    assert found == []


@pytest.mark.parametrize(
    "text",
    [
        b"AKIA" + b"ABCDEFGHIJKLMNOP",
        b"ghp_" + b"a" * 36,
        b"editq_" + b"abcdefgh_" + b"x" * 43,
        b"postgresql+psycopg://editq:" + b"correcthorse@db/editq",
        b"-----BEGIN RSA PRIVATE" + b" KEY-----\n" + b"A" * 64,
    ],
)
def test_what_is_looked_for_would_be_found(text: bytes) -> None:
    assert any(look.search(text) for look in LOOKS.values())
