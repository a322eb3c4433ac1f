"""Coverage-guided fuzzing for a limited time; `make fuzz` runs it for as long as you like."""

from pathlib import Path

import pytest

from tests.fuzz import run
from tests.fuzz.targets import TARGETS
from tests.support.tools import need_package


def test_every_target_can_be_chosen() -> None:
    assert set(run.NAMES) == set(TARGETS)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_short_guided_run_breaks_no_law(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    need_package("atheris")
    code = run.main(["--seconds", "20", "--folder", str(tmp_path)])
    assert code == 0, capsys.readouterr().out
