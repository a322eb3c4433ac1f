"""What goes wrong in the harness itself; the runtime's own errors are fedge's."""

from fedge.errors import FedgeError


class EmulationError(FedgeError):
    """A download, a build or an emulated board failed; the message says what to look at."""

    exit_code = 12
