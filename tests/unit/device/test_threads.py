"""A device and threads: any thread may use it, but only one at a time."""

import asyncio
import threading
import time
from pathlib import Path

import pytest

from fedge.device import Device
from fedge.training import ArrayData
from tests.support import models
from tests.support.bus import Bus
from tests.support.device_scene import examples
from tests.support.scripted_aggregator import FLEET, JOB, PLAN, ScriptedAggregator

_PATIENCE_S = 20.0


class Home:
    """A device on a bus, and an aggregator that answers it from its own thread."""

    def __init__(self, folder: Path) -> None:
        self.bus = Bus()
        self.aggregator = ScriptedAggregator(self.bus.transport("aggregator"), models.linear())
        self.device = a_device(self.bus, folder, examples())
        self.aggregator.announce(1)

    def answer_until(self, n_updates: int) -> None:
        end_s = time.monotonic() + _PATIENCE_S
        while len(self.aggregator.updates) < n_updates and time.monotonic() < end_s:
            self.aggregator.work()
            time.sleep(0.001)
        assert len(self.aggregator.updates) >= n_updates


def a_device(bus: Bus, folder: Path, data: ArrayData) -> Device:
    return Device(
        fleet=FLEET, job=JOB, id="pi-3", transport=bus.transport("pi-3"), data=data,
        state_dir=folder / "state",
    )  # fmt: skip


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_a_thread_can_run_a_device_created_by_the_main_thread(home: Home) -> None:
    errors: list[BaseException] = []

    def run() -> None:
        try:
            home.device.run()
        except BaseException as error:  # the test checks it
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    home.answer_until(1)
    home.aggregator.announce(2)
    home.answer_until(2)
    home.device.stop()
    thread.join(_PATIENCE_S)
    assert not thread.is_alive()
    assert errors == []
    home.device.close()  # again, from here


def test_asyncio_can_run_each_step_in_a_different_thread(home: Home) -> None:
    seen: set[int] = set()

    def step() -> float:
        seen.add(threading.get_ident())
        return home.device.step()

    async def host() -> None:
        for number in range(400):
            # Two at once keep two of the pool's threads awake, so that the device changes threads.
            _, pause_s = await asyncio.gather(
                asyncio.to_thread(time.sleep, 0.001 * (number % 3)), asyncio.to_thread(step)
            )
            home.aggregator.work()
            if home.aggregator.updates:
                break
            await asyncio.sleep(min(pause_s, 0.01))
        await asyncio.to_thread(home.device.close)

    asyncio.run(host())
    assert len(home.aggregator.updates) == 1
    assert len(seen) > 1


def test_a_device_may_be_closed_by_a_thread_that_did_not_create_it(home: Home) -> None:
    home.device.step()
    closer = threading.Thread(target=home.device.close)
    closer.start()
    closer.join(_PATIENCE_S)
    again = a_device(home.bus, home.device.config.state_dir.parent, examples())
    again.close()


def test_a_second_thread_is_refused_in_one_sentence_and_harms_nothing(home: Home) -> None:
    home.aggregator.announce(1, plan=PLAN)
    thread = threading.Thread(target=home.device.run, name="worker-7")
    thread.start()
    home.answer_until(1)
    sentence = (
        r"^device pi-3 is in use by thread 'worker-7', and 'MainThread' called it too: one thread "
        r"at a time may use it; call stop\(\) and wait for the other to return$"
    )
    with pytest.raises(RuntimeError, match=sentence):
        home.device.step()
    with pytest.raises(RuntimeError, match=sentence):
        home.device.run()
    assert thread.is_alive()
    assert home.device.report()["rounds_trained"] == 1  # reading is allowed
    home.aggregator.announce(2)
    home.answer_until(2)
    home.device.close()  # asks the other to stop, and waits for it
    thread.join(_PATIENCE_S)
    assert not thread.is_alive()
