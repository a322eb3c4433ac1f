"""One run: its data, its federation, and the accuracy after each round."""

import functools
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fedge.bench.federation import methods
from fedge.bench.federation.engine import Federation
from fedge.bench.federation.setting import CENTRALISED, LOCAL, Setting
from fedge.bench.federation.tasks import TASKS, Parts, Task, prepare
from fedge.bench.journal import require_counts, require_shares
from fedge.data import Dataset
from fedge.training import ArrayData
from fedge.types import Array

FLOAT32 = "none"  # the spec of a codec that loses nothing
UNBIASED = "eden:2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a run came to.

    Attributes:
        n_params: of the model.
        n_devices: that had something to train on.
        accuracies: after each round.
        up, down: bytes of all devices in all rounds; none without a federation.
        cpu_s: what it took, the whole process.
    """

    setting: Setting
    n_params: int
    n_devices: int
    accuracies: tuple[float, ...]
    up: int
    down: int
    cpu_s: float

    def check(self) -> None:
        """ValueError unless there is an accuracy for each round, and nothing is below 0."""
        require_shares(*self.accuracies)
        require_counts(self.n_params, self.n_devices, self.up, self.down, self.cpu_s)
        if len(self.accuracies) != self.setting.rounds:
            raise ValueError("an accuracy for each round")


def run(setting: Setting, paths: Mapping[str, Path]) -> Result:
    """Play one run; `paths` has the data of the tasks that need some.

    Raises:
        ConfigError, DataError: if a name is unknown, or the data are missing or damaged.
    """
    start = time.process_time()
    task = TASKS[setting.task]
    parts = prepare(task, _load(setting.task, paths.get(setting.task)), setting.split, setting.seed)
    accuracies, up, down = [], 0, 0
    if setting.method == LOCAL:
        accuracies = _alone(setting, task, parts)
    else:
        for point in _federation(setting, task, parts).play(setting.rounds):
            accuracies.append(point.accuracy)
            up, down = point.up, point.down
    is_federated = setting.method not in methods.BASELINES
    return Result(
        setting=setting,
        n_params=parts.artifact.n_trainable,
        n_devices=len(parts.devices),
        accuracies=tuple(round(float(accuracy), 6) for accuracy in accuracies),
        up=up if is_federated else 0,
        down=down if is_federated else 0,
        cpu_s=round(time.process_time() - start, 2),
    )


@functools.lru_cache(maxsize=1)
def _load(name: str, path: Path | None) -> Dataset:
    return TASKS[name].load(path)


def _federation(setting: Setting, task: Task, parts: Parts) -> Federation:
    method = methods.get(setting.method)
    devices = [_pooled(parts)] if setting.method == CENTRALISED else parts.devices
    whole = Federation(
        artifact=parts.artifact,
        devices=devices,
        test=parts.test,
        plan=replace(task.plan, algorithm=method.algorithm),
        strategy=method.strategy,
        n_sampled=task.n_sampled,
        uneven=method.uneven,
        seed=setting.seed,
    )
    is_federated = setting.method not in methods.BASELINES
    if setting.way == "default" and is_federated:
        return whole
    if setting.way == "unbiased" and is_federated:
        return replace(whole, plan=replace(whole.plan, codec=UNBIASED))
    exact = replace(whole, plan=replace(whole.plan, codec=FLOAT32), downlink_codec=FLOAT32)
    if setting.way == "bounded":
        return exact
    return replace(exact, norm_bound=None, weight_bound=None, quarantine_after=None)


def _pooled(parts: Parts) -> ArrayData:
    """All examples of all devices, as if one had them."""

    def join(arrays: list[Array]) -> Array:
        return np.concatenate(arrays)

    names = parts.devices[0].inputs
    return ArrayData(
        {name: join([device.inputs[name] for device in parts.devices]) for name in names},
        join([device.targets for device in parts.devices]),
    )


def _alone(setting: Setting, task: Task, parts: Parts) -> list[float]:
    """After each round, the share of all test examples that their own device's model gets right.

    Every device trains as often as if it had been asked in every round. Where no test example
    has an owner, each model is tested on all.
    """
    tests = parts.own_tests or [parts.test] * len(parts.devices)
    totals = np.zeros(setting.rounds)
    for device, test in zip(parts.devices, tests, strict=True):
        own = replace(parts, devices=[device], test=test)
        points = _federation(replace(setting, way="float32"), task, own).play(setting.rounds)
        totals += test.n_examples * np.array([point.accuracy for point in points])
    return list(totals / sum(test.n_examples for test in tests))
