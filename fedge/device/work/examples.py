"""The device's own examples: given by the host or in a file, and perhaps yet to come."""

from pathlib import Path

from fedge.config.device import DeviceConfig
from fedge.data import read_npz
from fedge.device.memory import making
from fedge.errors import ConfigError, DataError
from fedge.logs import logger
from fedge.training import ArrayData, DataSource
from fedge.training.holdout import Split

_log = logger(__name__)
_Stamp = tuple[int, int, int]  # changes whenever the file does


class Examples:
    """What a device trains on, once there is something to train on, and what it holds out.

    The examples that a file marks `is_test` are for evaluation only. A file is read once; if it
    does not exist yet, or has no examples to train on, it is read again when it has changed.

    Args:
        config: names the file.
        given: examples from the host instead.

    Raises:
        ConfigError: on construction, if there is neither, or the file cannot be read.
        DataError: on construction, if it does not hold examples of this device.
    """

    def __init__(self, config: DeviceConfig, given: DataSource | None = None) -> None:
        if given is None and config.data is None:
            raise ConfigError("a device needs examples: give --data FILE.npz")
        self._path, self._client = config.data, config.client
        self._found = None if given is None else Split(given)
        self._seen: _Stamp | None = None
        self._is_told = False
        if self._found is None:
            self._found = self._read()
        self._log_change()

    def get(self) -> Split:
        """The examples, and those that they mark as held out.

        Raises:
            DataError: if there are none yet, or the file no longer holds examples.
        """
        if self._found is None and self.has_news():
            self._found = self._read()
            self._log_change()
        if self._found is None or not self.are_there:
            found = "none yet" if self._found is not None else f"none yet in {self._path}"
            raise DataError("examples", expected="at least one", found=found)
        return self._found

    def has_news(self) -> bool:
        """Whether `get` may return something that it did not return last time."""
        if self._found is not None:
            return self.are_there
        return self._stamp() != self._seen

    @property
    def are_there(self) -> bool:
        """Whether there is something to train on."""
        return self._found is not None and self._found.training.n_examples > 0

    def _read(self) -> Split | None:
        assert self._path is not None  # noqa: S101 - otherwise the host has given some
        self._seen = self._stamp()
        if self._seen is None:
            return None
        with making(f"the examples in {self._path}"):
            found = read_npz(self._path)
            if not found.n_examples:
                return None
            own = found if self._client is None else found.of_client(self._client)
            training, held_out = ArrayData.of(own.train()), ArrayData.of(own.test())
        if not training.n_examples:
            return None
        return Split(training, held_out if held_out.n_examples else None)

    def _stamp(self) -> _Stamp | None:
        """The file's stamp; None if there is no file."""
        assert self._path is not None  # noqa: S101 - as above
        try:
            found = Path(self._path).stat()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ConfigError(f"cannot read {self._path}: {error.strerror}") from None
        return found.st_ino, found.st_size, found.st_mtime_ns

    def _log_change(self) -> None:
        """Log once that there are none, and once that they have arrived."""
        if self.are_there and self._is_told:
            _log.info("there are examples now")
        elif not self.are_there and not self._is_told:
            self._is_told = True
            where = self._path if self._found is None else "what the program gave"
            why = "there is no such file" if self._found is None and self._seen is None else "empty"
            _log.warning(
                "no examples yet in %s (%s): waiting for them, and skipping rounds", where, why
            )
