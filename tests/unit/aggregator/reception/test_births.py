"""What a device that has come is told of its past, and what that costs."""

from pathlib import Path

from fedge.messages import Accepted, DeviceState, Presence, Topics
from tests.support.aggregator_by_hand import Bench


def a_birth(bench: Bench, name: str) -> list[str]:
    """The statements that the database is given for a device that comes."""
    statements: list[str] = []
    state = DeviceState(presence=Presence.ONLINE, instance=name.encode(), software="test")
    topic = Topics("default").device_state(name)
    bench.aggregator._on.store._db.set_trace_callback(statements.append)
    bench.bus.deliver(name, topic, state.to_bytes(), retain=False)
    bench.aggregator.step()
    bench.aggregator._on.store._db.set_trace_callback(None)
    return statements


def a_job(folder: Path, *, n_rounds: int) -> Bench:
    """So many rounds are over, and the next is open; eve is the second device that it waits for."""
    bench = Bench(folder, rounds=n_rounds + 1, wait_for=1, quorum=1, deadline_s=30)
    ann, eve = bench.add("ann", "eve")
    eve.is_able = False
    for number in range(1, n_rounds + 1):
        while number not in ann.accepted:
            bench.wait(3)
    ann.send = lambda: None  # type: ignore[method-assign]
    bench.wait(3)
    bench.kill()
    bench.begin()
    bench.settle()
    return bench


def test_a_birth_is_one_question_to_the_database_however_many_rounds_there_were(
    tmp_path: Path,
) -> None:
    bench = a_job(tmp_path, n_rounds=6)
    assert len(a_birth(bench, "newcomer")) == 1
    assert len(a_birth(bench, "another1")) == 1


def test_a_device_that_comes_is_told_its_last_accepted_update(tmp_path: Path) -> None:
    bench = a_job(tmp_path, n_rounds=3)
    ann = bench.devices["ann"]
    ann.replies.clear()
    ann.instance = b"new life"
    ann.be_born()
    bench.settle()
    assert [reply.round for reply in ann.replies if isinstance(reply, Accepted)] == [3]
