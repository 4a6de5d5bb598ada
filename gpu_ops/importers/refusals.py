"""Why a file is not imported. Standard library only: the reading process uses these too.

CheckpointRefused (WeightsError)    code
├── UnknownFormat         unknown_format       no kind of file that is read here
├── DamagedFile           damaged_file         it ends early, or contradicts itself
├── ForbiddenContent      forbidden_content    it names code, or has what no checkpoint needs
├── LimitExceeded         limit_exceeded       it takes more memory, time or room than is allowed
├── LayoutMismatch        layout_mismatch      a tensor is missing, unknown, or of another shape or kind
├── UnsupportedNetwork    unsupported_network  a network of another build
└── SandboxUnavailable    sandbox_unavailable  the reading process could not be started
"""

from gpu_ops.errors import WeightsError

SHOWN = 80


class CheckpointRefused(WeightsError):
    """The root of this tree. Each message says what was found and what was expected."""

    code = "refused"


class UnknownFormat(CheckpointRefused):
    code = "unknown_format"


class DamagedFile(CheckpointRefused):
    code = "damaged_file"


class ForbiddenContent(CheckpointRefused):
    code = "forbidden_content"


class LimitExceeded(CheckpointRefused):
    code = "limit_exceeded"


class LayoutMismatch(CheckpointRefused):
    code = "layout_mismatch"


class UnsupportedNetwork(CheckpointRefused):
    code = "unsupported_network"


class SandboxUnavailable(CheckpointRefused):
    code = "sandbox_unavailable"


BY_CODE: dict[str, type[CheckpointRefused]] = {kind.code: kind for kind in CheckpointRefused.__subclasses__()}


def shown(value: object) -> str:
    """A value of a file, fit for a message: short, printable, and never walked into."""
    if isinstance(value, str):
        return ascii(value[:SHOWN] + "..." if len(value) > SHOWN else value)
    if value is None or isinstance(value, bool | float) or (isinstance(value, int) and abs(value) < 2**64):
        return repr(value)
    return f"a value of type {type(value).__name__}"
