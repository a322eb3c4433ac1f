"""All scenarios that come with the harness, each to its end: minutes."""

from pathlib import Path

import pytest

from firmware_sim.scenario import player
from firmware_sim.scenario.plan import find, known
from firmware_sim.tiers.system import TIER
from tests.support.boards import ready
from tests.support.tools import need_tool

pytestmark = [pytest.mark.emulated, pytest.mark.long]


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", sorted(known()))
def test_what_the_scenario_claims_holds(name: str, tmp_path: Path) -> None:
    for tool in ("mosquitto", "openssl"):
        need_tool(tool)
    scenario = find(name)
    ready(TIER, scenario.board)
    assert player.play(name, scenario, tmp_path, seed=1, tell=print).faults == ()
