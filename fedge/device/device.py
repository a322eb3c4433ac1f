"""The runtime of a device: one connection, one worker, one loop."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from fedge.config.device import DeviceConfig
from fedge.config.fields import given
from fedge.device.link.lookout import Lookout
from fedge.device.link.presence import Membership
from fedge.device.link.status import LinkStatus
from fedge.device.parts import assemble, connect
from fedge.device.report import process_figures
from fedge.device.state.directory import lock_state
from fedge.device.state.disk import check_start
from fedge.device.state.outbox import Outbox
from fedge.device.turns import Turns
from fedge.device.work.examples import Examples
from fedge.device.work.phases import Finished, Phase
from fedge.logs import logger
from fedge.messages import Topics
from fedge.training import DataSource
from fedge.training.engines import EngineName, choose
from fedge.transport import Connected, Disconnected, Event, Message, Transport, Undelivered
from fedge.transport.url import BrokerUrl
from fedge.types import DeviceId, JobId

_log = logger(__name__)

MAX_PAUSE_S = 0.5  # between two checks for a request to stop
_LAST_STEP_S = 10.0  # how long `close` waits for a thread in `run` or `step`
_FAREWELL_S = 2.0  # time for saying goodbye to the broker
_HEARSAY_S = 30.0  # to wait for an aggregator if only the broker says the job is finished
_LAST_ANSWERS_S = 10.0  # to wait for outstanding answers once the job is finished


class Device:
    """A device that takes part in a job's rounds until it is stopped.

    `run` does everything. A host application with its own loop calls `step` instead,
    which never takes longer than one event, one local training step or one resend,
    and returns how long the device can be left alone:

        with Device(broker="mqtt://127.0.0.1:1883", id="pi-3", data=data) as device:
            while not device.is_stopping:
                pause_s = device.step()
                read_sensors(pause_s)

    Any thread may use it, one at a time: `Thread(target=device.run)`, or `step` through
    `asyncio.to_thread`. A second thread gets a RuntimeError; `close` asks the first to stop
    and waits for it. `stop`, `phase` and `report` may be used from any thread at any time,
    and `stop` from a signal handler. The device installs no signal handlers itself.

    Args:
        config: the settings; they can also be given by name, as above, instead or in addition.
        data: the examples, or the `.npz` file that holds them. If there are none yet, the device
            skips rounds until there are some.
        transport: a connection not yet started, used instead of the device's own.
        clock: monotonic seconds.
        settings: fields of `DeviceConfig`.

    Raises:
        ConfigError: if a setting is unknown or out of range, there is no data, or the state
            directory is another device's.
        MissingDependencyError: if the engine named in the settings is not installed.
        StorageError: if the state directory cannot be written, or another process uses it.
        DataError: if the data file does not hold examples.
    """

    def __init__(
        self,
        config: DeviceConfig | None = None,
        *,
        data: DataSource | Path | str | None = None,
        transport: Transport | None = None,
        clock: Callable[[], float] = time.monotonic,
        **settings: Any,
    ) -> None:
        if isinstance(data, Path | str):
            settings, data = {**settings, "data": Path(data)}, None
        self.config = config = given(DeviceConfig, config, settings)
        self.is_stopping = False
        self._clock = clock
        self._turns = Turns(f"device {config.id}")
        self._is_closed = False
        self._link_status: LinkStatus | None = None
        self._finished_at_s: float | None = None
        topics = Topics(config.fleet)
        examples = Examples(config, data)
        self._engine = _choose_engine(config)
        self._membership = Membership(
            DeviceId(config.id), topics.device_state(config.id), JobId(config.job), self._engine
        )
        self._transport = transport or connect(config, self._membership)
        self._lookout = Lookout(self._transport, topics, config.job)
        self._lock = lock_state(config.state_dir)
        try:
            check_start(config.state_dir)
            self._outbox = Outbox(
                config.state_dir / "outbox.sqlite3", fleet=config.fleet, device=config.id
            )
            self._router = assemble(
                config, examples, self._transport, self._outbox, self._membership, self._engine
            )
        except BaseException:
            self._lock.release()
            raise

    @property
    def phase(self) -> Phase:
        """What the device is doing."""
        return self._router.worker.phase

    def run(self) -> None:
        """Take part until `stop`, or until the job is finished if the settings say so.

        Raises:
            TransportError: if the broker was not reached within the time in the settings.
            IdentityError: if another running device has this id.
            StorageError: if the disk is full.
        """
        with self._turns.taken(), self:
            pause_s = 0.0
            while not self.is_stopping:
                pause_s = self._step(pause_s)

    def step(self, timeout_s: float = 0.0) -> float:
        """One bounded piece of work.

        Args:
            timeout_s: how long to wait for an event when there is nothing else to do.

        Returns:
            Seconds until it should be called again: 0 for immediately, never more than half a
            second. Calling earlier does no harm.

        Raises:
            FedgeError: like `run`.
            RuntimeError: if another thread is using the device.
        """
        with self._turns.taken():
            return self._step(timeout_s)

    def _step(self, timeout_s: float) -> float:
        watch = self._start()
        event = self._transport.receive(timeout_s)
        if event is not None:
            self._handle(event, watch)
            return 0.0
        now_s = self._clock()
        watch.check(now_s)
        self._lookout.check(now_s)
        self._router.uplink.look(now_s)
        if watch.is_up:
            self._membership.listen(self._transport, now_s)
            self._membership.announce_skip(self._transport, self._router.worker.skipped)
            self._router.follow(now_s)
        self._end_if_finished()
        self._router.worker.look_for_examples(now_s)
        if self._send(watch) or self._router.worker.train():
            return 0.0
        return self._pause_s(watch)

    def stop(self) -> None:
        """Ask `run` to end; a local training step under way is finished first."""
        self.is_stopping = True

    def report(self) -> dict[str, object]:
        """What the device did, in the form `fedge device --json` prints."""
        traffic = self._transport.traffic
        return {
            "id": self.config.id,
            "engine": self._engine,
            **self._router.figures(),
            "sent_bytes": traffic.sent_bytes,
            "received_bytes": traffic.received_bytes,
            **process_figures(),
        }

    def close(self) -> None:
        """Say goodbye to the broker and release the state directory; nothing in it is lost.

        Raises:
            RuntimeError: if another thread has not left `run` or `step` within ten seconds.
        """
        self.is_stopping = True
        with self._turns.taken(wait_s=_LAST_STEP_S):
            if not self._is_closed:
                self._is_closed = True
                self._close()

    def _close(self) -> None:
        self._router.worker.stop()
        if self._link_status is not None and self._link_status.is_up:
            self._membership.leave(self._transport)
            self._transport.flush(_FAREWELL_S)
        self._transport.close()
        self._outbox.close()
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self) -> LinkStatus:
        if self._link_status is None:
            config = self.config
            broker = str(BrokerUrl.parse(config.broker))  # without the password
            self._link_status = LinkStatus(broker, config.connect_timeout_s, self._clock())
            self._router.subscribe()
            self._transport.start()
        return self._link_status

    def _handle(self, event: Event, watch: LinkStatus) -> None:
        now_s = self._clock()
        match event:
            case Connected():
                watch.connected(event)
                self._lookout.up(now_s)
                self._membership.join(self._transport, self._router.worker.followed, now_s)
                self._router.sender.connected(event.max_payload_bytes, now_s)
                self._router.fetcher.hurry(now_s)
            case Disconnected():
                watch.disconnected(event, now_s)
                self._lookout.down()
                self._router.uplink.lost(now_s)
            case Undelivered() if self._lookout.refused(event):
                pass
            case Undelivered():
                watch.undelivered(event)
            case Message() if self._lookout.read(event):
                self._transport.done(event)
            case Message():
                self._router.read(event, now_s)

    def _send(self, watch: LinkStatus) -> bool:
        """Send one request or one result that is due; whether there was one."""
        now_s = self._clock()
        if not watch.is_up:
            return False
        if self._router.fetcher.ask(now_s):
            return True
        result = self._router.sender.send(now_s)
        if result is not None:
            self._router.uplink.began(len(result.payload), now_s)
        return result is not None

    def _end_if_finished(self) -> None:
        """Stop after the job's last round, once everything is answered or the wait is over.

        A message retained by the broker may be out of date: more rounds may have been ordered
        since, and an aggregator may be about to announce them.
        """
        if not (self.config.exit_when_finished and isinstance(self.phase, Finished)):
            self._finished_at_s = None
            return
        now_s = self._clock()
        self._finished_at_s = self._finished_at_s or now_s
        waited_s = now_s - self._finished_at_s
        is_answered = not self._router.sender.n_pending or waited_s > _LAST_ANSWERS_S
        if is_answered and (self._router.is_live or waited_s > _HEARSAY_S):
            self.stop()

    def _pause_s(self, watch: LinkStatus) -> float:
        if self._router.worker.is_busy:
            return 0.0
        if not watch.is_up:
            return MAX_PAUSE_S
        due_at_s = min(self._router.fetcher.due_at_s(), self._router.sender.due_at_s())
        pause_s = min(MAX_PAUSE_S, self._router.uplink.pause_s)
        return min(pause_s, max(0.0, due_at_s - self._clock()))


def _choose_engine(config: DeviceConfig) -> EngineName:
    """What trains; chosen before anything is sent, so nobody waits for a device that cannot."""
    choice = choose(config.engine)
    if choice.note is not None:
        _log.warning("%s", choice.note)
    return choice.name
