"""Stored payloads: every machine and every version writes and reads the same bytes."""

import numpy as np
import pytest

from fedge import codecs
from fedge._kernels import reference
from tests.golden.payloads import N_PARAMS, SPECS, contents, delta, payload_file


@pytest.mark.parametrize("spec", SPECS)
def test_payload_and_residual_have_the_stored_bytes(spec: str) -> None:
    for path, content in contents(spec).items():
        assert content == path.read_bytes(), path.name


@pytest.mark.parametrize("spec", SPECS)
def test_a_stored_payload_is_read_as_the_twins_read_it(spec: str) -> None:
    """The reader of the layout that is written to be read."""
    payload = payload_file(spec).read_bytes()
    header = codecs.read_header(payload)
    body, bits, out = payload[header.body], header.scheme.bits, np.zeros(N_PARAMS, np.float32)
    if header.scheme.is_sparse:
        assert reference.scatter_add_stream(body, bits, header.n_kept, 1.0, out)
    else:
        assert reference.accumulate_dense(body, bits, 1.0, out)
    np.testing.assert_array_equal(codecs.decode(payload).to_dense(), out)


@pytest.mark.parametrize("spec", ["topk:0.1/sign", "topk:0.1/int8", "topk:0.1/float32"])
def test_stored_payload_and_residual_make_up_what_was_encoded(spec: str) -> None:
    residual = np.fromfile(payload_file(spec).with_suffix(".residual"), "<f4")
    total = residual + codecs.decode(payload_file(spec).read_bytes()).to_dense()
    np.testing.assert_allclose(total, delta() + delta(seed=2), rtol=0, atol=2**-24)
