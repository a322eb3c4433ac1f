"""Stored payloads: every machine and every version writes and reads the same bytes."""

import numpy as np
import pytest

from fedge import codecs
from fedge._kernels import reference
from tests.golden.payloads import N_PARAMS, SPECS, contents, encoded, payload_file


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
    if header.scheme.is_rotated:
        values = np.zeros(header.n_kept, np.float32)
        assert reference.accumulate_rotated(body, header.seed, bits, 1.0, values)
        indices = np.arange(N_PARAMS, dtype=np.uint32)
        if header.scheme.is_sparse:
            indices = np.empty(header.n_kept, np.uint32)
            reference.draw_mask(N_PARAMS, header.seed, indices, values)
        out[indices] = values
    elif header.scheme.is_contextual:
        indices, values = np.empty(header.n_kept, np.uint32), np.empty(header.n_kept, np.float32)
        assert reference.unpack_context(body, bits, N_PARAMS, indices, values)
        out[indices] = values
    elif header.scheme.is_sparse:
        assert reference.scatter_add_stream(body, bits, header.n_kept, 1.0, out)
    else:
        assert reference.accumulate_dense(body, bits, 1.0, out)
    np.testing.assert_array_equal(codecs.decode(payload).to_dense(), out)


def test_the_stored_payloads_hold_every_scheme_but_some_numbers_of_bits() -> None:
    """The kernels of 1 to 4 bits are one, so two masked payloads do for four."""
    schemes = {codecs.read_header(payload_file(spec).read_bytes()).scheme for spec in SPECS}
    assert set(codecs.Scheme) - schemes == {codecs.Scheme.MASKED_2, codecs.Scheme.MASKED_4}


@pytest.mark.parametrize("spec", [spec for spec in SPECS if codecs.get(spec).uses_residual])
def test_stored_payload_and_residual_make_up_what_was_encoded(spec: str) -> None:
    residual = np.fromfile(payload_file(spec).with_suffix(".residual"), "<f4")
    total = residual + codecs.decode(payload_file(spec).read_bytes()).to_dense()
    np.testing.assert_allclose(total, encoded(spec) + encoded(spec, seed=2), rtol=0, atol=2**-24)
