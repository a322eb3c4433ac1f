"""Codecs by name."""

import re

import pytest

from fedge import codecs
from fedge.codecs.sparse import TopK
from fedge.codecs.spec import _KINDS
from fedge.errors import ConfigError
from tests.support.codec_laws import LAWS


@pytest.mark.parametrize(
    "spec",
    [
        "topk:0.01/sign",
        "topk:1/int8",
        "topk:.5/float32",
        "topk:1e-3/sign",
        "topk:0.01/int4",
        "topk:0.01/int8+ctx",
        "topk:0.01/int4+stochastic",
        "topk:0.01/int8+stochastic+ctx",
        "eden:1",
        "mask:0.03/eden:4",
        "budget:64",
        "int8",
        "none",
    ],
)
def test_a_codec_keeps_the_spec_it_was_made_from(spec: str) -> None:
    assert codecs.get(spec).spec == spec


@pytest.mark.parametrize("pattern", [pattern for pattern, _ in _KINDS])
def test_every_kind_of_spec_is_held_to_the_laws(pattern: str) -> None:
    assert any(re.fullmatch(pattern, spec) for spec in LAWS)


def test_only_what_keeps_the_largest_needs_a_residual() -> None:
    specs = ["topk:0.1/sign", "topk:0.1/int4+ctx", "budget:99", "eden:1", "mask:0.1/eden:1", "int8"]
    uses = [spec for spec in specs if codecs.get(spec).uses_residual]
    assert uses == ["topk:0.1/sign", "topk:0.1/int4+ctx", "budget:99"]


@pytest.mark.parametrize(
    "spec",
    [
        "",
        "sign",
        "float32",
        "topk",
        "topk:0.01",
        "topk:0/sign",
        "topk:0.0/sign",
        "topk:1.01/sign",
        "topk:-0.1/sign",
        "topk:nan/sign",
        "topk:1/3/sign",
        "topk:1e-999999999/sign",
        "topk:0.01/int2",
        "topk:0.01/int4s",
        "topk:0.01/sign+",
        "topk:0.01/sign+ctx+ctx",
        "topk:0.01/sign+stochastic",
        "topk:0.01/float32+stochastic",
        "topk:0.01/int8+ctx+stochastic",
        "int8+stochastic",
        "int8+dice",
        "eden",
        "eden:0",
        "eden:5",
        "eden:1+ctx",
        "mask:0/eden:1",
        "mask:1.1/eden:1",
        "mask:0.1/int8",
        "mask:0.1/eden:5",
        "int4",
        "budget:63",
        "budget:-100",
        "budget:1e3",
        "budget:99999999999",
        "topk:0.01/sign ",
        "topk:0.01/sign\n",
        "topk:٠.1/sign",  # noqa: RUF001 - an Arabic zero
        "INT8",
    ],
)
def test_an_unknown_spec_is_refused_with_the_known_ones(spec: str) -> None:
    with pytest.raises(
        ConfigError, match=r"unknown codec .*topk:F/sign.*eden:B.*mask.*budget.*int8.*none"
    ):
        codecs.get(spec)


@pytest.mark.parametrize("end", ["", "+ctx"])
@pytest.mark.parametrize("values", ["int4", "int8"])
def test_the_old_name_of_stochastic_rounding_is_refused_with_the_new_one(
    values: str, end: str
) -> None:
    with pytest.raises(ConfigError) as refusal:
        codecs.get(f"topk:0.1/{values}+dice{end}")
    assert str(refusal.value) == (
        f"unknown codec 'topk:0.1/{values}+dice{end}': +dice is called +stochastic now, "
        f"so use topk:0.1/{values}+stochastic{end}"
    )


@pytest.mark.parametrize(
    ("fraction", "n_params", "k"),
    [
        ("0.01", 1_000_000, 10_000),
        ("0.01", 101, 2),
        ("0.01", 1, 1),
        ("0.01", 0, 0),
        ("0.07", 100, 7),  # in floating point 7.000000000000001
        ("1", 5, 5),
    ],
)
def test_k_is_the_fraction_rounded_up(fraction: str, n_params: int, k: int) -> None:
    codec = codecs.get(f"topk:{fraction}/sign")
    assert isinstance(codec, TopK)
    assert codec.n_kept(n_params) == k
