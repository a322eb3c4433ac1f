"""`fedge check`: is this artifact whole, and is its gradient right?"""

import argparse
import os
import sys
from dataclasses import asdict
from pathlib import Path

# NumPy's threads wait for each other over products as small as these: on two busy cores a check
# took 31 s of CPU time with two and 2.4 s with one. Its library reads this when it is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from fedge.artifact import load_artifact
from fedge.builder import CheckReport, SlotCheck, check_artifact
from fedge.cli.bench.common import tell
from fedge.cli.commands import write_json
from fedge.cli.screen import say
from fedge.errors import ArtifactError

_ROW = "{:7}  {:>12}  {:>12}  {:>12}  {}"


def configure(parser: argparse.ArgumentParser) -> None:
    """The artifact, and the seed of the examples."""
    parser.epilog = (
        "Reads the file (sizes, hashes), loads its graphs, and compares the gradient of every "
        "parameter with the slope of the loss, both in float64, to within 0.3 %; then compares "
        "what onnxruntime computes with both. Some examples are random, some have what real data "
        "has: zero backgrounds, constant rows, repeated values, padding. Exit code 4 if anything "
        "is wrong."
    )
    parser.add_argument("artifact", type=Path, metavar="OUT.fedge")
    parser.add_argument("--seed", type=int, default=0, help="seed of the examples (%(default)s)")


def run(args: argparse.Namespace) -> int:
    """Check, and print a line for each parameter."""
    artifact = load_artifact(args.artifact)
    is_terminal = sys.stderr.isatty()
    report = check_artifact(artifact, seed=args.seed, tell=tell if is_terminal else lambda _: None)
    if is_terminal:
        tell("")
    _print_table(report)
    say(f"{args.artifact}: {_summary(report)}, SHA-256 {artifact.sha256}")
    found = {"is_right": report.is_right, "sha256": artifact.sha256, **asdict(report)}
    write_json(args.json, found)
    return 0 if report.is_right else ArtifactError.exit_code


def _print_table(report: CheckReport) -> None:
    say(_ROW.format("", "gradient", "slope", "float32 off", "parameter"))
    for slot in report.slots:
        say(_row(slot))
    if any(slot.verdict == "none" for slot in report.slots):
        say("none: no gradient reaches it, and the loss has no slope there either")
    say(f"loss {report.loss:.6g}, gradient norm {report.gradient_norm:.6g}")
    say(f"scores of training and of inference agree within {report.inference_error:.1e}")


def _row(slot: SlotCheck) -> str:
    verdict = "WRONG" if slot.verdict == "wrong" else slot.verdict
    figures = [f"{x:+.4e}" for x in (slot.claimed, slot.measured)] + [f"{slot.float32_error:.1e}"]
    return _ROW.format(verdict, *figures, f"{slot.name} {list(slot.shape)}")


def _summary(report: CheckReport) -> str:
    if report.is_right:
        return "right"
    wrong = [slot.name for slot in report.slots if not slot.is_right]
    return f"WRONG{': gradient of ' + ', '.join(wrong) if wrong else ''}"
