"""Shards are unpacked without trust in them."""

import io
import tarfile

import pytest

from editq.shards import unpack
from storage.errors import InvalidInput, Unavailable


def shard(path, *names, kind=tarfile.REGTYPE):
    with tarfile.open(path, "w") as tar:
        for name in names:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            member.size = 3 if kind == tarfile.REGTYPE else 0
            tar.addfile(member, io.BytesIO(b"abc"))
    return path


def test_files_are_written_below_the_folder(tmp_path):
    assert unpack(shard(tmp_path / "a.tar", "train/masks/1.png", "train/masks/2.png"), tmp_path / "out") == 2
    assert (tmp_path / "out/train/masks/2.png").read_bytes() == b"abc"


@pytest.mark.parametrize(
    "name", ["../up", "/etc/x", "a/../../b", "train//x", ".hidden", "a/b/c/d/e", "a\\b", "~/x"]
)
def test_names_that_could_lead_elsewhere_are_refused(tmp_path, name):
    with pytest.raises(InvalidInput, match="not unpacked"):
        unpack(shard(tmp_path / "a.tar", name), tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir() if path.name != "out"] == ["a.tar"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE])
def test_nothing_but_plain_files_is_taken(tmp_path, kind):
    with pytest.raises(InvalidInput, match="no plain file"):
        unpack(shard(tmp_path / "a.tar", "x", kind=kind), tmp_path / "out")


def test_nothing_is_overwritten_and_no_link_followed(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "x").write_text("mine")
    (out / "train").symlink_to(tmp_path)
    with pytest.raises(InvalidInput, match="another of this name"):
        unpack(shard(tmp_path / "a.tar", "x"), out)
    with pytest.raises(InvalidInput, match="leads out"):
        unpack(shard(tmp_path / "b.tar", "train/y"), out)
    assert (out / "x").read_text() == "mine"
    assert not (tmp_path / "y").exists()


def test_a_damaged_shard_is_told(tmp_path):
    path = tmp_path / "a.tar"
    path.write_bytes(b"no tar at all" * 100)
    with pytest.raises(Unavailable, match="damaged"):
        unpack(path, tmp_path / "out")
