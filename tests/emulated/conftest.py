"""What holds for every test on emulated boards.

The long ones run only when asked for, and an archive that does not give what a board is made of
skips the board's tests, in CI as well.
"""

from collections.abc import Generator

import pytest

from firmware_sim.errors import ArchiveError
from tests.support.tools import unavailable


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run also what takes minutes")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--long", default=False):
        return
    long = [item for item in items if item.get_closest_marker("long")]
    if long:
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Generator[None, None, None]:
    try:
        yield
    except ArchiveError as error:  # of a fixture
        unavailable(str(error))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, None, None]:
    try:
        yield
    except ArchiveError as error:
        unavailable(str(error))
