"""Every stored input and some thousands of mutations, without a fuzzer.

`make fuzz` searches further; its findings are stored here as `found-*`.
"""

import pytest

from fedge import codecs
from fedge.errors import PayloadError
from tests.fuzz import artifacts, payloads
from tests.fuzz.target import attack, plain_change, read, rng_of
from tests.fuzz.targets import CORPUS, TARGETS, corpus


@pytest.mark.parametrize("name", TARGETS)
def test_stored_and_mutated_inputs_are_read_or_refused_within_bounds(name: str) -> None:
    attack(TARGETS[name], corpus(name), TARGETS[name].n_mutations, rng_of(2024))


def test_a_body_too_large_to_be_buffered_is_read_or_refused() -> None:
    payload = payloads.large()
    assert codecs.read_header(payload).n_kept > 2**16
    assert payloads.check(payload)
    attack(payloads.TARGET, [payload], 30, rng_of(2024))


def test_the_corpus_is_small_and_has_a_folder_for_each_target() -> None:
    assert {path.name for path in CORPUS.iterdir()} == set(TARGETS)
    assert sum(path.stat().st_size for path in CORPUS.rglob("*")) < 200_000


@pytest.mark.parametrize("name", TARGETS)
def test_every_stored_seed_is_accepted(name: str) -> None:
    """If a format has changed, `make golden` rewrites the seeds."""
    stored = sorted((CORPUS / name).glob("seed-*"))
    assert {path.name for path in stored} == {f"seed-{seed}" for seed in TARGETS[name].seeds()}
    assert [path.name for path in stored if not TARGETS[name].check(path.read_bytes())] == []


@pytest.mark.parametrize("name", ["payload", "artifact", "npz", "update"])
def test_half_of_the_mutations_get_past_the_checksums(name: str) -> None:
    """Inputs that only ever fail a checksum test nothing else."""
    rng, target, n_behind = rng_of(7), TARGETS[name], 0
    for number in range(200):
        data = corpus(name)[number % len(corpus(name))]
        changed = target.mutate(data, rng, lambda part: plain_change(part, rng))
        n_behind += _is_sealed(name, changed)
    assert n_behind > 100


def _is_sealed(name: str, data: bytes) -> bool:
    match name:
        case "payload" | "update":
            is_message = name == "update" and data[:1] >= b"\xa0"
            return is_message or data == payloads.sealed(data[:-4])
        case "artifact":
            members = artifacts.split(data)
            return members is not None and data == artifacts.joined(members)
        case _:
            return TARGETS[name].mutate is not None


def test_a_broken_law_is_found() -> None:
    def forgets(size: int) -> bytes:
        return bytes(size)

    def explains_too_much() -> None:
        raise PayloadError("payload", expected="few bytes", found="\n")

    with pytest.raises(AssertionError, match="took"):
        read(lambda: forgets(4_000_000), (PayloadError,), most_bytes=1000)
    assert read(explains_too_much, (PayloadError,), most_bytes=0) is None
    with pytest.raises(ZeroDivisionError):
        read(lambda: 1 // 0, (PayloadError,), most_bytes=0)
