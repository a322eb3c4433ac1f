"""The fleet that a scenario happens to: broker and aggregator here, one device on a board."""

import shutil
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from fedge.transport.broker import RunningBroker
from firmware_sim import host
from firmware_sim.errors import EmulationError
from firmware_sim.scenario.plan import Scenario
from firmware_sim.scenario.problem import BATCH, Problem, write_problem
from firmware_sim.tiers.base import Job

FLEET = "scenario"
DEVICE = "pi"
_POLL_S = 0.1
_DEVICE = {
    "fleet": FLEET,
    "job": FLEET,
    "id": DEVICE,
    "data": "data.npz",
    "state-dir": "state",
    "json": "report.json",
    "exit-when-finished": True,
}


class Stage:
    """Everything on this machine; leaving it as a context stops it.

    Args:
        scenario: what will happen.
        folder: for all files.
        seed: for data, model and training.

    Attributes:
        broker: None while it is stopped.
        aggregator: the same.
    """

    def __init__(self, scenario: Scenario, folder: Path, seed: int) -> None:
        self.scenario, self.folder, self.seed = scenario, folder, seed
        self.problem: Problem = write_problem(folder / "problem", scenario.hidden, seed)
        self.broker: RunningBroker | None = None
        self.aggregator: host.FedgeProcess | None = None

    @property
    def aggregator_folder(self) -> Path:
        return self.folder / "aggregator"

    def open(self, port: int = 0, *, wait_for: int = 1) -> int:
        """Start broker and aggregator, or restart them; returns the broker's port.

        Args:
            port: the broker's; 0 for a free one.
            wait_for: number of devices each round needs.
        """
        self.broker = host.broker(self.folder / "broker", port)
        flags: dict[str, object] = {
            "fleet": FLEET,
            "job": FLEET,
            "test-data": self.problem.test.resolve(),
            "rounds": self.scenario.rounds,
            "deadline-s": self.scenario.patience_s,
            "wait-for": wait_for,
            "quorum": wait_for,
            "local-steps": self.scenario.local_steps,
            "batch-size": BATCH,
            "seed": self.seed,
        }
        self.aggregator = host.aggregator(
            self.aggregator_folder, self.broker.url, self.problem.artifact, flags
        )
        return host.port_of(self.broker)

    def free_port(self) -> int:
        """A port that nobody listens on."""
        with socket.create_server(("127.0.0.1", 0)) as probe:
            return int(probe.getsockname()[1])

    def close(self) -> None:
        """Stop both; the aggregator's state stays in its folder."""
        if self.aggregator is not None:
            self.aggregator.stop()
        if self.broker is not None:
            self.broker.stop()
        self.aggregator = self.broker = None

    def device(
        self,
        name: str,
        flags: Mapping[str, object],
        *,
        before: Sequence[str] = ("-m", "fedge"),
        environment: Mapping[str, str] | None = None,
    ) -> Job:
        """`fedge device` as a job in its own folder, which contains its examples.

        Args:
            name: the folder's.
            flags: in addition to every device's flags.
            before: the arguments between `python3` and `device`.
            environment: the program's.
        """
        folder = self.folder / name
        folder.mkdir(parents=True)
        shutil.copy(self.problem.data, folder / "data.npz")
        given = [*before, "device", *host.words(self.flags(flags))]
        return Job(words=given, folder=folder, environment=environment or {})

    def flags(self, flags: Mapping[str, object]) -> dict[str, object]:
        """The flags of a device in this fleet."""
        return {**_DEVICE, **flags}

    def rounds(self) -> list[dict[str, Any]]:
        """The events of the rounds that have ended."""
        return [one for one in host.events(self.aggregator_folder) if one["event"] == "round"]

    def is_finished(self) -> bool:
        """Whether the aggregator has finished all rounds."""
        return any(one["event"] == "finished" for one in host.events(self.aggregator_folder))

    def await_(self, is_there: Callable[[], bool], what: str, until_s: float) -> None:
        """Wait until something is there.

        Raises:
            EmulationError: if it has not happened by `until_s` on the monotonic clock.
        """
        while not is_there():
            if time.monotonic() > until_s:
                raise EmulationError(f"{what}: did not happen in time; see {self.folder}")
            if self.aggregator is not None and (self.aggregator.exit_code or 0) != 0:
                raise EmulationError(f"the aggregator has failed; see {self.aggregator.log}")
            time.sleep(_POLL_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
