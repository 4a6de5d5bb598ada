"""Bytes and JSON with faults put into them, by dice: the same seed makes the same inputs."""

import copy
import json
import random
import struct
import zlib
from typing import Any

STRANGE: tuple[Any, ...] = (
    *(None, True, -1, 0, 10**9, 2**70, 1e308, -0.5, "", "cars", "\0", "../../etc", "a" * 5000, "é", "\ud800"),
    *([], {}, [[]], [{"op": "scale"}], {"op": "scale", "part": "wheel", "factor": 2}, "0" * 32, "1e999"),
)
PNG = b"\x89PNG\r\n\x1a\n"


def strange(dice: random.Random) -> Any:
    """One of them, and a copy: what is put into a value may be changed there."""
    return copy.deepcopy(dice.choice(STRANGE))


def damaged(dice: random.Random, data: bytes, *, after: int = 0) -> bytes:
    """One to eight faults behind the first `after` bytes: cut, changed, a piece doubled or gone."""
    file = bytearray(data)
    for _ in range(dice.randint(1, 8)):
        if len(file) <= after:
            break
        at = dice.randrange(after, len(file))
        match dice.randrange(6):
            case 0 if dice.random() < 0.3:
                del file[at:]
            case 1:
                file[at] = dice.randrange(256)
            case 2:
                file[at:at] = file[at : at + dice.randint(1, 64)]
            case 3:
                file[at : at + 4] = dice.randbytes(4)
            case 4:
                del file[at : at + dice.randint(1, 32)]
            case _:
                file[at : at + 4] = dice.choice((b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff"))
    return bytes(file)


def with_sums(data: bytes) -> bytes:
    """A PNG whose chunks have the check sums that they should have, so that what is inside is read."""
    if not data.startswith(PNG):
        return data
    found, at = [PNG], len(PNG)
    while at + 12 <= len(data):
        (size,) = struct.unpack_from(">I", data, at)
        body = data[at + 4 : at + 8 + size]
        found.append(struct.pack(">I", size) + body + struct.pack(">I", zlib.crc32(body)))
        at += 12 + size
    return b"".join(found) + data[at:]


def changed(dice: random.Random, value: Any) -> Any:
    """A JSON value with one to three members gone, added, or made strange, however deep they are."""
    found = json.loads(json.dumps(value))
    for _ in range(dice.randint(1, 3)):
        spot = found
        while isinstance(spot, dict | list) and spot:
            name = dice.choice(list(spot)) if isinstance(spot, dict) else dice.randrange(len(spot))
            if isinstance(spot[name], dict | list) and spot[name] and dice.random() < 0.7:
                spot = spot[name]
                continue
            if dice.random() < 0.2:
                del spot[name]
            elif isinstance(spot, dict) and dice.random() < 0.2:
                spot[dice.choice(("extra", "steps", "n", "error"))] = strange(dice)
            else:
                spot[name] = strange(dice)
            break
    return found
