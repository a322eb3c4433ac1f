"""`fedge check`: is this artifact whole, and is its gradient right?"""

import argparse
from dataclasses import asdict
from pathlib import Path

from fedge.artifact import load_artifact
from fedge.build import SlotCheck, check_artifact
from fedge.cli.commands import write_json
from fedge.errors import ArtifactError

HELP = "verify an artifact: hashes, shapes, gradient"


def configure(parser: argparse.ArgumentParser) -> None:
    """The artifact and the dice."""
    parser.epilog = (
        "Reads the file (sizes, hashes), loads its graphs, and compares the gradient of every "
        "parameter with the slope of the loss on one batch of random examples, in float32, within "
        "2 %. Exit code 4 if anything is wrong."
    )
    parser.add_argument("artifact", type=Path, metavar="OUT.fedge")
    parser.add_argument("--seed", type=int, default=0, help="of the examples (%(default)s)")


def run(args: argparse.Namespace) -> int:
    """Check, and print a line for each parameter."""
    artifact = load_artifact(args.artifact)
    report = check_artifact(artifact, seed=args.seed)
    for slot in report.slots:
        print(_line(slot))
    print(f"loss {report.loss:.6g}, gradient norm {report.gradient_norm:.6g}")
    print(f"scores of training and of inference agree within {report.inference_error:.1e}")
    print(f"{args.artifact}: {'right' if report.is_right else 'WRONG'}, SHA-256 {artifact.sha256}")
    found = {"is_right": report.is_right, "sha256": artifact.sha256, **asdict(report)}
    write_json(args.json, found)
    return 0 if report.is_right else ArtifactError.exit_code


def _line(slot: SlotCheck) -> str:
    verdict = "right" if slot.is_right else "WRONG"
    return f"{verdict}  slope {slot.measured:+.4e}  gradient {slot.claimed:+.4e}  {slot.name}"
