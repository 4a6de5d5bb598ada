"""Addresses and names that callers give, written to lead where they may not: none does."""

import io
import json
import tarfile
from collections.abc import Iterator

import pytest

from api.options import _check_webhook
from storage.addresses import literal_address, permitted
from storage.errors import EditqError, InvalidInput
from storage.manifests import jsonl_entries
from storage.options import Webhook
from storage.settings import Settings
from storage.sources import checked_source_key
from workers.bulk.reading import _member, _members

SPELLINGS = (
    *(
        "127.0.0.1",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "017700000001",
    ),
    *("localhost", "LOCALHOST", "localhost.", "a.localhost", "127.0.0.1.", "[::1]", "[::ffff:127.0.0.1]"),
    *(
        "[::ffff:7f00:1]",
        "[0:0:0:0:0:ffff:a9fe:a9fe]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[::]",
        "0.0.0.0",
        "0",
    ),
    *("169.254.169.254", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "[::ffff:169.254.169.254]"),
    *("[fd00:ec2::254]", "[fe80::1]", "[fe80::1%25eth0]", "10.0.0.1", "10.1", "172.16.0.1", "192.168.1"),
    *(
        "100.64.0.1",
        "[fc00::1]",
        "198.18.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "user:pw@127.0.0.1",
        "@127.0.0.1",
    ),
    *("8.8.8.8@127.0.0.1", "127.0.0.1:22", "[::1]:6379", "127.0.0.1#@8.8.8.8", "127.0.0.1?@8.8.8.8"),
)
KEYS = (
    *("../x.png", "a/../../x.png", "/etc/passwd", "a//b.png", "a/./b.png", "..", ".", "", ".hidden/x.png"),
    *("a\\..\\b.png", "a/..\\b.png", "a\0b.png", "a\nb.png", "a/\u202egnp.exe", "x" * 1025, "é" * 600, "a/"),
)
NAMES = (
    *KEYS[:8],
    "C:\\x.png",
    "//host/x.png",
    "a:b/../c.png",
    "~/x.png",
    "-rf",
    "a b.png",
    "é.png",
    "a" * 300,
)


@pytest.mark.parametrize("host", SPELLINGS)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_webhook_to_this_network_is_refused_when_it_is_asked_for(scheme: str, host: str) -> None:
    settings = Settings(webhook_secret="whsec_" + "c2VjcmV0" * 5)
    with pytest.raises(InvalidInput) as refusal:
        _check_webhook(Webhook(url=f"{scheme}://{host}/x"), settings)
    assert refusal.value.code == "invalid_input"


@pytest.mark.parametrize(
    "url", ["ftp://a.org/", "file:///etc/passwd", "gopher://a.org/", "//a.org/", "http:a.org", "x"]
)
def test_only_http_is_a_webhooks_scheme(url: str) -> None:
    with pytest.raises(ValueError, match="url"):
        Webhook(url=url)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700:4700::1111", "64:ff9b::808:808", "2002:808:808::"])
def test_public_addresses_are_permitted(address: str) -> None:
    assert permitted(address, ())
    assert literal_address(address) is not None


@pytest.mark.parametrize("key", KEYS)
def test_a_key_that_could_lead_out_of_its_folder_is_refused(key: str) -> None:
    with pytest.raises(InvalidInput, match="is not an object's key"):
        checked_source_key(key, field="inputs.key")


@pytest.mark.parametrize("key", KEYS)
def test_a_manifest_cannot_name_it_either(key: str) -> None:
    ((_, _, entry),) = jsonl_entries([json.dumps({"key": key}).encode()])
    assert isinstance(entry, EditqError)
    assert entry.code in ("invalid_item", "invalid_input")


@pytest.mark.parametrize("name", NAMES)
def test_an_id_in_a_manifest_is_no_path(name: str) -> None:
    """Results are written under it, where a batch asks for that."""
    ((_, _, entry),) = jsonl_entries([json.dumps({"id": name, "seed": 1}).encode()])
    assert isinstance(entry, EditqError)


def tar_of(*members: tarfile.TarInfo) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for member in members:
            tar.addfile(member, io.BytesIO(bytes(member.size)))
    return file.getvalue()


def read(data: bytes) -> list[object]:
    blocks: Iterator[bytes] = iter([data])
    return [_member(1, "f", "k", member) for member in _members(blocks, "inputs.files.0")]


@pytest.mark.parametrize("name", [each for each in NAMES if each and "\0" not in each])
def test_a_name_within_a_tar_is_no_path(name: str) -> None:
    member = tarfile.TarInfo(name)
    (found,) = read(tar_of(member))
    assert isinstance(found, EditqError)
    assert found.code == "invalid_item"


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]
)
def test_links_and_devices_within_a_tar_are_refused(kind: bytes) -> None:
    member = tarfile.TarInfo("a.png")
    member.type, member.linkname = kind, "/etc/passwd"
    (found,) = read(tar_of(member))
    assert isinstance(found, EditqError)


def test_a_tar_that_declares_more_than_it_has_is_refused() -> None:
    member = tarfile.TarInfo("a.png")
    member.size = 8 << 30
    header = member.tobuf(tarfile.GNU_FORMAT)
    with pytest.raises(InvalidInput, match=r"damaged, or was cut off|cannot be read as a tar"):
        read(header + bytes(4096))


def test_a_packed_tar_is_refused() -> None:
    import gzip

    with pytest.raises(InvalidInput, match="cannot be read as a tar"):
        read(gzip.compress(tar_of(tarfile.TarInfo("a.png"))))


def test_nothing_is_fetched_for_a_manifest() -> None:
    """There is no URL in it to be led elsewhere by: keys, ids and seeds only."""
    for name in ("url", "href", "uri"):
        ((_, _, entry),) = jsonl_entries([json.dumps({name: "http://169.254.169.254/"}).encode()])
        assert isinstance(entry, EditqError)
    for key in ("http://169.254.169.254/x", "s3://bucket/x", "file:///etc/passwd"):
        with pytest.raises(InvalidInput):
            checked_source_key(key, field="key")
