"""The devices: they train and encode as a device does, each with a residual of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from fedge import codecs
from fedge.artifact import Artifact
from fedge.bench.federation.adversary import Adversary, Forged, View
from fedge.codecs import Stamp
from fedge.device.work.seeds import derive_seed
from fedge.errors import TrainingError
from fedge.strategies import algorithms
from fedge.strategies.algorithms import Algorithm, Vectors
from fedge.training import ArrayData, Plan, Trainer
from fedge.types import DeviceId, RoundId, Update, Vector


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What arrives at the aggregator from one device.

    Attributes:
        device: its number.
        payload: the update.
        n_steps, loss: of its training; None if it has none to tell.
        has_feedback: whether a refusal returns the payload to the device's residual.
        after: the algorithm's vector on the device, once the update is accepted; None: it has none.
    """

    device: int
    payload: bytes
    n_steps: int | None
    loss: float | None
    has_feedback: bool
    after: Vector | None


def name_of(device: int) -> DeviceId:
    """Names sort like numbers."""
    return DeviceId(f"{device:06}")


@dataclass(slots=True, kw_only=True)
class Fleet:
    """Devices that share one trainer, because they take turns.

    Attributes:
        plan: of every round; its seed is the federation's.
        uneven: every device draws its number of epochs in each round from 1 to the plan's.
    """

    artifact: Artifact
    devices: Sequence[ArrayData]
    plan: Plan
    trainer: Trainer
    adversary: Adversary | None
    uneven: bool
    algorithm: Algorithm
    _residuals: dict[int, Vector] = field(default_factory=dict)
    _own: dict[int, Vector] = field(default_factory=dict)  # the algorithm's, on each device
    _before: Vector | None = None  # what devices trained from in the last round

    def work(
        self, round_: int, cohort: Sequence[int], parameters: Vector, server: Vectors
    ) -> list[Sent]:
        """What these devices send in a round that starts from these parameters, (n_params,).

        `server` are the vectors that the algorithm's devices need.

        A device whose training diverges, or whose update does not fit float32, sends nothing.
        """
        updates = {}
        for device in cohort:
            try:
                updates[device] = self._train(round_, device, parameters, server)
            except TrainingError:
                continue
        forged = self._forge(round_, cohort, parameters, updates)
        self._before = parameters
        sent = (self._send(round_, d, updates.get(d), forged.get(d), server) for d in cohort)
        return [one for one in sent if one is not None]

    def answer(self, sent: Sequence[Sent], refused: Sequence[Sent]) -> None:
        """Tell devices what was accepted: the rest returns to their residuals."""
        for one in refused:
            if one.has_feedback:
                codecs.restore(one.payload, self._residuals[one.device])
        gone = {one.device for one in refused}
        for one in sent:
            if one.device not in gone and one.after is not None:
                self._own[one.device] = one.after

    def _train(self, round_: int, device: int, parameters: Vector, server: Vectors) -> Update:
        plan = self._plan(round_, device)
        terms = self.algorithm.local(plan, server, self._own.get(device))
        plan = replace(plan, proximal=terms.proximal)
        return self.trainer.fit(parameters, self.devices[device], plan, terms.correction)

    def _plan(self, round_: int, device: int) -> Plan:
        plan = replace(self.plan, seed=self._seed(round_, device, "training"))
        if not self.uneven or plan.epochs is None:
            return plan
        draw = np.random.default_rng(self._seed(round_, device, "epochs"))
        return replace(plan, epochs=int(draw.integers(1, plan.epochs + 1)))

    def _send(
        self,
        round_: int,
        device: int,
        own: Update | None,
        forged: Forged | None,
        server: Vectors,
    ) -> Sent | None:
        crafted = forged.payload if forged else None
        if crafted is None and own is None:
            return None
        if crafted is not None or own is None:
            payload, has_feedback, after = crafted or b"", False, None
        else:
            try:
                payload, has_feedback = self._encode(round_, device, _claimed(own, forged))
            except ValueError:  # out of the range of float32
                return None
            after = self._after(device, payload, own.n_steps, server)
        return Sent(
            device=device,
            payload=payload,
            n_steps=own.n_steps if own else None,
            loss=own.loss if own else None,
            has_feedback=has_feedback,
            after=after,
        )

    def _after(self, device: int, payload: bytes, n_steps: int, server: Vectors) -> Vector | None:
        """The algorithm's vector, from what was sent."""
        if not self.algorithm.keeps_vector:
            return None
        sent = algorithms.Sent(codecs.decode(payload).to_dense(), n_steps)
        return self.algorithm.after(self.plan, server, self._own.get(device), sent)

    def _encode(self, round_: int, device: int, update: Update) -> tuple[bytes, bool]:
        """The payload, and whether what it left out is in the device's residual."""
        codec = codecs.get(self.plan.codec)
        stamp = replace(self._stamp(round_), n_examples=update.n_examples)
        rng = np.random.default_rng(self._seed(round_, device, "codec"))
        if not codec.uses_residual:
            return codec.encode(update.delta, None, rng, stamp=stamp), False
        before = self._residuals.get(device)
        after = np.zeros(update.delta.size, np.float32) if before is None else before.copy()
        payload = codec.encode(update.delta, after, rng, stamp=stamp)
        self._residuals[device] = after
        return payload, True

    def _forge(
        self,
        round_: int,
        cohort: Sequence[int],
        parameters: Vector,
        updates: Mapping[int, Update],
    ) -> Mapping[int, Forged]:
        adversary = self.adversary
        if adversary is None or adversary.hostile.isdisjoint(cohort):
            return {}
        deltas = {device: update.delta for device, update in updates.items()}
        n, before = self.artifact.n_trainable, self._before
        view = View(
            round=round_,
            parameters=parameters[:n],
            before=(parameters if before is None else before)[:n],
            honest={d: delta for d, delta in deltas.items() if d not in adversary.hostile},
            own={d: delta for d, delta in deltas.items() if d in adversary.hostile},
            n_examples={device: self.devices[device].n_examples for device in cohort},
            stamp=self._stamp(round_),
            rng=np.random.default_rng((self.plan.seed, round_, 1)),
        )
        forged = adversary.forge(view)
        if not forged.keys() <= adversary.hostile.intersection(cohort):
            raise ValueError("only hostile devices of the round can send something else")
        return forged

    def _stamp(self, round_: int) -> Stamp:
        return Stamp(schema=self.artifact.schema[:4], round=round_)

    def _seed(self, round_: int, device: int, purpose: str) -> int:
        return derive_seed(self.plan.seed, name_of(device), RoundId(round_), purpose)


def _claimed(update: Update, forged: Forged | None) -> Update:
    if forged is None or forged.delta is None:
        return update
    n_examples = update.n_examples if forged.n_examples is None else forged.n_examples
    return replace(update, delta=forged.delta, n_examples=n_examples)
