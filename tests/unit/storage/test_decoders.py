"""Pictures opened in processes of their own: what these can do, and what becomes of one that ends badly."""

import concurrent.futures
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import storage
from sandbox import bubblewrap
from storage import decoders, decoding, masks, pictures
from storage.errors import EditqError, MaskMismatch, PictureTooLarge, Unavailable, UnreadablePicture

pytestmark = pytest.mark.thorough

ROOT = Path(storage.__path__[0]).parent


def drawn(file_format: str = "PNG", mode: str = "RGB", size: tuple[int, int] = (40, 30)) -> bytes:
    file = io.BytesIO()
    noise = np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3), np.uint8)
    Image.fromarray(noise).convert(mode).save(file, file_format)
    return file.getvalue()


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[decoders.Decoders]:
    """One of its own, so that what ends badly here is nobody else's."""
    found = decoders.Decoders(2)
    monkeypatch.setattr(decoders, "decoders", lambda: found)
    yield found
    found.end()


@pytest.fixture
def child(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Replaces the process by a script that answers whatever it likes."""
    beginning = (
        "import json, os, struct, sys, time\n"
        "def tell(told, more=b''):\n"
        "    line = told if isinstance(told, bytes) else json.dumps(told).encode()\n"
        "    os.write(0, struct.pack('>I', len(line)) + line + more)\n"
        "os.write(0, b'ready'); os.read(0, 1)\n"
    )

    def replace(script: str) -> None:
        command = [sys.executable, "-I", "-S", "-c", beginning + script]
        monkeypatch.setattr(decoders, "wrapped", lambda _command, _folders: command)

    return replace


@pytest.mark.parametrize(
    ("file_format", "mode"),
    [
        *(("PNG", mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")),
        *(("JPEG", mode) for mode in ("L", "RGB", "CMYK")),
        *(("TIFF", mode) for mode in ("1", "L", "P", "RGB", "RGBA", "CMYK")),
        *(("WEBP", mode) for mode in ("RGB", "RGBA")),
        *(("BMP", mode) for mode in ("1", "L", "P", "RGB")),
    ],
)
def test_what_comes_back_is_what_would_have_been_decoded_here(file_format: str, mode: str) -> None:
    data = drawn(file_format, mode)
    found = decoders.decode_picture(data)
    assert np.array_equal(found, pictures.decode_picture(data))
    assert found.flags.writeable
    assert decoders.inspect_picture(data) == pictures.inspect_picture(data)


def test_masks_too() -> None:
    data = drawn(mode="L")
    assert np.array_equal(decoders.decode_mask(data), masks.decode_mask(data))
    with pytest.raises(MaskMismatch, match="colours"):
        decoders.decode_mask(drawn())


@pytest.mark.parametrize("data", [b"", b"no picture", drawn(mode="L")[:200], drawn("WEBP")[:-40]])
def test_refusals_are_those_of_the_decoder_and_cost_no_process(pool: decoders.Decoders, data: bytes) -> None:
    for read in (decoders.inspect_picture, decoders.decode_picture, decoders.decode_mask):
        with pytest.raises(UnreadablePicture):
            read(data)
    assert len(pool._idle) == 1
    assert pool._idle[0].pictures == 3


def test_pixels_are_limited_by_the_caller(pool: decoders.Decoders) -> None:
    with pytest.raises(PictureTooLarge, match="too many pixels"):
        decoders.decode_picture(drawn(), 40 * 30 - 1)
    assert decoders.decode_picture(drawn(), 40 * 30).shape == (30, 40, 3)
    assert len(pool._idle) == 1


@pytest.mark.thorough
def test_more_pixels_than_usual_get_a_process_with_more_memory(pool: decoders.Decoders) -> None:
    decoders.decode_picture(drawn())
    decoders.decode_picture(drawn(), 2 * pictures.MAX_PIXELS)
    assert [each.max_pixels for each in pool._idle] == [2 * pictures.MAX_PIXELS]


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ("os.kill(os.getpid(), 11)", UnreadablePicture),  # as a decoder that writes where it may not
        ("sys.exit(70)", UnreadablePicture),
        ("os.kill(os.getpid(), 27)", PictureTooLarge),  # SIGPROF: its time is up
        ("os.kill(os.getpid(), 9)", Unavailable),
        ("tell({'shape': [30, 40, 3]}, bytes(99)); sys.exit(0)", UnreadablePicture),
        ("tell({'shape': [30, 40, 4]}, bytes(4800)); time.sleep(9)", UnreadablePicture),
        ("tell({'shape': [1 << 20, 1 << 20, 3]}); time.sleep(9)", UnreadablePicture),
        ("tell({'shape': [-30, -40, 3]}); time.sleep(9)", UnreadablePicture),
        ("tell({'shape': [30, 40]}, bytes(1200)); time.sleep(9)", UnreadablePicture),
        ("tell({'shape': 'large'}); time.sleep(9)", UnreadablePicture),
        ("tell({}); time.sleep(9)", UnreadablePicture),
        ("tell([1]); time.sleep(9)", UnreadablePicture),
        ("tell(b'['  * 60000); time.sleep(9)", UnreadablePicture),
        ("tell(bytes(1 << 17)); time.sleep(9)", UnreadablePicture),
        ("tell({'error': {'code': 'internal_error', 'detail': 'x' * 9999}})", UnreadablePicture),
        ("tell({'error': 'nonsense'})", UnreadablePicture),
    ],
)
def test_what_a_process_says_is_not_believed_blindly(
    pool: decoders.Decoders, child: Callable[[str], None], script: str, error: type[EditqError]
) -> None:
    child(script)
    with pytest.raises(error) as refusal:
        decoders.decode_picture(drawn())
    assert type(refusal.value) is error
    assert len(refusal.value.detail) <= 300
    assert not pool._idle or "error" in script, "whatever talks nonsense is asked nothing any more"


@pytest.mark.thorough
def test_a_process_that_died_or_hangs_is_replaced(
    pool: decoders.Decoders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoders, "wrapped", lambda command, _folders: command)  # its own id, for kill()
    decoders.decode_picture(drawn())
    first = pool._idle[0]
    os.kill(first._process.pid, signal.SIGSEGV)
    with pytest.raises(UnreadablePicture):
        decoders.decode_picture(drawn())
    decoders.decode_picture(drawn())
    second = pool._idle[0]
    os.kill(second._process.pid, signal.SIGSTOP)
    monkeypatch.setattr(decoders, "WALL_S", 0.5)
    began = time.monotonic()
    with pytest.raises(PictureTooLarge, match="too long"):
        decoders.decode_picture(drawn())
    assert time.monotonic() - began < 20
    monkeypatch.undo()
    assert second._process.poll() == -signal.SIGKILL


@pytest.mark.thorough
def test_computing_is_limited_in_the_process_itself(
    pool: decoders.Decoders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoders, "CPU_S", 0.02)
    file = io.BytesIO()
    Image.new("RGB", (5000, 5000)).save(file, "PNG", compress_level=1)
    with pytest.raises(PictureTooLarge, match="too long"):
        decoders.decode_picture(file.getvalue())


@pytest.mark.thorough
def test_memory_is_limited_in_the_process_itself(
    pool: decoders.Decoders, monkeypatch: pytest.MonkeyPatch
) -> None:
    """... and the process lives on."""
    monkeypatch.setattr(decoders, "BYTES_PER_PIXEL", 0)
    monkeypatch.setattr(decoders, "OWN_BYTES", 24 << 20)
    decoders.decode_picture(drawn())
    with pytest.raises(PictureTooLarge):
        decoders.decode_picture(drawn("JPEG", size=(4000, 3000)))
    assert decoders.decode_picture(drawn()).shape == (30, 40, 3)
    assert pool._idle[0].pictures == 3


@pytest.mark.thorough
def test_the_largest_picture_that_is_allowed_fits_into_the_memory_that_is(pool: decoders.Decoders) -> None:
    """A palette with a transparent colour, laid over white and turned, in the most pixels there may be."""
    side = 6_324
    image = Image.new("P", (side, side))
    image.putpalette([255, 0, 0] * 256)
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    image.save(file, "PNG", transparency=3, exif=exif, compress_level=1)
    assert decoders.decode_picture(file.getvalue()).shape == (side, side, 3)


@pytest.mark.thorough
def test_every_process_makes_room_for_another_after_a_while(
    pool: decoders.Decoders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoders, "PICTURES_EACH", 2)
    for _ in range(3):
        decoders.decode_picture(drawn())
    assert [each.pictures for each in pool._idle] == [1]


def test_threads_share_a_few_processes(pool: decoders.Decoders) -> None:
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: decoders.decode_picture(drawn()), range(40)))
    assert all(np.array_equal(each, found[0]) for each in found)
    assert 1 <= len(pool._idle) <= 2
    assert sum(each.pictures for each in pool._idle) == 40


def test_callers_do_not_wait_for_ever_for_a_free_process(
    pool: decoders.Decoders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoders, "WAIT_S", 0.01)
    with pool._place(), pool._place(), pytest.raises(Unavailable, match="busy"):
        decoders.decode_picture(drawn())


def test_where_no_process_can_be_started_it_is_the_platforms_fault(
    pool: decoders.Decoders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoders, "wrapped", lambda _command, _folders: ["/nowhere/python"])
    with pytest.raises(Unavailable, match="cannot be started"):
        decoders.decode_picture(drawn())
    monkeypatch.setattr(decoders, "wrapped", lambda _command, _folders: ["/bin/false"])
    with pytest.raises(Unavailable, match="did not start"):
        decoders.decode_picture(drawn())


def test_a_forked_process_has_decoders_of_its_own() -> None:
    decoders.decode_picture(drawn())
    mine = decoders.decoders()
    pid = os.fork()
    if pid == 0:
        right = decoders.decoders() is not mine and decoders.decode_picture(drawn()).shape == (30, 40, 3)
        decoders.decoders().end()
        os._exit(0 if right else 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert decoders.decode_picture(drawn()).shape == (30, 40, 3)


@pytest.mark.thorough
def test_no_process_outlives_its_owner() -> None:
    """Which is killed, and can end nothing."""
    script = (
        f"import os, sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from storage import decoders\n"
        f"decoders.decode_picture(bytes.fromhex('{drawn().hex()}'))\n"
        "print(decoders.decoders()._idle[0]._process.pid, flush=True); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=100, check=False)
    pid = int(done.stdout)
    deadline = time.monotonic() + 30
    while Path(f"/proc/{pid}").exists() and Path(f"/proc/{pid}/stat").read_text().split()[2] not in "ZX":
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("wrapped", [False, True])
def test_within_the_process_there_is_nothing_to_reach(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrapped: bool
) -> None:
    """What native code that is taken over could do: the interpreter's own refusal is not in its way."""
    if wrapped and bubblewrap._program() is None:
        pytest.skip("bubblewrap is not there, or not permitted to work")
    if not wrapped:
        monkeypatch.setattr(bubblewrap, "_program", lambda: None)
    script = (
        f"import json, os, sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from sandbox import lockdown\n"
        "apart = lockdown.leave_network(); lockdown.limit_all(1 << 30, 0)\n"
        "import socket\n"
        "reached = socket.socket().connect_ex(('127.0.0.1', int(sys.argv[1]))) == 0\n"
        "seen = [p for p in ('/root/.ssh', '/proc/1', *sys.argv[2:]) if os.path.exists(p)]\n"
        "print(json.dumps([apart, reached, seen, dict(os.environ)]))"
    )
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        foreign = tmp_path / "another's"
        foreign.touch()
        arguments = [
            str(listener.getsockname()[1]),
            str(ROOT / "pyproject.toml"),
            str(tmp_path / "another's"),
        ]
        command = [sys.executable, "-I", "-S", "-c", script, *arguments]
        folders = [ROOT / "sandbox"]
        done = subprocess.run(
            bubblewrap.wrapped(command, folders), env={}, capture_output=True, timeout=60, check=True
        )
    apart, reached, seen, environment = json.loads(done.stdout)
    assert not (reached and (apart or wrapped))
    assert set(environment) <= {"LC_CTYPE", "PWD"}
    if wrapped:
        assert seen == []


def test_nothing_in_api_and_workers_opens_pictures_itself() -> None:
    """They import the three functions from storage/decoders.py."""
    for path in (*ROOT.glob("api/**/*.py"), *ROOT.glob("workers/**/*.py")):
        text = path.read_text()
        assert "Image.open" not in text, path
        for line in text.splitlines():
            if line.startswith(("from storage.masks", "from storage.pictures")):
                assert not {"decode_picture", "decode_mask", "inspect_picture"} & set(
                    line.replace(",", " ").split()
                ), path


def test_the_ways_to_read_are_three() -> None:
    assert sorted(decoding.WAYS) == ["inspect", "mask", "picture"]
