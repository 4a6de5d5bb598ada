"""Free TCP ports: the one wished for, or any."""

import contextlib
import socket


def listen(host: str, wished: int) -> socket.socket:
    """A listening socket on the wished port, or on a free one where that is taken."""
    with contextlib.suppress(OSError):
        return _listen(host, wished)
    return _listen(host, 0)


def free(host: str, wished: int) -> int:
    """A port that was free a moment ago."""
    with listen(host, wished) as probe:
        return port_of(probe)


def port_of(listener: socket.socket) -> int:
    port: int = listener.getsockname()[1]
    return port


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
    except OSError:
        listener.close()
        raise
    return listener
