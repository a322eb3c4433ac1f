"""What the documents say is run, and what they point to is there."""

import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedge import codecs
from firmware_sim.errors import ArchiveError
from tests.docs import operators
from tests.support.markdown import (
    n_run,
    n_shell_blocks,
    needed_packages,
    needed_tools,
    shell_script,
)
from tests.support.tools import UNAVAILABLE, need_package, need_tool, unavailable

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
NAMES = [str(document.relative_to(ROOT)) for document in DOCUMENTS]
_CROSS = {"arm"}  # documents whose blocks need cross compilers
_OF_MAKE = {"ARGS", "MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS"}


def own_environment(**variables: str) -> dict[str, str]:
    """Ours, without what a `make test ARGS=...` hands down to every other make and pytest."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in _OF_MAKE and not name.startswith("PYTEST_")
    }
    return {**kept, "OMP_NUM_THREADS": "1", **variables}


def run(script: str, folder: Path, *, timeout_s: float, **variables: str) -> None:
    """Run a script in a session of its own, which ends with it: documents start servers."""
    with (folder / "output.log").open("w+") as log:
        shell = subprocess.Popen(
            ["bash", "-c", script],
            cwd=folder,
            env=own_environment(**variables),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            code = shell.wait(timeout_s)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGKILL)
        log.seek(0)
        said = log.read()
        if code == ArchiveError.exit_code:  # a board's Debian, or its headers
            unavailable(said[said.rindex(UNAVAILABLE) :].splitlines()[0])
        assert code == 0, said[-6000:]


@pytest.mark.parametrize("document", DOCUMENTS, ids=NAMES)
def test_every_shell_block_is_one_that_a_test_runs(document: Path) -> None:
    assert n_run(document) == n_shell_blocks(document)


@pytest.mark.slow
@pytest.mark.broker
@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    "document",
    [
        pytest.param(d, id=d.stem, marks=[pytest.mark.emulated] if d.stem in _CROSS else [])
        for d in DOCUMENTS[1:]
        if n_run(d)
    ],
)
def test_the_shell_blocks_of_a_document_work_one_after_the_other(
    document: Path, tmp_path: Path
) -> None:
    for tool in needed_tools(document):
        need_tool(tool)
    for name in needed_packages(document):
        need_package(name)
    bin_ = Path(sys.executable).parent
    run(
        shell_script(document),
        tmp_path,
        timeout_s=200,
        PATH=f"{bin_}:{os.environ['PATH']}",
        PYTHONPATH=str(ROOT),  # firmware_sim runs from a checkout
    )


@pytest.mark.slow
@pytest.mark.broker
@pytest.mark.timeout(900)
def test_the_readme_works_in_a_fresh_copy_with_nothing_installed(tmp_path: Path) -> None:
    """A copy of the files git knows or would take, so that no build of ours helps."""
    files = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout.split(b"\0")
    for name in filter(None, map(os.fsdecode, files)):
        if (ROOT / name).is_file():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    system = os.pathsep.join(p for p in os.environ["PATH"].split(os.pathsep) if ".venv" not in p)
    # README's `fedge` is the one its own `make demo` installed.
    script = f'export PATH="$PWD/.venv/bin:$PATH"\n{shell_script(ROOT / "README.md")}'
    run(script, tmp_path, timeout_s=850, PATH=system, VIRTUAL_ENV="")
    assert list(tmp_path.glob("fedge-demo/*/model.onnx"))
    assert list(tmp_path.glob("fedge-demo/*/accuracy.png"))


def test_words_for_one_make_do_not_reach_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What make hands down for `make test ARGS=theirs` outweighs the environment's ARGS."""
    (tmp_path / "Makefile").write_text('say:\n\t@test "$(ARGS)" = ours\n')
    monkeypatch.setenv("MAKEFLAGS", " -- ARGS=theirs")
    monkeypatch.setenv("MAKELEVEL", "1")
    run("export ARGS=ours; make say", tmp_path, timeout_s=20)


def test_a_script_does_not_know_that_pytest_runs_it(tmp_path: Path) -> None:
    """Told that it is one of many, pytest-benchmark refuses to measure."""
    assert os.environ["PYTEST_CURRENT_TEST"]
    run("! env | grep ^PYTEST_", tmp_path, timeout_s=20)


@pytest.mark.parametrize("document", DOCUMENTS, ids=NAMES)
def test_every_link_to_a_file_leads_to_one(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text()):
        if "://" not in target:
            assert (document.parent / target).exists(), target


def test_a_device_is_made_as_the_readme_says(tmp_path: Path) -> None:
    """The block as it stands, with its files in a folder of the test, up to `run`."""
    (block,) = re.findall(r"(?ms)^```python\n(.*?)^```$", (ROOT / "README.md").read_text())
    np.savez(tmp_path / "my-examples.npz", x=np.zeros((4, 2), np.float32), y=np.zeros(4))
    code = block.replace("my-examples.npz", str(tmp_path / "my-examples.npz"))
    code = code.replace("/var/lib/fedge", str(tmp_path / "state")).replace("device.run()", "")
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102 - our own document
    assert names["device"].report()["id"] == "kitchen"
    names["device"].close()


def test_the_page_of_codecs_has_a_row_for_every_kind() -> None:
    rows = re.findall(r"(?m)^\| `([^`]+)`", (ROOT / "docs" / "codecs.md").read_text())
    kinds = {spec.split(":")[0].split("[")[0] for spec in codecs.SPECS}
    assert {row.split(":")[0] for row in rows} >= kinds


def test_the_table_of_operators_is_that_of_the_rules() -> None:
    """Written anew by `make golden`."""
    assert operators.DOCUMENT.read_text() == operators.document()
