"""The table of docs/codecs.md says what the codecs do."""

import re
from pathlib import Path

import pytest

from fedge import codecs
from tests.support.codec_laws import encode, laplace

DOCUMENT = Path(__file__).parents[3] / "docs" / "codecs.md"
ROWS = re.findall(
    r"^\| `(.+?)` \| .+ \| ([0-9.]+) \| (yes|no) \|$", DOCUMENT.read_text(), re.MULTILINE
)


def test_every_kind_of_codec_is_in_the_table() -> None:
    kinds = {re.sub(r"[0-9.]+", "", spec.split("/")[0]) for spec, _, _ in ROWS}
    assert kinds == {"topk:", "budget:", "mask:", "eden:", "int", "none"}


@pytest.mark.parametrize(("spec", "bytes_a_parameter", "feedback"), ROWS)
def test_a_row_is_true(spec: str, bytes_a_parameter: str, feedback: str) -> None:
    size = len(encode(spec, laplace(1_000_000)))
    assert f"{size / 1e6:.4f}" == bytes_a_parameter
    assert codecs.get(spec).uses_residual == (feedback == "yes")
