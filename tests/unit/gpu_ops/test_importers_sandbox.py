"""What the reading process can do: read its input, compute within limits, and write its output. No more."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import torch

import gpu_ops
from gpu_ops.importers import sandbox
from gpu_ops.importers.limits import Limits
from gpu_ops.importers.refusals import BY_CODE, CheckpointRefused, DamagedFile, SandboxUnavailable
from sandbox import bubblewrap, lockdown

ROOT = Path(gpu_ops.__path__[0]).parent


def locked(code: str, *, before: str = "", network: bool = True) -> str:
    """Run code in a process that has given up what the reading process gives up, and return what it says."""
    script = f"""
import sys
sys.path.append({str(ROOT)!r})
import os, socket, subprocess, ctypes, importlib
from sandbox import bubblewrap, lockdown
{before}
isolated = lockdown.leave_network()
lockdown.limit(512 << 20, 60, 1 << 16)
{"lockdown.refuse_everything()" if network else ""}
try:
    said = None
    {code}
except BaseException as error:
    said = f"{{type(error).__name__}}: {{error}}"
os.write(1, str(said).encode())
os._exit(0)
"""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", script], capture_output=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


@pytest.mark.parametrize(
    ("code", "event"),
    [
        ("open('/etc/hostname')", "open"),
        ("os.open('/etc/hostname', os.O_RDONLY)", "open"),
        ("os.listdir('/')", "os.listdir"),
        ("os.remove('/nowhere')", "os.remove"),
        ("os.rename('/nowhere', '/elsewhere')", "os.rename"),
        ("os.mkdir('/nowhere/x')", "os.mkdir"),
        ("os.system('true')", "os.system"),
        ("os.fork()", "os.fork"),
        ("os.execv('/bin/true', ['true'])", "os.exec"),
        ("os.posix_spawn('/bin/true', ['true'], {})", "os.posix_spawn"),
        ("os.kill(os.getppid(), 0)", "os.kill"),
        ("os.putenv('A', 'b')", "os.putenv"),
        ("subprocess.Popen(['true'])", "subprocess.Popen"),
        ("socket.socket()", "socket.__new__"),
        ("socket.gethostbyname('localhost')", "import"),  # of the encoding of names
        ("import colorsys", "import"),
        ("importlib.import_module('wave')", "open"),  # the module's file
        ("eval('1')", "compile"),
        ("exec('1')", "compile"),
        ("ctypes.CDLL(None)", "ctypes.dlopen"),
        ("ctypes.string_at(0, 1)", "ctypes.string_at"),
        ("sys.addaudithook(print)", "sys.addaudithook"),
        ("sys.settrace(print)", "sys.settrace"),
        ("sys._getframe()", "sys._getframe"),
    ],
)
def test_the_interpreter_refuses(code: str, event: str) -> None:
    assert locked(code) == f"NotAllowed: {event}"


def test_what_is_refused_cannot_be_caught_as_an_ordinary_error() -> None:
    assert not issubclass(lockdown.NotAllowed, Exception)


def test_there_is_no_network_even_without_the_interpreters_refusal() -> None:
    """A listener on loopback, which a process in the same network could reach."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        socket.create_connection(("127.0.0.1", port), timeout=10).close()
        connect = f"said = (isolated, socket.socket().connect_ex(('127.0.0.1', {port})))"
        said = locked(connect, network=False)
    if said == "(False, 0)":
        pytest.skip("this system permits no network namespaces: the interpreter's refusal stands alone")
    assert said.startswith("(True, ")
    assert said != "(True, 0)"


def test_memory_is_limited() -> None:
    assert locked("bytearray(1 << 30)").startswith("MemoryError")


def test_what_is_written_is_limited() -> None:
    before = "import tempfile; file = tempfile.TemporaryFile()"
    said = locked("while True: os.write(file.fileno(), bytes(1 << 15))", before=before)
    assert said.startswith("OSError: [Errno 27]")


def test_the_reader_uses_the_standard_library_alone() -> None:
    """So that none of the weight, and none of the faults, of other packages are within reach of a file."""
    script = f"""
import sys
sys.path.append({str(ROOT)!r})
import gpu_ops.importers.reader.entry
names = {{name.partition(".")[0] for name in sys.modules}}
print(*sorted(names - set(sys.stdlib_module_names) - {{"__main__"}}))
"""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script], capture_output=True, timeout=100, check=True
    )
    assert done.stdout.split() == [b"gpu_ops", b"sandbox"]


