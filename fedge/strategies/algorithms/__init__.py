"""What changes both ends of federated learning: FedProx, SCAFFOLD, FedDyn, FedNova, Ditto.

A rule and an optimizer turn deltas into the next model. An algorithm also changes how devices
train, and may keep a vector on each device and one on the aggregator. All of it is values: what is
kept is passed in and returned. One round of a model whose parameters are all trained; `held` is the
model as devices hold it, `state.parameters` the exact one:

    algorithm, strategy = algorithms.get("scaffold"), strategies.get("fedavg")
    algorithms.check(algorithm, strategy, plan)
    state = algorithm.init(strategy.init(parameters))
    own: dict[DeviceId, Vector] = {}  # each on its device
    server: dict[str, Vector] = {}  # zeros, before the first round

    for device in sampled:
        terms = algorithm.local(plan, server, own.get(device))
        update = trainer.fit(held, data[device], replace(plan, proximal=terms.proximal),
                             terms.correction)
        payload = codec.encode(update.delta, residual[device], rng)
        sent = Sent(codecs.decode(payload).to_dense(), update.n_steps)
        after = algorithm.after(plan, server, own.get(device), sent)
        if after is not None:  # only if the payload is accepted
            own[device] = after
        personal = algorithm.personal(held, own.get(device))
        if personal is not None:  # Ditto: its delta is never sent
            mine = trainer.fit(personal.start, data[device],
                               replace(plan, proximal=personal.proximal), personal.correction)
            own[device] = personal.start + mine.delta

    cohort = algorithm.prepare(cohort_of(accepted), plan)  # then the bound on norms
    occasion = Occasion(plan=plan, fleet_examples=total, server=server)
    state = algorithm.step(strategy, state, cohort, occasion)
    server = decoded(algorithm.server(state, total))  # as devices decode them: both ends use that

A device that missed rounds does no harm. Nor does one that does not know the algorithm: it says no
number of steps, and its update counts for the model as FedAvg's does, but not for the vectors.
"""

from fedge.strategies.algorithms.algorithm import Algorithm
from fedge.strategies.algorithms.check import check
from fedge.strategies.algorithms.registry import DEFAULT, HELP, SPECS, algorithm_name, get
from fedge.strategies.algorithms.steps import effective_steps
from fedge.strategies.algorithms.values import LocalTerms, Occasion, Sent, Vectors

__all__ = [
    "DEFAULT",
    "HELP",
    "SPECS",
    "Algorithm",
    "LocalTerms",
    "Occasion",
    "Sent",
    "Vectors",
    "algorithm_name",
    "check",
    "effective_steps",
    "get",
]
