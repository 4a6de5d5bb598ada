"""The reading process: a file on standard input, the verdict on standard output, tensors on a descriptor.

Started by gpu_ops/importers/sandbox.py with `python -I -S`, the descriptor's number and the limits as JSON.
Uses the standard library alone. It gives up what it can (sandbox/lockdown.py) before the first byte.
"""

import json
import mmap
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO

if __name__ == "__main__":  # -I leaves even this file's own folder out of the path
    sys.path.append(str(Path(__file__).resolve().parents[3]))

from gpu_ops.importers.limits import Limits
from gpu_ops.importers.reader.recognise import read_contents
from gpu_ops.importers.reader.write import write_contents
from gpu_ops.importers.refusals import CheckpointRefused, DamagedFile, ForbiddenContent, LimitExceeded
from sandbox import lockdown

HEADER_BYTES = 64 << 20
OWN_BYTES = 64 << 20  # what the interpreter takes itself


def arguments(limits: Limits, tensors: int) -> list[str]:
    """What follows the interpreter on the command line."""
    return ["-I", "-S", "-B", str(Path(__file__).resolve()), str(tensors), json.dumps(asdict(limits))]


def main(tensors: int, limits: Limits) -> None:
    file = os.fdopen(0, "rb")
    size = os.fstat(0).st_size
    data = memoryview(mmap.mmap(0, size, access=mmap.ACCESS_READ))
    "".encode("cp437")  # loads what names within zip files need
    isolated = lockdown.leave_network()
    lockdown.limit(size + limits.memory_bytes + OWN_BYTES, limits.cpu_s, limits.tensor_bytes + HEADER_BYTES)
    mib = limits.memory_bytes >> 20
    out_of_memory = said(LimitExceeded(f"reading takes more than {mib} MiB of memory beside the file itself"))
    lockdown.refuse_everything()
    refusal = refused(file, data, tensors, limits)
    if refusal is None:
        verdict = json.dumps({"network": "absent" if isolated else "refused"}).encode()
    else:
        verdict = out_of_memory if isinstance(refusal, MemoryError) else said(refusal)
    os.write(1, verdict)


def refused(
    file: BinaryIO, data: memoryview, tensors: int, limits: Limits
) -> CheckpointRefused | MemoryError | None:
    """Read the file and write what it holds; what it is refused for, or None."""
    try:
        write_contents(tensors, read_contents(file, data, limits))
    except CheckpointRefused as refusal:
        return refusal
    except MemoryError:
        return MemoryError()  # a new one: this one holds on to all that took the memory
    except OSError as error:  # the file of tensors is too large, or the disk is full
        return LimitExceeded(f"the tensors cannot be written: {error.strerror}")
    except lockdown.NotAllowed as event:
        return ForbiddenContent(f"reading the file asked for {event}, which is not allowed here")
    except Exception as error:  # noqa: BLE001  a file may not end its reader without a verdict
        return DamagedFile(f"the file cannot be read: {type(error).__name__}")
    return None


def said(refusal: CheckpointRefused) -> bytes:
    return json.dumps({"code": refusal.code, "message": str(refusal)}).encode()


if __name__ == "__main__":
    status = 70
    try:
        main(int(sys.argv[1]), Limits(**json.loads(sys.argv[2])))
        status = 0
    finally:
        os._exit(status)  # no shutdown code, which could be refused what it wants
