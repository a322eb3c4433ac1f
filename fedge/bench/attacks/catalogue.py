"""Every attack of the bench by name, and who carries it out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from fedge.bench.attacks import vectors
from fedge.bench.attacks.crafted import constant_payload
from fedge.bench.attacks.poison import Backdoor, flip_labels
from fedge.bench.federation import Forged, View
from fedge.bench.federation.aggregation import MAX_EXAMPLES
from fedge.training import ArrayData
from fedge.types import Vector

Forging = Callable[[View], Mapping[int, Forged]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What an attacker knows of the task: the number of classes, and a mark for a backdoor."""

    n_classes: int
    backdoor: Backdoor


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """What hostile devices do.

    Attributes:
        about: a short description.
        is_targeted: whether it wants a behaviour of its own; others only want the model to fail.
        poison: gives the examples that a hostile device trains on; None: its own.
        forge: gives what hostile devices send; None: what they learned.
    """

    about: str
    is_targeted: bool = False
    poison: Callable[[ArrayData, Task], ArrayData] | None = None
    forge: Forging | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attacker:
    """Hostile devices that carry out one attack together: an `Adversary`."""

    attack: Attack
    hostile: frozenset[int]
    task: Task

    def poison(self, device: int, data: ArrayData) -> ArrayData:
        del device
        return data if self.attack.poison is None else self.attack.poison(data, self.task)

    def forge(self, view: View) -> Mapping[int, Forged]:
        if self.attack.forge is None or not (view.honest and view.own):
            return {}
        return self.attack.forge(view)


def _all_send(attack: Callable[[Vector], Vector]) -> Forging:
    """Every hostile device sends the same delta, made from the honest ones."""

    def forge(view: View) -> dict[int, Forged]:
        delta = attack(_honest(view))
        return {device: Forged(delta=delta) for device in view.own}

    return forge


def _constant(value: float) -> Forging:
    """Every hostile device sends this number for every parameter, and claims its own examples."""

    def forge(view: View) -> dict[int, Forged]:
        return {
            device: Forged(
                payload=constant_payload(
                    value,
                    view.parameters.size,
                    replace(view.stamp, n_examples=view.n_examples[device]),
                )
            )
            for device in view.own
        }

    return forge


def _gaussian(view: View) -> dict[int, Forged]:
    delta = vectors.gaussian(_honest(view), view.rng)
    return {device: Forged(delta=delta) for device in view.own}


def _replacement(view: View) -> dict[int, Forged]:
    devices = sorted(view.own)
    delta = vectors.replacement(
        np.stack([view.own[device] for device in devices]),
        np.array([view.n_examples[device] for device in devices]),
        n_total=sum(view.n_examples.values()),
    )
    return {device: Forged(delta=delta) for device in devices}


def _free_rider(view: View) -> dict[int, Forged]:
    """Source: Lin et al., 2019, arXiv:1911.12560 (the difference between the last two models)."""
    delta = view.parameters - view.before
    return {device: Forged(delta=delta) for device in view.own}


def _heavy(view: View) -> dict[int, Forged]:
    """The first hostile device does it alone; the others are as good as honest."""
    delta = vectors.inner_product_manipulation(_honest(view), tau=1.0)
    return {min(view.own): Forged(delta=delta, n_examples=MAX_EXAMPLES)}


def _honest(view: View) -> Vector:
    return np.stack([view.honest[device] for device in sorted(view.honest)])


def _flipped(data: ArrayData, task: Task) -> ArrayData:
    return flip_labels(data, n_classes=task.n_classes)


def _marked(data: ArrayData, task: Task) -> ArrayData:
    return task.backdoor.poison(data)


_IPM = vectors.inner_product_manipulation
ATTACKS: dict[str, Attack] = {
    "none": Attack(about="all devices are honest"),
    "sign_flip": Attack(about="minus the honest mean", forge=_all_send(partial(_IPM, tau=1.0))),
    "x10": Attack(about="minus 10 times the honest mean", forge=_all_send(partial(_IPM, tau=10.0))),
    "ipm": Attack(about="minus twice the honest mean", forge=_all_send(_IPM)),
    "alie": Attack(
        about="the honest mean and 1.5 standard deviations",
        forge=_all_send(vectors.a_little_is_enough),
    ),
    "min_max": Attack(
        about="as far off as the farthest two honest deltas are apart",
        forge=_all_send(vectors.min_max),
    ),
    "min_sum": Attack(
        about="likewise, by the sum of squared distances", forge=_all_send(vectors.min_sum)
    ),
    "gaussian": Attack(about="noise of standard deviation 1", forge=_gaussian),
    "mimic": Attack(about="copies of one honest delta", forge=_all_send(vectors.mimic)),
    "label_flip": Attack(about="trains on labels counted from the other end", poison=_flipped),
    "nan": Attack(about="NaN for every parameter", forge=_constant(float("nan"))),
    "inf": Attack(about="infinity for every parameter", forge=_constant(float("inf"))),
    "zero": Attack(about="zero for every parameter", forge=_all_send(vectors.zero)),
    "free_rider": Attack(about="what the model last did, instead of training", forge=_free_rider),
    "heavy": Attack(about="one device flips the mean and claims 10 million", forge=_heavy),
    "backdoor": Attack(
        about="half its examples are marked, and of one class", is_targeted=True, poison=_marked
    ),
    "replacement": Attack(
        about="that backdoor, so long that it replaces the model",
        is_targeted=True,
        poison=_marked,
        forge=_replacement,
    ),
}
UNTARGETED = tuple(name for name, attack in ATTACKS.items() if not attack.is_targeted)
