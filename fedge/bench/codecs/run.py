"""One federation in one process: real training, real payloads, every byte counted."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from fedge import strategies
from fedge.artifact import Artifact
from fedge.bench.codecs import schemes, tasks
from fedge.bench.codecs.down import Difference, Downlink, WholeModel
from fedge.bench.codecs.sent import SentDeltas
from fedge.bench.codecs.setting import Setting
from fedge.bench.codecs.split import deal, hold_out
from fedge.bench.journal import require_counts, require_shares
from fedge.codecs import Stamp
from fedge.config.aggregator import AggregatorConfig
from fedge.errors import TrainingError
from fedge.setting import default_of
from fedge.strategies import Cohort, Member
from fedge.training import ArrayData, Plan, Trainer
from fedge.types import DeviceId, RoundId, Update, Vector

WINDOW = 5  # rounds whose mean accuracy must reach the target


@dataclass(frozen=True, slots=True)
class Point:
    """After a round: the accuracy of the devices' model, and the bytes of all devices so far."""

    round: int
    accuracy: float
    up: int
    down: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The result of a run."""

    setting: Setting
    target: float
    n_params: int
    points: tuple[Point, ...]
    reached: Point | None  # the first one with the mean of the last rounds at the target
    failure: str | None = None  # why it ended early

    def check(self) -> None:
        """ValueError unless all accuracies are shares, and nothing is below 0."""
        require_shares(*(point.accuracy for point in self.points))
        for point in self.points:
            require_counts(point.round, point.up, point.down)


def run(setting: Setting) -> Result:
    """Runs until the target is reached, the rounds are over, or training diverges."""
    task = tasks.get(setting.task)
    data = task.load()
    artifact = task.build(data, setting.seed)
    target = task.target if setting.target is None else setting.target
    federation = _Federation(setting, artifact, lr=setting.lr or task.lr)
    train, test = hold_out(data, setting.seed)
    parts = deal(train, setting.n_devices, iid=setting.iid, seed=setting.seed)
    devices = [ArrayData.of(part).check(artifact.manifest) for part in parts]
    points: list[Point] = []
    reached, failure = None, None
    try:
        for point in federation.play(devices, ArrayData.of(test).check(artifact.manifest)):
            points.append(point)
            if is_reached(points, target):
                reached = point
                break
    except TrainingError as error:
        failure = str(error)
    return Result(
        setting=setting,
        target=target,
        n_params=artifact.n_trainable,
        points=tuple(points),
        reached=reached,
        failure=failure,
    )


def is_reached(points: list[Point], target: float) -> bool:
    """Whether the mean accuracy of the last rounds has reached the target."""
    last = [point.accuracy for point in points[-WINDOW:]]
    return len(last) == WINDOW and sum(last) / WINDOW >= target


class _Federation:
    """The devices' residuals, the aggregator's model, and the bytes between them."""

    def __init__(self, setting: Setting, artifact: Artifact, *, lr: float) -> None:
        self._setting, self._lr = setting, lr
        self._trainer = Trainer(artifact)
        self._parameters = artifact.parameters.copy()
        self._n = artifact.n_trainable
        slots = tuple(slot for slot in artifact.layout if slot.trainable)
        self._scheme = schemes.get(setting.scheme, slots)
        self._stamp = Stamp(schema=artifact.schema[:4])
        self._rng = np.random.default_rng([setting.seed, 3])
        self._residuals: dict[int, Vector] = {}

    def play(self, devices: list[ArrayData], test: ArrayData) -> Iterator[Point]:
        """Round after round."""
        strategy = strategies.get(
            self._setting.strategy or default_of(AggregatorConfig, "strategy")
        )
        state = strategy.init(self._parameters[: self._n].copy())
        down = self._downlink(state.parameters)
        up_bytes = down_bytes = 0
        for round_ in range(1, self._setting.rounds + 1):
            cohort = self._cohort(len(devices))
            down_bytes += sum(down.catch_up(device) for device in cohort)
            self._parameters[: self._n] = down.model
            updates = [self._train(round_, device, devices[device]) for device in cohort]
            payloads = [self._encode(round_, *pair) for pair in zip(cohort, updates, strict=True)]
            up_bytes += sum(map(len, payloads))
            members = [_member(round_, *pair) for pair in zip(cohort, updates, strict=True)]
            deltas = SentDeltas(self._n, payloads, self._scheme.up.accumulate)
            state = strategy.step(state, Cohort(tuple(members), deltas))
            size = down.publish(state.parameters, self._rng)
            self._parameters[: self._n] = down.model
            accuracy = self._trainer.evaluate(self._parameters, test).accuracy or 0.0
            # This round's model counts as fetched by its cohort, so that all rounds end alike.
            yield Point(round_, accuracy, up_bytes, down_bytes + size * len(cohort))

    def _downlink(self, model: Vector) -> Downlink:
        way = self._scheme.down
        return WholeModel(model) if way is None else Difference(model, way, self._stamp)

    def _cohort(self, n_devices: int) -> list[int]:
        """The devices of this round, in order, without repeats."""
        n = max(1, round(self._setting.participation * n_devices))
        return sorted(int(i) for i in self._rng.permutation(n_devices)[:n])

    def _train(self, round_: int, device: int, data: ArrayData) -> Update:
        seed = (self._setting.seed * 10**4 + round_) * 10**4 + device
        plan = Plan(
            local_steps=self._setting.local_steps,
            lr=self._lr,
            seed=seed,
        )
        return self._trainer.fit(self._parameters, data, plan)

    def _encode(self, round_: int, device: int, update: Update) -> bytes:
        encoder, residual = self._scheme.up.encoder, None
        if encoder.uses_residual:
            residual = self._residuals.setdefault(device, np.zeros(self._n, np.float32))
        stamp = replace(self._stamp, round=round_, n_examples=update.n_examples)
        return encoder.encode(update.delta, residual, self._rng, stamp=stamp)


def _member(round_: int, device: int, update: Update) -> Member:
    return Member(
        device=DeviceId(f"{device:04}"),
        round=RoundId(round_),
        n_examples=update.n_examples,
        n_steps=update.n_steps,
        loss=update.loss,
    )
