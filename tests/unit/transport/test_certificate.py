"""When a certificate holds, read from its bytes."""

import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedge.transport.certificate import read_validity, validity
from fedge.transport.url import BrokerUrl
from tests.support.certificates import certify


# From 2050 on years have four digits in a certificate, before that two.
@pytest.mark.parametrize("last_year", [2031, 2061])
def test_the_times_are_those_of_the_certificate(tmp_path: Path, last_year: int) -> None:
    made = certify(tmp_path, "one", "19991231235958Z", f"{last_year}0203040506Z")
    first, last = read_validity(ssl.PEM_cert_to_DER_cert(made.read_text()))
    assert first == datetime(1999, 12, 31, 23, 59, 58, tzinfo=UTC)
    assert last == datetime(last_year, 2, 3, 4, 5, 6, tzinfo=UTC)


@given(cut=st.integers(0, 400), noise=st.binary(max_size=40), at=st.integers(0, 400))
def test_other_bytes_are_a_value_error_or_two_times(
    certificate: bytes, cut: int, noise: bytes, at: int
) -> None:
    damaged = (certificate[:at] + noise + certificate[at + len(noise) :])[:cut]
    try:
        first, last = read_validity(damaged)
    except ValueError:
        return
    assert isinstance(first, datetime)
    assert isinstance(last, datetime)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    made = certify(tmp_path_factory.mktemp("certificate"), "one", "20200101000000Z",
                   "20300101000000Z")  # fmt: skip
    return ssl.PEM_cert_to_DER_cert(made.read_text())


def test_where_nobody_answers_there_is_none() -> None:
    assert validity(BrokerUrl.parse("mqtts://127.0.0.1:9")) is None
