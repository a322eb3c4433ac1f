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
    """

    device: int
    payload: bytes
    n_steps: int | None
    loss: float | None
    has_feedback: bool


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
    _residuals: dict[int, Vector] = field(default_factory=dict)
    _before: Vector | None = None  # what devices trained from in the last round

    def work(self, round_: int, cohort: Sequence[int], parameters: Vector) -> list[Sent]:
        """What these devices send in a round that starts from these parameters, (n_params,).

        A device whose training diverges, or whose update does not fit float32, sends nothing.
        """
        updates = {}
        for device in cohort:
            try:
                updates[device] = self._train(round_, device, parameters)
            except TrainingError:
                continue
        forged = self._forge(round_, cohort, parameters, updates)
        self._before = parameters
        sent = (self._send(round_, d, updates.get(d), forged.get(d)) for d in cohort)
        return [one for one in sent if one is not None]

    def take_back(self, refused: Sequence[Sent]) -> None:
        """Return updates that were refused to their devices' residuals."""
        for sent in refused:
            if sent.has_feedback:
                codecs.restore(sent.payload, self._residuals[sent.device])

    def _train(self, round_: int, device: int, parameters: Vector) -> Update:
        seed = self._seed(round_, device, "training")
        plan = replace(self.plan, seed=seed)
        if self.uneven and plan.epochs is not None:
            draw = np.random.default_rng(self._seed(round_, device, "epochs"))
            plan = replace(plan, epochs=int(draw.integers(1, plan.epochs + 1)))
        return self.trainer.fit(parameters, self.devices[device], plan)

    def _send(
        self, round_: int, device: int, own: Update | None, forged: Forged | None
    ) -> Sent | None:
        has_feedback = False
        payload = forged.payload if forged else None
        if payload is None and own is not None:
            try:
                payload, has_feedback = self._encode(round_, device, _claimed(own, forged))
            except ValueError:  # out of the range of float32
                return None
        if payload is None:
            return None
        return Sent(
            device=device,
            payload=payload,
            n_steps=own.n_steps if own else None,
            loss=own.loss if own else None,
            has_feedback=has_feedback,
        )

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
