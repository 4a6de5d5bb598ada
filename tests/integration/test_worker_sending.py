"""One webhook call to real receivers: signed, sent where it may go and nowhere else, over in time."""

import datetime
import socket
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from webhook_receiver import LOOPBACK, SECRET, Answer, drips, hangs, receiving, says, writes

from editq.webhooks import WebhookRefused, verify
from storage.pinned import CallFailed
from storage.records import Delivery
from workers.sending import Answer as Answered
from workers.sending import Caller

BODY = '{"type": "job.succeeded", "timestamp": "2026-01-01T00:00:00+00:00", "data": {"kind": "édit"}}'
LIMIT_S = 5.0  # far above any time limit given here, for a busy machine


def delivery(url: str) -> Delivery:
    return Delivery(
        "0" * 32 + "-3", "local", "0" * 32, 3, "job.succeeded", url, BODY, "pending", 1, 0, None, 0, None
    )


def call(url: str, *, timeout_s: float = 10.0, networks: tuple[str, ...] = LOOPBACK, **more: Any) -> Answered:
    return Caller(SECRET, networks, timeout_s=timeout_s, **more).call(delivery(url), at=time.time())


def why_not(url: str, **more: Any) -> str:
    with pytest.raises(CallFailed) as caught:
        call(url, **more)
    return str(caught.value)


def test_a_call_says_who_it_is_from_and_what_happened() -> None:
    with receiving() as receiver:
        assert call(f"{receiver.url}/hooks?key=1") == Answered(204)
        (heard,) = receiver.calls
    assert heard.path == "/hooks?key=1"
    assert heard.body == BODY.encode()
    assert heard.id == "0" * 32 + "-3"
    assert heard.headers["content-type"] == "application/json"
    assert heard.headers["user-agent"].startswith("editq/")
    assert heard.headers["host"] == receiver.url.removeprefix("http://")
    assert verify(SECRET, heard.headers, heard.body)["data"] == {"kind": "édit"}
    with pytest.raises(WebhookRefused):
        verify(SECRET, heard.headers, heard.body + b" ")


def test_a_call_is_signed_as_of_the_time_that_is_given() -> None:
    with receiving() as receiver:
        Caller(SECRET, LOOPBACK, timeout_s=10).call(delivery(receiver.url), at=time.time() - 3600)
        (heard,) = receiver.calls
    with pytest.raises(WebhookRefused, match="too old"):
        verify(SECRET, heard.headers, heard.body)


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "localhost", "[::1]", "0.0.0.0", "[::]", "10.0.0.1", "172.16.0.1", "192.168.1.1"),
        *("169.254.169.254", "100.64.0.1", "224.0.0.1", "255.255.255.255", "240.0.0.1", "[fe80::1]"),
        *(
            "[fc00::1]",
            "[ff02::1]",
            "[fec0::1]",
            "[::ffff:127.0.0.1]",
            "[64:ff9b::7f00:1]",
            "[2002:7f00:1::]",
        ),
        *("2130706433", "0x7f000001", "127.1", "[2001:db8::1]", "192.0.2.1"),
    ],
)
def test_private_addresses_are_refused_however_they_are_written(host: str) -> None:
    with receiving() as receiver:
        port = receiver.url.rpartition(":")[2]
        assert "private" in why_not(f"http://{host}:{port}/", networks=())
        assert receiver.calls == []


def test_networks_that_are_allowed_are_reached_and_no_others() -> None:
    with receiving() as receiver:
        assert call(receiver.url, networks=("127.0.0.1/32",)).status == 204
        assert "private" in why_not(receiver.url, networks=("127.0.0.2/32", "10.0.0.0/8"))


