"""`python -m firmware_sim run`: a fleet of emulated and native devices, shown round by round."""

import argparse
import signal
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from fedge.cli.commands import write_json
from fedge.errors import ConfigError
from fedge.simulation.report import human
from firmware_sim.errors import EmulationError
from firmware_sim.fleet.members import read_members
from firmware_sim.fleet.options import FleetOptions
from firmware_sim.fleet.report import as_json
from firmware_sim.fleet.run import run as run_fleet
from firmware_sim.tiers.named import RUNNING

_FLEET = "zero2w:2,pi4:1,host:1"
_MOST_TOLD = 20  # differences; all are in result.json

_COLUMNS = "{:>10}  {:<31}  {:>8}  {:>11}  {:>6}  {:>9}  {:>9}"
_HEAD = ("device", "runs on", "machine", "engine", "rounds", "payloads", "seconds*")


def configure(parser: argparse.ArgumentParser) -> None:
    """The flags; defaults are those of FleetOptions."""
    start = FleetOptions.__dataclass_fields__
    parser.epilog = (
        "The devices train together through a mosquitto on 127.0.0.1 and a real aggregator. Then "
        "the same fleet runs on this machine alone, fed the deltas the boards computed: payloads "
        "and models must be the same to the bit, or the exit code is not 0. `host` is this "
        "machine, which on an x86 machine can also be called x86. All files of a run go to --out."
    )
    add = parser.add_argument
    add("--boards", default=_FLEET, metavar="NAME:N,..", help="who takes part (%(default)s)")
    add("--rounds", type=_positive, default=start["rounds"].default, help="rounds (%(default)s)")
    add("--tier", choices=RUNNING, default=start["tier"].default, help="(%(default)s)")
    add(
        "--capped",
        action="store_true",
        help="no device may map more memory than its board has (64-bit boards on tier user)",
    )
    add("--data", type=Path, metavar="FILE.npz", help="your data instead of the digits")
    add("--codec", default=start["codec"].default, help="how updates are sent (%(default)s)")
    add(
        "--local-steps",
        type=_positive,
        metavar="N",
        help="steps a device takes in a round (as many as in fedge demo)",
    )
    add("--seed", type=int, default=start["seed"].default, help="of split, model and sampling")
    add(
        "--patience",
        type=float,
        default=start["patience_s"].default,
        metavar="S",
        help="seconds without news before the run is given up (%(default)s)",
    )
    add("--out", type=Path, metavar="DIR", help="folder of this run (fedge-boards/DATE-TIME)")


def run(args: argparse.Namespace) -> int:
    """Run, compare, report."""
    options = _options(args)
    signal.signal(signal.SIGTERM, _interrupt)
    _tell(f"writing everything to {options.folder}")
    events = []
    for event in run_fleet(options, _tell):
        events.append(event)
        _show(event, options)
    result = as_json(options, events)
    write_json(options.folder / "result.json", result)
    write_json(args.json, result)
    _summary(result)
    return _verdict(result["check"])


def _options(args: argparse.Namespace) -> FleetOptions:
    stamp = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
    folder: Path = args.out or Path("fedge-boards") / stamp
    if folder.exists() and any(folder.iterdir()):
        raise ConfigError(f"--out {folder} is not empty: name a new folder")
    return FleetOptions(
        folder=folder.resolve(),
        members=read_members(args.boards),
        rounds=args.rounds,
        tier=args.tier,
        is_capped=args.capped,
        data=args.data,
        codec=args.codec,
        local_steps=args.local_steps,
        seed=args.seed,
        patience_s=args.patience,
    )


def _show(event: dict[str, Any], options: FleetOptions) -> None:
    match event["event"]:
        case "waiting":
            _tell(f"waiting for devices: {event['online']} of {event['wait_for']}")
        case "round" if event["kind"] == "training":
            accuracy = event["accuracy"]
            _tell(
                f"round {event['round']} of {options.rounds}:"
                f" {event['devices_accepted']} updates, {human(event['uplink_bytes'])} up,"
                f" accuracy {'-' if accuracy is None else f'{accuracy:.2%}'},"
                f" {event['wall_s']:.1f} s of emulator time"
            )
        case "round":
            _tell("statistics: the model now has the fleet's means and spreads")
        case _:
            pass


def _summary(result: dict[str, Any]) -> None:
    """The table at the end."""
    print()
    print(_COLUMNS.format(*_HEAD))
    for name, row in result["devices"].items():
        wall_s = row.get("emulator_wall_s", row.get("wall_s"))
        print(
            _COLUMNS.format(
                name,
                row["title"],
                row["machine"],
                row["engine"],
                row["rounds_trained"],
                human(sum(row["payload_bytes"])),
                f"{wall_s:.1f}",
            )
        )
    print("* from the start until the device finished; emulator time, not board time")
    accuracy = result["accuracy"]
    print(f"test accuracy {'-' if accuracy is None else f'{accuracy:.2%}'}", end=", ")
    print(f"model {result['model_sha256'][:16]}")


def _verdict(check: dict[str, Any]) -> int:
    """The exit code; differences go to stderr, with device, round and byte."""
    differences = check["differences"]
    what = (
        f"{check['n_payloads']} payloads ({human(check['payload_bytes'])}) with their residuals"
        f" and {check['n_models']} models"
    )
    if not differences:
        print(f"checked: {what} have the same bits as an all-native fleet's")
        return 0
    for line in differences[:_MOST_TOLD]:
        print(line, file=sys.stderr)
    print(f"FAILED: of {what}, {len(differences)} differ", file=sys.stderr)
    return EmulationError.exit_code


def _tell(line: str) -> None:
    print(line, flush=True)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more, found {number}")
    return number
