"""Every error fedge raises on purpose; docs/errors.md says what to do about each one.

Each kind has an exit code of its own, which a command that fails with it ends with:

    FedgeError                     exit code 1
    +-- ConfigError                2   a setting, flag or file the user wrote is wrong
    +-- PayloadError               3   bytes from another process cannot be decoded
    +-- ArtifactError              4   a .fedge file is corrupt, truncated or of another version
    +-- ModelError                 5   an ONNX model cannot be trained as it stands
    +-- DataError                  6   a data file has the wrong arrays, shapes or dtypes
    +-- TransportError             7   the broker is unreachable or refuses us
    +-- StorageError               8   the state directory is full, locked or damaged
    +-- IdentityError              9   another device is using this one's id
    +-- TrainingError              10  a loss or gradient is not finite
    +-- MissingDependencyError     11  an optional package is needed but not installed
"""

from fedge.text import line


class FedgeError(Exception):
    """Base class: catch this to catch everything fedge raises on purpose."""

    exit_code = 1


class ConfigError(FedgeError):
    """A setting is missing, unknown or out of range."""

    exit_code = 2


class _RefusalError(FedgeError):
    """Something from outside was checked and refused.

    Attributes:
        what: the thing that was looked at.
        expected: what it had to be.
        found: what it is.
    """

    def __init__(self, what: str, *, expected: object, found: object) -> None:
        self.what, self.expected, self.found = what, expected, found
        parts = (_short(str(part)) for part in (what, expected, found))
        super().__init__("{}: expected {}, found {}".format(*parts))


def _short(text: str) -> str:
    """As much as fits on a log line, whatever names a file from outside contains."""
    return line(text if len(text) <= 300 else f"{text[:300]}...")


class PayloadError(_RefusalError):
    """Bytes from outside cannot be decoded; the sender or the link is at fault."""

    exit_code = 3


class ArtifactError(_RefusalError):
    """A `.fedge` file is corrupt, truncated, or made by another version."""

    exit_code = 4


class ModelError(FedgeError):
    """An ONNX model cannot be trained; the message names the node, its operator, and a remedy."""

    exit_code = 5


class DataError(_RefusalError):
    """A data file does not hold what the model needs."""

    exit_code = 6


class TransportError(FedgeError):
    """The broker cannot be reached or refuses the connection."""

    exit_code = 7


class StorageError(FedgeError):
    """The state directory cannot be written: full, locked by another process, or damaged."""

    exit_code = 8


class IdentityError(FedgeError):
    """Another running device uses the same id."""

    exit_code = 9


class TrainingError(FedgeError):
    """Local training produced a loss or a gradient that is not finite."""

    exit_code = 10


class MissingDependencyError(FedgeError):
    """An optional package is needed; the message names the extra that installs it."""

    exit_code = 11
