"""What docs/strategies.md says is what specs do."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from fedge.errors import ConfigError
from fedge.strategies import OPTIMIZERS, PRE_AGGREGATORS, RULES, algorithms, get, spec

TEXT = (Path(__file__).parents[2] / "docs" / "strategies.md").read_text()


def table(title: str) -> list[list[str]]:
    """The cells of the rows below this line, without the backticks."""
    _, _, rest = TEXT.partition(f"{title}\n|---")
    lines = rest.partition("\n\n")[0].splitlines()[1:]
    return [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines]


def test_the_grammar_is_that_of_the_parser() -> None:
    (block,) = re.findall(r"(?ms)^```text\n(.*?)^```$", TEXT)
    assert spec.__doc__ is not None
    assert " ".join(block.split()) in " ".join(spec.__doc__.split())


def test_the_examples_mean_what_stands_beside_them() -> None:
    rows = table("| spec | rule | optimizer |")
    assert len(rows) == 7
    for text, rule, optimizer in rows:
        assert get(text) == get(f"{rule}/{optimizer}")


def test_every_rule_and_every_optimizer_has_its_row() -> None:
    rules = [row[0] for row in table("| rule | the delta | parameters | reads | source |")]
    optimizers = [row[0] for row in table("| optimizer | the next model | remembers | source |")]
    assert rules == [one.partition("[")[0] for one in RULES]
    title = "| pre-aggregator | what the rule sees | parameters | reads | source |"
    assert [row[0] for row in table(title)] == [one.partition("[")[0] for one in PRE_AGGREGATORS]
    assert optimizers == [one.partition("[")[0] for one in OPTIMIZERS]


def test_every_parameter_stands_with_its_default_and_its_range() -> None:
    rows = table("| parameter | default | range | |")
    names = [one.partition("[")[0] for one in OPTIMIZERS]
    kinds = {name: get(name).optimizer for name in names}
    known = [f"{name}:{one.name}" for name in names for one in fields(kinds[name])]  # type: ignore[arg-type] # they are dataclasses
    assert [row[0] for row in rows] == known
    for parameter, default, limits, _ in rows:
        name = parameter.partition(":")[0]
        low, high = limits.split(" to ")
        assert get(f"{parameter}={default}") == get(name)
        assert get(f"{parameter}={low}") != get(f"{parameter}={high}")
        types = {one.name: one.type for one in fields(kinds[name])}  # type: ignore[arg-type] # as above
        is_whole = types[parameter.partition(":")[2]] is int
        beyond_low, beyond_high = float(low) - 1e-9, float(high) * 1.000001
        for beyond in (-1, int(high) + 1) if is_whole else (beyond_low, beyond_high):
            with pytest.raises(ConfigError, match=f"must be {low} to {high}"):
                get(f"{parameter}={beyond}")


def test_every_algorithm_and_its_parameters_have_their_rows() -> None:
    rows = table("| algorithm | what it changes | goes with | a device keeps | source |")
    assert [row[0] for row in rows] == [one.partition("[")[0] for one in algorithms.SPECS]
    rows = table("| parameter of an algorithm | default | range | |")
    said = [f"{one.partition('[')[0]}[:{one.partition(':')[2]}" for one in algorithms.SPECS]
    assert [f"{row[0].replace(':', '[:')}={row[1]}]" for row in rows] == [
        one for one in said if one.endswith("]")
    ]
    for parameter, default, limits, _ in rows:
        name = parameter.partition(":")[0]
        low, high = limits.split(" to ")
        assert algorithms.get(f"{parameter}={default}") == algorithms.get(name)
        assert algorithms.get(f"{parameter}={low}") != algorithms.get(f"{parameter}={high}")
        for beyond in (float(low) - 1e-9, float(high) * 1.000001):
            with pytest.raises(ConfigError, match=f"must be {low} to {high}"):
                algorithms.get(f"{parameter}={beyond}")
