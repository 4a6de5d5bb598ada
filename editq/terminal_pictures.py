"""Pictures in the terminal: by its own protocol where it has one, else two pixels to a character."""

import base64
import io
import os
from collections.abc import Iterator, Mapping
from typing import Literal

from PIL import Image
from rich.console import Console

from editq.live import half_blocks

Protocol = Literal["kitty", "iterm2", "blocks"]
_KITTY_PIECE = 4096  # of base64, in one escape sequence
_COLUMNS, _SMALLEST_PX = 64, 256


def protocol_of(environ: Mapping[str, str]) -> Protocol:
    """What the terminal says of itself. Multiplexers pass neither protocol on."""
    if environ.get("TMUX") or environ.get("TERM", "").startswith(("screen", "tmux")):
        return "blocks"
    program = environ.get("TERM_PROGRAM", "")
    if environ.get("KITTY_WINDOW_ID") or environ.get("TERM") == "xterm-kitty" or program == "ghostty":
        return "kitty"
    return "iterm2" if program in ("iTerm.app", "WezTerm") else "blocks"


def show_picture(console: Console, png: bytes, environ: Mapping[str, str] = os.environ) -> None:
    """Nothing where the output is no terminal."""
    if not console.is_terminal:
        return
    protocol = protocol_of(environ)
    with Image.open(io.BytesIO(png)) as picture:
        picture.load()
        if protocol == "blocks":
            if console.color_system is not None:
                console.print(half_blocks(picture, columns=min(_COLUMNS, console.width)), end="")
            return
        data = _enlarged(picture)
    sequence = "".join(_kitty(data)) if protocol == "kitty" else _iterm2(data)
    console.file.write(sequence + "\n")
    console.file.flush()


def _enlarged(picture: Image.Image) -> bytes:
    """As PNG; a model's small picture large enough to be looked at."""
    times = max(1, _SMALLEST_PX // max(picture.size))
    buffer = io.BytesIO()
    size = (picture.width * times, picture.height * times)
    picture.convert("RGB").resize(size, Image.Resampling.NEAREST).save(buffer, "PNG")
    return buffer.getvalue()


def _kitty(png: bytes) -> Iterator[str]:
    text = base64.b64encode(png).decode()
    for start in range(0, len(text), _KITTY_PIECE):
        more = int(start + _KITTY_PIECE < len(text))
        first = "a=T,f=100," if start == 0 else ""
        yield f"\x1b_G{first}m={more};{text[start : start + _KITTY_PIECE]}\x1b\\"


def _iterm2(png: bytes) -> str:
    return f"\x1b]1337;File=inline=1;size={len(png)}:{base64.b64encode(png).decode()}\x07"
