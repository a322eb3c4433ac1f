"""One federation under one attack."""

from dataclasses import dataclass, replace

import numpy as np

from fedge.artifact import Artifact
from fedge.bench.attacks.catalogue import ATTACKS, Attacker, Task
from fedge.bench.attacks.poison import backdoor_of
from fedge.bench.attacks.setting import CLEAN, CODECS, UNBOUNDED, WINDOW, Setting
from fedge.bench.codecs import tasks
from fedge.bench.federation import Federation, Point
from fedge.bench.journal import require_counts, require_shares
from fedge.simulation.data import part
from fedge.training import ArrayData, Plan, Trainer


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The result of a run.

    Attributes:
        accuracy: of the aggregator's model on test data, a mean of the last rounds.
        backdoor: share of marked test examples that the last model takes for the attacker's class,
            whether or not there was a backdoor attack.
        curve: accuracy after every round.
        refused, dropped, clipped: updates of all rounds that were refused on arrival, left out by
            the bound on norms, or shortened by it.
    """

    setting: Setting
    accuracy: float
    backdoor: float
    curve: tuple[float, ...]
    refused: int
    dropped: int
    clipped: int

    def check(self) -> None:
        """ValueError unless all shares are shares, and nothing is counted below 0."""
        require_shares(self.accuracy, self.backdoor, *self.curve)
        require_counts(self.refused, self.dropped, self.clipped)


def run(setting: Setting) -> Result:
    """Play all rounds."""
    task = tasks.get(setting.task)
    data = task.load()
    artifact = task.build(data, setting.seed)
    parts = part(data, n_devices=setting.n_devices, alpha=setting.alpha, seed=setting.seed)
    devices = [ArrayData.of(own).check(artifact.manifest) for own in parts.devices.values()]
    test = ArrayData.of(parts.test).check(artifact.manifest)
    known = Task(n_classes=int(data.targets.max()) + 1, backdoor=backdoor_of(test))
    federation = Federation(
        artifact=artifact,
        devices=devices,
        test=test,
        plan=Plan(local_steps=setting.local_steps, lr=setting.lr or task.lr),
        n_sampled=setting.n_devices,
        seed=setting.seed,
        adversary=_adversary(setting, known),
    )
    points = list(_with_rule(_with_codec(federation, setting), setting).play(setting.rounds))
    return _result(setting, points, _turned(artifact, points[-1], known.backdoor.trap(test)))


def hostile(setting: Setting) -> frozenset[int]:
    """The devices of the attacker, drawn evenly: the same for every rule and attack of a seed."""
    rng = np.random.default_rng([setting.seed, 5])
    return frozenset(map(int, rng.permutation(setting.n_devices)[: setting.n_hostile]))


def _adversary(setting: Setting, known: Task) -> Attacker | None:
    if setting.attack == CLEAN:
        return None
    return Attacker(attack=ATTACKS[setting.attack], hostile=hostile(setting), task=known)


def _with_codec(federation: Federation, setting: Setting) -> Federation:
    codecs = CODECS[setting.codec]
    if codecs is None:
        return federation
    up, down = codecs
    return replace(federation, plan=replace(federation.plan, codec=up), downlink_codec=down)


def _with_rule(federation: Federation, setting: Setting) -> Federation:
    if setting.rule == UNBOUNDED:
        return replace(
            federation, strategy="mean", norm_bound=None, weight_bound=None, quarantine_after=None
        )
    federation = replace(federation, strategy=setting.rule)
    if setting.norm_bound is not None:
        federation = replace(federation, norm_bound=setting.norm_bound)
    if setting.weight_bound is not None:
        federation = replace(federation, weight_bound=setting.weight_bound)
    return federation


def _turned(artifact: Artifact, last: Point, trap: ArrayData) -> float:
    return Trainer(artifact).evaluate(last.parameters, trap).accuracy or 0.0


def _result(setting: Setting, points: list[Point], backdoor: float) -> Result:
    curve = tuple(round(point.accuracy, 5) for point in points)
    return Result(
        setting=setting,
        accuracy=sum(curve[-WINDOW:]) / len(curve[-WINDOW:]),
        backdoor=backdoor,
        curve=curve,
        refused=sum(point.refused for point in points),
        dropped=sum(point.dropped for point in points),
        clipped=sum(point.clipped for point in points),
    )