Names = Callable[..., list[str]]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    """A name server of the test's own: `names("hooks.test", ["1.2.3.4"], ["5.6.7.8"])` says these in turn.
    Returns the list of the names that were asked for."""
    asked: list[str] = []
    known: dict[str, list[list[str]]] = {}
    resolve = socket.getaddrinfo

    def ask(host: Any, port: Any, *arguments: Any, **options: Any) -> Any:
        if host not in known:
            return resolve(host, port, *arguments, **options)
        asked.append(host)
        answers = known[host]
        addresses = answers.pop(0) if len(answers) > 1 else answers[0]
        return [entry for address in addresses for entry in resolve(address, port, *arguments, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", ask)

    def know(name: str, *answers: list[str]) -> list[str]:
        known[name] = list(answers)
        return asked

    return know


def test_a_name_with_one_private_address_among_public_ones_is_refused(names: Names) -> None:
    with receiving() as receiver:
        names("hooks.test", ["8.8.8.8", "127.0.0.1"])
        assert "private" in why_not(receiver.url.replace("127.0.0.1", "hooks.test"), networks=())
        assert receiver.calls == []


def test_a_name_that_changes_its_address_after_the_check_moves_nothing(names: Names) -> None:
    with receiving() as receiver:
        asked = names("hooks.test", ["127.0.0.1"], ["127.0.0.99"])
        url = receiver.url.replace("127.0.0.1", "hooks.test")
        assert call(url, networks=("127.0.0.1/32",)).status == 204
        assert asked == ["hooks.test"]
        assert receiver.calls[0].headers["host"] == url.removeprefix("http://")
        assert "private" in why_not(url, networks=("127.0.0.1/32",))
        assert len(receiver.calls) == 1


def test_an_address_that_does_not_listen_is_passed_over(names: Names) -> None:
    with receiving() as receiver:
        names("hooks.test", ["127.0.0.98", "127.0.0.1"])
        assert call(receiver.url.replace("127.0.0.1", "hooks.test")).status == 204


def test_a_name_server_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    never = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: never.wait(60))
    began = time.monotonic()
    assert why_not("http://hooks.test/", timeout_s=0.2) == "no answer within 0.2 s"
    assert time.monotonic() - began < LIMIT_S
    never.set()


def test_redirects_are_an_answer_and_not_followed() -> None:
    with receiving() as inside, receiving(says(307, Location=f"{inside.url}/secret")) as receiver:
        assert call(receiver.url) == Answered(307)
        assert len(receiver.calls) == 1
        assert inside.calls == []


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving() as proxy, receiving() as receiver:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        assert call(receiver.url).status == 204
        assert (len(proxy.calls), len(receiver.calls)) == (0, 1)


@pytest.mark.parametrize(
    "answer",
    [
        hangs,
        drips(b"HTTP/1.1 200 OK\r\nX-Slow: "),
        drips(b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 100 C\r\n\r\n"),
    ],
    ids=["hangs", "drips its head", "continues for ever"],
)
def test_a_receiver_has_one_time_limit_for_all(answer: Answer) -> None:
    with receiving(answer) as receiver:
        began = time.monotonic()
        assert why_not(receiver.url, timeout_s=0.5) == "no answer within 0.5 s"
        assert 0.4 < time.monotonic() - began < LIMIT_S


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_receiver_that_accepts_and_says_nothing_is_given_up(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"{scheme}://127.0.0.1:{silent.getsockname()[1]}/"
        assert why_not(url, timeout_s=0.3) == "no answer within 0.3 s"


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n", b"HTTP/1.1 202 OK\r\n\r\n"]
)
def test_the_body_of_an_answer_is_not_waited_for(head: bytes) -> None:
    with receiving(drips(head, b"y" * 65536, every_s=0.001)) as receiver:
        assert call(receiver.url, timeout_s=60).status in (200, 202)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (writes(b""), "the answer is not HTTP"),
        (writes(b"SSH-2.0-OpenSSH_9.2\r\n"), "the answer is not HTTP"),
        (writes(b"HTTP/1.1 200 OK\r\nX: " + b"z" * 200_000), "the answer is not HTTP"),
    ],
    ids=["nothing", "another protocol", "endless head"],
)
def test_what_is_said_of_bad_answers_is_short_and_holds_nothing_of_them(answer: Answer, why: str) -> None:
    with receiving(answer) as receiver:
        assert why_not(receiver.url) == why


def test_what_is_said_of_receivers_that_are_not_there(free_port: Callable[[], int]) -> None:
    assert why_not(f"http://127.0.0.1:{free_port()}/") == "no connection"
    assert why_not("http://no-such-name.invalid/") == "the name of the receiver is not known"
    with receiving() as receiver:
        assert why_not(receiver.url.replace("http:", "https:")) == "no TLS with the receiver"


@pytest.mark.parametrize(
    "url", ["http://user:word@127.0.0.1/", "http:///x", "ftp://127.0.0.1/", "http://[::1/", "x"]
)
def test_urls_that_cannot_be_called(url: str) -> None:
    assert why_not(url) == "the URL cannot be called"


@pytest.mark.parametrize(
    ("secret", "network", "why"),
    [
        (SECRET, "10.0.0.1/8", "host bits"),
        (SECRET, "hooks", "not appear to be"),
        ("whsec_é", "10.0.0.0/8", "ASCII"),
        ("whsec_", "10.0.0.0/8", "empty"),
    ],
)
def test_secrets_and_networks_that_are_none_are_refused_at_once(secret: str, network: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Caller(secret, [network], timeout_s=1)


class Certified:
    """A certificate for one name, whose issuer only `trust` trusts."""

    def __init__(self, name: str, folder: Path) -> None:
        key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
        builder = (
            x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
        )
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(
            now - datetime.timedelta(days=1)
        )
        builder = builder.not_valid_after(now + datetime.timedelta(days=1))
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        certificate = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        file = folder / "server.pem"
        private = serialization.PrivateFormat.PKCS8
        pem = key.private_bytes(serialization.Encoding.PEM, private, serialization.NoEncryption())
        file.write_bytes(pem + certificate)
        self.asked: list[str] = []
        self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.server.load_cert_chain(file)
        self.server.sni_callback = lambda _, name, __: self.asked.append(name)
        self.trust = ssl.create_default_context(cadata=certificate.decode())


@pytest.fixture
def certified(tmp_path: Path) -> Certified:
    return Certified("hooks.test", tmp_path)


def test_tls_goes_by_the_name_and_the_connection_by_the_address(names: Names, certified: Certified) -> None:
    names("hooks.test", ["127.0.0.1"])
    with receiving(trust=certified.server) as receiver:
        url = receiver.url.replace("127.0.0.1", "hooks.test")
        assert call(url, trust=certified.trust).status == 204
    assert certified.asked == ["hooks.test"]


def test_a_certificate_of_another_name_or_issuer_is_refused(names: Names, certified: Certified) -> None:
    names("other.test", ["127.0.0.1"])
    names("hooks.test", ["127.0.0.1"])
    with receiving(trust=certified.server) as receiver:
        bad = "the certificate of the receiver is not valid"
        assert why_not(receiver.url.replace("127.0.0.1", "other.test"), trust=certified.trust) == bad
        assert why_not(receiver.url.replace("127.0.0.1", "hooks.test")) == bad
        assert receiver.calls == []
