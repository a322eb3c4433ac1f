"""Text from outside stays text, in fedge's logs and in those of a host."""

import contextlib
import io
import logging
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedge.cli import logs
from fedge.cli.main import main
from fedge.logs import logger
from fedge.text import line

FORGED = "x\n2026-01-31 12:00:00 INFO device pi-3: all is well"
HOSTILE = {
    "\n": r"\n",
    "\r": r"\r",
    "\t": r"\t",
    "\x0b": r"\x0b",
    "\x1b[2J": r"\x1b[2J",
    "\x7f": r"\x7f",
    "\x85": r"\x85",  # next line
    "\x9b31m": r"\x9b31m",  # control sequence introducer in one byte
    "\u2028": r"\u2028",
    "\u2029": r"\u2029",
    "\u202e": r"\u202e",  # right-to-left override
    "\u2066": r"\u2066",
    "\u200b": r"\u200b",  # zero width
    "\udcff": r"\udcff",  # an undecodable byte of a file name
    "\U000e0041": r"\U000e0041",  # a tag
}


@pytest.mark.parametrize(("text", "shown"), HOSTILE.items(), ids=ascii)
def test_what_a_terminal_would_act_on_becomes_its_escape(text: str, shown: str) -> None:
    assert line(f"a{text}b") == f"a{shown}b"


@pytest.mark.parametrize("text", ["", "Küche", "温度 3", r"C:\n", "é ± 🙂"])
def test_what_is_printable_stays(text: str) -> None:
    assert line(text) == text


@given(text=st.text())
def test_any_text_becomes_one_printable_line_and_stays_it(text: str) -> None:
    assert line(text).isprintable()
    assert len(line(text).splitlines()) <= 1
    assert line(line(text)) == line(text)


def break_down() -> None:
    raise ValueError(FORGED)


@pytest.fixture
def host() -> Iterator[io.StringIO]:
    """What a host application's own handler writes, with a formatter of Python's."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    root = logging.getLogger("fedge")  # noqa: TID251 - as a host does
    root.addHandler(handler)
    yield stream
    root.removeHandler(handler)


def test_a_hosts_handlers_write_one_line_a_record(host: io.StringIO) -> None:
    log = logger("fedge.device.test")
    log.warning("device %s says %s, %d times, %.1f", FORGED, ValueError("\x1b]0;"), 3, 0.5)
    log.warning("%(who)s", {"who": FORGED})
    log.warning("%d of %.2f", np.int64(3), np.float32(0.5))
    first, second, third = host.getvalue().splitlines()
    assert first.startswith(r"WARNING device x\n2026-01-31")
    assert first.endswith(r"says \x1b]0;, 3 times, 0.5")
    assert second == r"WARNING x\n2026-01-31 12:00:00 INFO device pi-3: all is well"
    assert third == "WARNING 3 of 0.50"


def test_no_line_of_a_traceback_can_pass_for_a_line_of_the_log(host: io.StringIO) -> None:
    try:
        break_down()
    except ValueError:
        logger("fedge.device.test").exception("it broke")
    first, *rest = host.getvalue().splitlines()
    assert first == "ERROR it broke"
    assert len(rest) >= 4
    assert all(one.startswith("    ") for one in rest)


def test_the_commands_escape_what_other_packages_log_too() -> None:
    said = io.StringIO()
    before = logging.root.handlers[:], logging.root.level
    try:
        logs.set_up("info", "device pi-3")
        logging.root.handlers[0].setStream(said)  # type: ignore[attr-defined]
        logging.getLogger("another").warning(f"\x1b[1m{FORGED}")  # noqa: G004, TID251 - careless
        try:
            break_down()
        except ValueError:
            logging.getLogger("another").exception("broke")  # noqa: TID251
    finally:
        logging.root.handlers[:], logging.root.level = before
    first, second, *rest = said.getvalue().splitlines()
    assert first.endswith(
        r"WARNING device pi-3: \x1b[1mx\n2026-01-31 12:00:00 INFO device pi-3: all is well"
    )
    assert second.endswith("ERROR device pi-3: broke")
    assert all(one.startswith("    ") for one in rest)


@pytest.mark.parametrize(
    "words",
    [
        ["inspect", f"\x1b[31m{FORGED}"],
        ["device", "--data", f"{FORGED}\u202e.npz", "--state-dir", "unused"],
        ["export", FORGED, "-o", "unused"],
        ["no-such\x1b[0m\ncommand"],
        ["demo", "--broker", f"mqtt://{FORGED}"],
    ],
)
def test_a_refusal_is_one_line_whatever_it_names(
    words: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("fedge.cli.logs.set_up", lambda *_: None)
    with contextlib.suppress(SystemExit):  # argparse's way
        assert main(words) != 0
    said = capsys.readouterr().err
    assert "\x1b" not in said
    assert "\u202e" not in said
    assert not any(one.startswith("2026-01-31") for one in said.splitlines())


def test_every_module_takes_its_logger_from_one_place() -> None:
    found = subprocess.run(
        ["git", "grep", "-l", "-E", r"getLogger\(|^print\(|[^_]print\(", "--", "fedge/*.py"],
        capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2],
    ).stdout.split()  # fmt: skip
    allowed = {"fedge/logs.py", "fedge/cli/screen.py", "fedge/cli/demo.py"}
    allowed |= {
        f"fedge/cli/bench/{name}.py"
        for name in (
            "aggregation",
            "attacks",
            "codecs",
            "common",
            "device",
            "federation",
            "kernels",
        )
    }
    assert set(found) <= allowed
