"""A scenario: what happens to a device, and what is claimed about it. A checked TOML file."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import ClassVar, Literal

from fedge.config.fields import check
from fedge.config.settings import load
from fedge.errors import ConfigError
from fedge.setting import above, at_least, setting, within
from firmware_sim.boards import Board, board

_DATA = Path(__file__).with_name("data")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One file. Anything not set is left normal; `docs/arm.md` explains each setting."""

    section: ClassVar[str] = "scenario"

    title: str = setting(about="what happens, in a few words")
    claim: str = setting(about="what holds nevertheless")
    fault: Literal["none", "cuts", "pull", "move", "fill", "copies", "snapshots"] = setting(
        "none", about="what happens on the way"
    )
    board: str = setting("zero2w", about="on which board")
    rounds: int = setting(3, rule=within(1, 100), about="training rounds")
    hidden: int = setting(32, rule=within(1, 8192), about="units of each of two hidden layers")
    local_steps: int = setting(5, rule=within(1, 1000), about="local steps in a round")
    patience_s: float = setting(300.0, rule=above(0), about="time limit for the whole scenario")

    memory_mb: int | None = setting(None, rule=within(64, 3072), about="the board's memory")
    disk_mb: int | None = setting(None, rule=within(8, 4096), about="the device's disk")
    free_kb: int = setting(64, rule=within(0, 1 << 20), about="space left free on a full card")
    clock: str | None = setting(None, about="initial time of the board's clock, ISO 8601, UTC")
    tls: bool = setting(default=False, about="whether the connection to the broker uses TLS")
    delay_ms: float = setting(0.0, rule=within(0, 60_000), about="delay of each packet sent")
    jitter_ms: float = setting(0.0, rule=within(0, 60_000), about="variation of the delay")
    loss_percent: float = setting(0.0, rule=within(0, 99), about="packets lost")
    rate_kbit: float | None = setting(None, rule=above(0), about="rate of the link, each way")

    n_cuts: int = setting(20, rule=within(1, 1000), about="power cuts")
    n_controls: int = setting(3, rule=within(0, 100), about="cuts of a device that never flushes")
    after_round: int = setting(
        1, rule=at_least(1), about="rounds before the cable is pulled or the broker moves"
    )
    pulled_s: float = setting(60.0, rule=above(0), about="how long the cable is unplugged")

    exit_code: int = setting(0, rule=within(0, 255), about="the device's exit code")
    says: str = setting("", about="what its log contains at the end")
    lives: bool = setting(default=False, about="whether it keeps running after saying that")

    def __post_init__(self) -> None:
        check(self)
        board(self.board)
        self.clock_s()

    @property
    def on(self) -> Board:
        """The board itself."""
        return board(self.board)

    def clock_s(self) -> int | None:
        """Initial time of the clock, in seconds since 1970; None for the real time.

        Raises:
            ConfigError: if it is not a time.
        """
        if self.clock is None:
            return None
        try:
            return int(datetime.fromisoformat(f"{self.clock}+00:00").timestamp())
        except ValueError:
            raise ConfigError(
                f"clock: expected a time such as 2019-01-31T12:00:00, found {self.clock!r}"
            ) from None


def known() -> Mapping[str, Path]:
    """The scenarios that come with the harness, by name."""
    return {file.stem: file for file in sorted(_DATA.glob("*.toml"))}


def find(name: str) -> Scenario:
    """A scenario by name or by file.

    Raises:
        ConfigError: if there is none, or its file is not one.
    """
    file = known().get(name)
    if file is None and not name.endswith(".toml"):
        raise ConfigError(f"there is no scenario {name!r}: choose from {', '.join(known())}")
    return load(Scenario, file=file or Path(name), env={}, flags={})
