"""Which figures of a card a tier may claim; the others describe the emulation, not the board."""

from collections.abc import Mapping

from fedge.bench.device.figures import Card, Figures

_TIMES = dict.fromkeys(
    ("import_s", "first_step_s", "first_step_cpu_s", "cpu_s"),
    "emulator times say nothing about a board",
)
_MEMORY = dict.fromkeys(
    ("peak_training_bytes", "peak_upload_bytes", "peak_bytes"),
    "in user mode memory is QEMU's; the tier system shows the board's",
)
_NOT_CLAIMED: Mapping[str, Mapping[str, str]] = {
    "user": {**_TIMES, **_MEMORY},
    "system": _TIMES,
    "board": _TIMES,
}
_LEFT_OUT = {"user": {"installed_bytes": "without Python's compiled sources"}}
_NO_COUNTER = dict.fromkeys(
    ("instructions", "first_step_instructions"),
    "QEMU counts instructions on 64-bit machines of the tier system only",
)


def claimed(card: Card, tier: str, *, is_counted: bool) -> Card:
    """The card as it may be shown: figures the tier may not claim are replaced by the reason.

    Args:
        card: as written by the board's program.
        tier: where the program ran.
        is_counted: whether an instruction counter was available.
    """
    reasons = {**_NOT_CLAIMED[tier], **({} if is_counted else _NO_COUNTER)}
    values = {**card.figures.values, **dict.fromkeys(reasons)}
    notes = {**_LEFT_OUT.get(tier, {}), **card.figures.notes, **reasons}
    return Card(who=card.who, figures=Figures(values, notes), installed=card.installed)
