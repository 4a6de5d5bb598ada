"""Archives of a service that is not trusted: unpacked within their folder, whole or not at all."""

import io
import tarfile
import zipfile

import pytest

from editq.archives import check_whole, new_file, unpack_tar
from storage.errors import InvalidInput, Unavailable

ENDING = bytes(1024)


def member(name, data=b"data", kind=tarfile.REGTYPE, link=""):
    info = tarfile.TarInfo(name)
    info.size = len(data) if kind == tarfile.REGTYPE else 0
    info.type, info.linkname = kind, link
    return info.tobuf(tarfile.PAX_FORMAT) + data + bytes(-len(data) % 512) if info.size else info.tobuf()


GOOD = member("results.jsonl", b"{}\n") + member("a/b.png/picture_00.png", bytes(3000)) + ENDING


def in_pieces(data, size=700):
    return (data[start : start + size] for start in range(0, len(data), size))


def keep(path, data, form):
    """As the client keeps an archive."""
    with new_file(path) as file:
        file.write(data)
        file.flush()
        check_whole(path.parent / file.name, form)


def everything_in(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_files_are_written_below_a_new_folder(tmp_path):
    assert unpack_tar(in_pieces(GOOD), tmp_path / "deep" / "all") == 2
    assert (tmp_path / "deep/all/a/b.png/picture_00.png").read_bytes() == bytes(3000)
    assert everything_in(tmp_path / "deep") == [
        "all", "all/a", "all/a/b.png", "all/a/b.png/picture_00.png", "all/results.jsonl"
    ]  # fmt: skip


@pytest.mark.parametrize(
    "name",
    ["../up.png", "a/../../up.png", "/etc/up.png", "a//up.png", ".hidden", "a/.ssh/x", "a\\b", "a/..", "",
     "a\nb", "/".join("123456789x"), "x" * 201, "é.png"],
)  # fmt: skip
def test_names_that_lead_out_or_are_no_items_are_refused_and_nothing_is_left(tmp_path, name):
    data = member("fine.png") + member(name) + ENDING
    with pytest.raises((InvalidInput, Unavailable)):
        unpack_tar(in_pieces(data), tmp_path / "all")
    assert everything_in(tmp_path) == []
    assert not (tmp_path.parent / "up.png").exists()


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE]
)
def test_what_is_no_plain_file_is_refused(tmp_path, kind):
    data = member("out", kind=kind, link="/etc") + member("out/passwd") + ENDING
    with pytest.raises(InvalidInput, match="no plain file"):
        unpack_tar(in_pieces(data), tmp_path / "all")
    assert everything_in(tmp_path) == []


@pytest.mark.parametrize("names", [("a", "a"), ("a", "a/b"), ("a/b", "a")])
def test_two_files_of_one_name_are_refused(tmp_path, names):
    data = b"".join(map(member, names)) + ENDING
    with pytest.raises(InvalidInput, match="another of this name"):
        unpack_tar(in_pieces(data), tmp_path / "all")
    assert everything_in(tmp_path) == []


@pytest.mark.parametrize(
    "kept", [0, 100, 512, 1024, 1100, 3000, len(GOOD) - 1024, len(GOOD) - 512, len(GOOD) - 1]
)
def test_a_tar_that_was_cut_off_anywhere_leaves_nothing(tmp_path, kept):
    with pytest.raises(Unavailable):
        unpack_tar(in_pieces(GOOD[:kept]), tmp_path / "all")
    with pytest.raises(Unavailable):
        keep(tmp_path / "all.tar", GOOD[:kept], "tar")
    assert everything_in(tmp_path) == []


def test_damage_in_the_middle_is_no_end(tmp_path):
    data = GOOD[:1024] + b"\xff" * 512 + GOOD[1536:]
    with pytest.raises(Unavailable):
        unpack_tar(in_pieces(data), tmp_path / "all")
    assert everything_in(tmp_path) == []


def test_an_archive_is_whole_or_refused(tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a/b.png", bytes(5000))
    data = buffer.getvalue()
    for kept in (0, 10, 2000, len(data) - 30, len(data) - 1):
        with pytest.raises(Unavailable):
            keep(tmp_path / "all.zip", data[:kept], "zip")
    assert everything_in(tmp_path) == []
    keep(tmp_path / "all.zip", data, "zip")
    keep(tmp_path / "all.tar", GOOD, "tar")
    assert everything_in(tmp_path) == ["all.tar", "all.zip"]


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "all").mkdir()
    (tmp_path / "all.zip").write_bytes(b"mine")
    with pytest.raises(InvalidInput, match="there already"):
        unpack_tar(in_pieces(GOOD), tmp_path / "all")
    with pytest.raises(InvalidInput, match="there already"), new_file(tmp_path / "all.zip"):
        pass
    assert (tmp_path / "all.zip").read_bytes() == b"mine"
