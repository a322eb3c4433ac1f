"""What goes wrong in the harness itself; the runtime's own errors are fedge's."""

from fedge.errors import FedgeError


class EmulationError(FedgeError):
    """A download, a build or an emulated board failed; the message says what to look at."""

    exit_code = 12


class ProgramError(EmulationError):
    """A program of this machine failed.

    Attributes:
        said: everything it printed; the message has the end of it.
    """

    def __init__(self, called: str, code: int, said: str) -> None:
        self.said = said
        end = "\n".join(said.strip().splitlines()[-15:])
        super().__init__(f"`{called} ...` failed with {code}:\n{end}")


class ArchiveError(EmulationError):
    """An archive does not deliver what its own lists name, or does not answer.

    Nothing on this machine can fix that, so callers continue without it if they can; the exit code
    distinguishes it from all other failures.

    Attributes:
        what: the release that was asked for.
        reason: what the archive answered, in a few words.
    """

    exit_code = 13

    def __init__(self, what: str, reason: str) -> None:
        self.what, self.reason = what, reason
        super().__init__(f"unavailable: {what}: {reason}")
