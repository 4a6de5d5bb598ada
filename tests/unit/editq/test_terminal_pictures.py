"""Pictures in terminals: by which protocol, and that what is sent holds the picture."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from editq.terminal_pictures import protocol_of, show_picture

PIXELS = np.random.default_rng(0).integers(0, 255, (32, 32, 3), dtype=np.uint8)


@pytest.fixture
def png():
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, "PNG")
    return buffer.getvalue()


def sent(png, environ, *, terminal=True):
    out = io.StringIO()
    console = Console(
        file=out, force_terminal=terminal, color_system="truecolor" if terminal else None, width=80
    )
    show_picture(console, png, environ)
    return out.getvalue()


def same(data):
    shown = np.asarray(Image.open(io.BytesIO(data)))
    return np.array_equal(shown[::8, ::8], PIXELS) and shown.shape == (256, 256, 3)


def test_a_terminal_is_known_by_what_it_says_of_itself():
    assert protocol_of({"TERM": "xterm-kitty"}) == protocol_of({"KITTY_WINDOW_ID": "1"}) == "kitty"
    assert protocol_of({"TERM_PROGRAM": "iTerm.app"}) == protocol_of({"TERM_PROGRAM": "WezTerm"}) == "iterm2"
    assert protocol_of({"TERM": "xterm-256color"}) == protocol_of({}) == "blocks"
    assert protocol_of({"KITTY_WINDOW_ID": "1", "TMUX": "/tmp/x"}) == "blocks"


def test_kitty_is_sent_the_picture_in_pieces(png):
    text = sent(png, {"TERM": "xterm-kitty"})
    pieces = re.findall(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\", text)
    assert pieces[0][0] == "a=T,f=100,m=1"
    assert {head for head, _ in pieces[1:-1]} <= {"m=1"}
    assert pieces[-1][0] == "m=0"
    assert max(len(data) for _, data in pieces) <= 4096
    assert same(base64.b64decode("".join(data for _, data in pieces)))


def test_iterm_is_sent_the_picture_whole(png):
    found = re.fullmatch(
        r"\x1b]1337;File=inline=1;size=(\d+):([^\x07]*)\x07\n", sent(png, {"TERM_PROGRAM": "iTerm.app"})
    )
    data = base64.b64decode(found[2])
    assert len(data) == int(found[1])
    assert same(data)


def test_any_other_terminal_is_sent_two_pixels_to_a_character(png):
    text = sent(png, {"TERM": "xterm-256color"})
    assert text.count("▀") == 32 * 16
    red, green, blue = PIXELS[0, 0]
    assert f"38;2;{red};{green};{blue}" in text


def test_a_file_is_sent_nothing(png):
    assert sent(png, {"TERM": "xterm-kitty"}, terminal=False) == ""
