"""Which runs there are, which are done, and what they show together."""

from dataclasses import replace

import pytest

from fedge.bench.attacks import report
from fedge.bench.attacks.grid import Grid
from fedge.bench.attacks.run import Result, hostile
from fedge.bench.attacks.setting import CLEAN, Setting
from fedge.bench.attacks.summary import summarise, worst
from fedge.errors import ConfigError

ONE = Setting(task="words", codec="default", rule="mean", attack=CLEAN)


def result(accuracy: float, backdoor: float = 0.0, **changes: object) -> Result:
    return Result(
        setting=replace(ONE, **changes),  # type: ignore[arg-type]
        accuracy=accuracy,
        backdoor=backdoor,
        curve=(0.1, accuracy),
        refused=0,
        dropped=1,
        clipped=2,
    )


def grid(**changes: object) -> Grid:
    one = Grid(
        tasks=("words",),
        codecs=("default", "float32"),
        rules=("mean", "unbounded"),
        attacks=("x10",),
        n_seeds=2,
        shared=ONE,
    )
    return replace(one, **changes)  # type: ignore[arg-type]


def test_there_is_always_a_run_without_an_attack_to_compare_with() -> None:
    settings = grid(codecs=("default",)).settings()
    assert [(one.seed, one.attack, one.rule) for one in settings] == [
        (0, "none", "mean"),
        (0, "none", "unbounded"),
        (0, "x10", "mean"),
        (0, "x10", "unbounded"),
        (1, "none", "mean"),
        (1, "none", "unbounded"),
        (1, "x10", "mean"),
        (1, "x10", "unbounded"),
    ]
    assert len(grid(attacks=("none", "x10")).settings()) == 2 * 2 * 2 * 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"attacks": ("x11",)}, "unknown attack 'x11': use none, sign_flip, "),
        ({"codecs": ("int9",)}, "unknown codec 'int9': use default, float32"),
        ({"rules": ("meen",)}, "unknown strategy 'meen'"),
        ({"tasks": ("chess",)}, "unknown task 'chess'"),
        ({"shared": replace(ONE, n_hostile=10)}, "--hostile must be 1 to 9, not 10"),
    ],
)
def test_a_wrong_name_is_refused_before_any_work(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        grid(**changes).settings()
    assert str(refusal.value).startswith(message)


def test_the_same_devices_are_hostile_under_every_rule_and_attack() -> None:
    assert hostile(ONE) == hostile(replace(ONE, rule="krum", attack="x10", rounds=3))
    assert len(hostile(replace(ONE, n_hostile=4))) == 4
    drawn = {hostile(replace(ONE, seed=seed)) for seed in range(20)}
    assert len(drawn) > 5


RUNS = [
    result(0.9, rule="mean"),
    result(0.8, rule="mean", seed=1),
    result(0.88, rule="nnm"),
    result(0.80, rule="nnm", seed=1),
    result(0.1, rule="mean", attack="x10"),
    result(0.2, rule="mean", attack="x10", seed=1),
    result(0.84, rule="nnm", attack="x10"),
    result(0.82, rule="nnm", attack="x10", seed=1),
    result(0.84, 0.9, rule="nnm", attack="backdoor"),
    result(0.80, 0.7, rule="nnm", attack="backdoor", seed=1),
    result(0.86, rule="nnm", attack="nan"),
    result(0.84, rule="nnm", attack="nan", seed=1),
]


def test_what_an_attack_costs_is_counted_from_the_better_run_without_one() -> None:
    cells = {(cell.setting.rule, cell.setting.attack): cell for cell in summarise(RUNS)}
    assert cells["nnm", "none"].lost == pytest.approx(0.85 - 0.84)
    assert cells["mean", "x10"].lost == pytest.approx(0.85 - 0.15)
    assert cells["nnm", "x10"].lost == pytest.approx(0.85 - 0.83)
    assert cells["nnm", "backdoor"].backdoor == pytest.approx(0.8)
    assert cells["nnm", "backdoor"].n_seeds == 2
    assert not cells["mean", "x10"].holds
    assert cells["nnm", "nan"].holds


def test_a_rule_that_does_better_alone_than_the_default_is_held_to_that() -> None:
    (_, own, cell) = summarise(
        [result(0.8), result(0.9, rule="nnm"), result(0.85, rule="nnm", attack="x10")]
    )
    assert own.lost == 0
    assert cell.lost == pytest.approx(0.05)


def test_the_worst_attack_of_a_rule_leaves_backdoors_out() -> None:
    cells = [cell for cell in summarise(RUNS) if cell.setting.rule == "nnm"]
    found = worst(cells)
    assert found is not None
    assert found.setting.attack == "x10"
    assert worst(cells[:1]) is None


def test_a_table_has_rules_down_and_attacks_across() -> None:
    assert report.tables(summarise(RUNS), as_markdown=True).splitlines() == [
        "words, default codec, 2 of 10 devices hostile, 100 rounds",
        "",
        "| rule | none | x10 | backdoor | nan | worst |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        "| mean | 85.0 | 15.0! | - | - | 70.0 x10 |",
        "| nnm | 84.0 | 83.0 | 82.0! / 80 | 85.0 | 2.0 x10 |",
    ]


def test_each_task_and_codec_has_a_table_of_its_own() -> None:
    cells = summarise([result(0.5), result(0.6, codec="float32"), result(0.7, task="digits")])
    titles = [line for line in report.tables(cells).splitlines() if "hostile" in line]
    assert [title.split(",")[:2] for title in titles] == [
        ["words", " default codec"],
        ["words", " float32 codec"],
        ["digits", " default codec"],
    ]


def test_bounds_other_than_the_defaults_are_named() -> None:
    one = replace(ONE, norm_bound=1.0, weight_bound=2.5)
    assert report.describe(one).endswith(", 100 rounds, norm bound 1, weight bound 2.5")


def test_json_has_every_run_and_cell() -> None:
    found = report.as_json(summarise(RUNS), RUNS)
    assert len(found["runs"]) == 12
    assert found["runs"][0]["setting"]["rule"] == "mean"
    assert found["summary"][1]["setting"]["attack"] == "none"
    assert found["attacks"]["zero"] == "zero for every parameter"