def saved(folder: Path) -> Path:
    torch.save({"g_ema": {"a": torch.ones(3)}}, folder / "a.pt")
    return folder / "a.pt"


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without bubblewrap, in which a script in another folder would not be there at all."""
    monkeypatch.setattr(bubblewrap, "_program", lambda: None)


@pytest.mark.usefixtures("bare")
def test_the_process_gets_neither_environment_nor_descriptors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The entry is replaced by a script that tells what it has."""
    monkeypatch.setenv("EDITQ_S3_SECRET_KEY", "secret")
    script = tmp_path / "tell.py"
    script.write_text(
        "import json, os\n"
        "links = {name: os.readlink(f'/proc/self/fd/{name}') for name in os.listdir('/proc/self/fd')"
        " if os.path.exists(f'/proc/self/fd/{name}')}\n"
        "said = {'code': 'damaged_file', 'message': json.dumps([dict(os.environ), links, os.getcwd()])}\n"
        "os.write(1, json.dumps(said).encode())\n"
    )
    monkeypatch.setattr(sandbox.entry, "arguments", lambda limits, tensors: ["-I", "-S", str(script)])
    path = saved(tmp_path)
    with path.open("rb") as mine:
        os.set_inheritable(mine.fileno(), True)
        with pytest.raises(DamagedFile) as refusal:
            sandbox.read_checkpoint(path)
    environment, links, folder = json.loads(str(refusal.value).removeprefix("a.pt: "))
    assert "EDITQ_S3_SECRET_KEY" not in environment
    assert folder == "/"
    kinds = sorted(Path(link).name for link in links.values())
    assert kinds == ["a.pt", "null", "tensors", "verdict"]


@pytest.mark.parametrize(
    ("script", "error", "says"),
    [
        ("", SandboxUnavailable, "said nothing"),
        ("import sys; sys.exit(3)", SandboxUnavailable, "status 3"),
        ("import os; os.kill(os.getpid(), 11)", DamagedFile, "SIGSEGV"),
        ("print('{}')", DamagedFile, "left no tensors"),
        ("print('[1]')", DamagedFile, "verdict"),
        ("print('not json')", DamagedFile, "verdict"),
        ("print('[' * 60000)", DamagedFile, "verdict"),
        ('print(\'{"code": "nonsense", "message": 3}\')', DamagedFile, "a.pt: 3"),
        ("print('x' * 100000)", DamagedFile, "verdict"),
    ],
)
def test_what_the_process_says_is_not_believed_blindly(
    script: str, error: type, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox.entry, "arguments", lambda limits, tensors: ["-I", "-S", "-c", script])
    with pytest.raises(error, match=says):
        sandbox.read_checkpoint(saved(tmp_path))


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"contents": "nothing"},
        {"contents": "[]"},
        {"contents": '{"format": "g_ema", "facts": {}}'},
        {"contents": '{"format": "g_ema", "facts": {}, "views": {"b": [[1], [1]]}}'},
        {"contents": '{"format": "g_ema", "facts": {}, "views": {"a": [[4], [1]]}}'},
        {"contents": '{"format": "g_ema", "facts": {}, "views": {"a": [[2], [-1]]}}'},
        {"contents": '{"format": "g_ema", "facts": {}, "views": {"a": [[-1], [1]]}}'},
        {"contents": '{"format": "g_ema", "facts": {}, "views": {"a": [[1099511627776], [0]]}}'},
        {"contents": '{"format": "g_ema", "facts": {}, "views": {"a": [["x"], [0]]}}'},
        {"contents": '{"format": "g_ema", "facts": {}, "views": {"a": [[1, 1], [0]]}}'},
    ],
)
def test_views_that_leave_their_numbers_are_refused(
    metadata: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors.torch import save

    (tmp_path / "said").write_bytes(save({"a": torch.ones(3)}, metadata))
    script = "import os, sys; os.write(int(sys.argv[1]), open(sys.argv[2], 'rb').read()); print('{}')"
    monkeypatch.setattr(
        sandbox.entry,
        "arguments",
        lambda limits, tensors: ["-I", "-S", "-c", script, str(tensors), str(tmp_path / "said")],
    )
    with pytest.raises(DamagedFile, match="left no tensors"):
        sandbox.read_checkpoint(saved(tmp_path))


@pytest.mark.usefixtures("bare")
def test_a_process_that_hangs_is_ended_with_all_that_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = tmp_path / "pid"
    script = (
        "import os, time\n"
        "child = os.fork()\n"
        f"child and open({str(started)!r}, 'w').write(str(child))\n"
        "time.sleep(600)\n"
    )
    monkeypatch.setattr(sandbox.entry, "arguments", lambda limits, tensors: ["-I", "-S", "-c", script])
    for time_s in (2.0, 8.0, 32.0):  # a busy machine may take longer to come to the fork
        with pytest.raises(CheckpointRefused, match=f"longer than {time_s:g} s"):
            sandbox.read_checkpoint(saved(tmp_path), Limits(time_s=time_s))
        if started.exists() and started.read_text():
            break
    deadline = time.monotonic() + 60
    while alive(int(started.read_text())):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_temporary_files_go_with_the_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    checkpoint = sandbox.read_checkpoint(path)
    assert torch.equal(checkpoint.tensors["a"], torch.ones(3))
    assert checkpoint.network in ("absent", "refused")
    assert not list((tmp_path / "temporary").iterdir())


@pytest.mark.usefixtures("bare")
def test_an_interpreter_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path)
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(SandboxUnavailable, match="cannot be started"):
        sandbox.read_checkpoint(path)


def test_every_refusal_has_a_code() -> None:
    assert len(BY_CODE) == 7
    assert all(code == kind.code for code, kind in BY_CODE.items())
