"""`python -m firmware_sim scenario`: faults on whole emulated systems, and whether claims hold."""

import argparse
import sys
from datetime import datetime
from pathlib import Path

from fedge.cli.commands import write_json
from fedge.errors import ConfigError
from fedge.setting import default_of
from fedge.training.plan import Plan
from firmware_sim.scenario.outcome import Outcome
from firmware_sim.scenario.plan import find, known
from firmware_sim.scenario.player import play


def configure(parser: argparse.ArgumentParser) -> None:
    """The flags."""
    parser.epilog = (
        "A scenario is a TOML file; those that come with the harness have names. It is played on "
        "a whole emulated system with a mosquitto and a real aggregator on 127.0.0.1. The exit "
        "code is 1 if a claim does not hold. All files of a run go to --out."
    )
    parser.add_argument("names", nargs="*", metavar="NAME|FILE.toml", help="which; all if none")
    parser.add_argument("--list", action="store_true", help="list the scenarios and exit")
    parser.add_argument(
        "--seed",
        type=int,
        default=default_of(Plan, "seed"),
        help="of everything drawn at random (%(default)s)",
    )
    parser.add_argument(
        "--tier", choices=["system"], default="system", help="faults need a whole system"
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="folder of this run (fedge-scenarios/DATE-TIME)"
    )


def run(args: argparse.Namespace) -> int:
    """Play the scenarios, and report which claims hold."""
    if args.list:
        for name in known():
            print(f"{name:16}  {find(name).title}")
        return 0
    chosen = {name: find(name) for name in args.names or known()}  # read all before playing any
    out = args.out or Path("fedge-scenarios") / datetime.now().strftime("%Y%m%d-%H%M%S")  # noqa: DTZ005 - for people
    if out.exists():
        raise ConfigError(f"{out} exists already: give another --out")
    outcomes: list[Outcome] = []
    for name, scenario in chosen.items():
        print(f"{name}: {scenario.title}", flush=True)
        folder = out / Path(name).stem
        folder.mkdir(parents=True)
        outcomes.append(play(Path(name).stem, scenario, folder, args.seed, _tell))
        _show(outcomes[-1], scenario.claim)
    write_json(args.json, [one.to_json() for one in outcomes])
    return 0 if all(one.is_as_claimed for one in outcomes) else 1


def _show(outcome: Outcome, claim: str) -> None:
    if outcome.is_as_claimed:
        print(f"  holds, in {outcome.wall_s:.0f} s: {claim}", flush=True)
        return
    print(f"  DOES NOT HOLD: {claim}")
    for fault in outcome.faults:
        print(f"  {fault}", flush=True)


def _tell(line: str) -> None:
    print(f"  {line}", file=sys.stderr, flush=True)
