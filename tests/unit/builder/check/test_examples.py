"""Examples of all kinds, with integers that a graph can take."""

import numpy as np
import onnx
import pytest

from fedge.artifact import Artifact
from fedge.builder import build_artifact
from fedge.builder.check.examples import NUMBERS, kinds_of_examples
from fedge.builder.check.indices import index_bounds
from fedge.types import Array
from tests.support.onnx_texts import model_of


def drawn(model: onnx.ModelProto, batch_size: int = 6) -> dict[str, Array]:
    artifact = build_artifact(model, loss="cross_entropy", batch_size=batch_size)
    return kinds_of_examples(
        artifact.manifest, artifact.eval_graph, np.random.default_rng(0)
    ).inputs


def images() -> onnx.ModelProto:
    return model_of("f = Flatten(x) y = MatMul(f, w)", inputs="float[N, 2, 4, 6] x", w=(48, 3))


def text() -> onnx.ModelProto:
    """A table of 9 words, one of 5 kinds indexed by the same numbers, and a mask."""
    return model_of(
        "w = Gather(words, ids) k = Gather(kinds, ids) e = Add(w, k) m = Cast <to = 1> (mask) "
        "c = Unsqueeze(m, last) h = Mul(e, c) s = ReduceMean <axes = [1], keepdims = 0> (h) "
        "y = MatMul(s, v)",
        inputs="int64[N, 6] ids, int64[N, 6] mask",
        words=(9, 4), kinds=(5, 4), last=[2], v=(4, 3),
    )  # fmt: skip


@pytest.mark.parametrize(("batch_size", "n"), [(1, 6), (4, 8), (6, 6), (16, 16)])
def test_the_batches_contain_every_kind_of_example(batch_size: int, n: int) -> None:
    x = drawn(images(), batch_size)["x"]
    assert len(x) == n
    _, background, whole, rows, pairs, zeros = x[: len(NUMBERS)]
    assert 0.5 < (background == 0).mean() < 1
    assert (background >= 0).all()
    assert (whole == np.rint(whole)).all()
    assert (rows == rows[..., :1]).all()
    assert (pairs[..., 0::2] == pairs[..., 1::2]).all()
    assert not zeros.any()
    assert all(each.any() for each in x[:5])


@pytest.mark.parametrize("shape", ["", ", 1", ", 5", ", 1, 1", ", 3, 1, 7"])
def test_any_shape_has_examples(shape: str) -> None:
    size = int(np.prod([int(each) for each in shape.split(",")[1:]]))
    model = model_of(
        "f = Reshape(x, flat) y = MatMul(f, w)",
        inputs=f"float[N{shape}] x", flat=[-1, size], w=(size, 3),
    )  # fmt: skip
    assert np.isfinite(drawn(model)["x"]).all()


def test_indices_stay_below_the_shortest_table_repeat_and_end_in_padding() -> None:
    ids = drawn(text(), 18)["ids"]
    assert ids.min() == 0
    assert ids.max() == 4
    assert (ids[[1, 3], 3:] == 0).all()
    assert (ids[2] == ids[2, 0]).all()


def test_a_mask_is_one_except_where_the_padding_is() -> None:
    mask = drawn(text())["mask"]
    assert (mask[[0, 2, 4, 5]] == 1).all()
    assert mask[[1, 3]].tolist() == [[1, 1, 1, 0, 0, 0]] * 2


def test_columns_of_one_input_are_followed_into_several_tables() -> None:
    """float32 numbers that become indices, as exporters of tabular models write them."""
    model = model_of(
        "i = Cast <to = 7> (x) a = Gather <axis = 1> (i, zero) b = Gather <axis = 1> (i, one) "
        "ea = Gather(ta, a) eb = Gather(tb, b) y = Add(ea, eb)",
        inputs="float[N, 2] x", zero=np.int64(0), one=np.int64(1), ta=(7, 3), tb=(4, 3),
    )  # fmt: skip
    artifact: Artifact = build_artifact(model, loss="cross_entropy", batch_size=6)
    assert index_bounds(artifact.eval_graph, ["x"]) == {"x": 4}
    x = drawn(model)["x"]
    assert x.dtype == np.float32
    assert set(np.unique(x)) <= {0, 1, 2, 3}


def test_small_integers_are_treated_as_numbers() -> None:
    model = model_of("f = Cast <to = 1> (x) y = MatMul(f, w)", inputs="uint8[N, 4] x", w=(4, 3))
    x = drawn(model)["x"]
    assert x.dtype == np.uint8
    assert x.max() > 1
