"""Recurrent layers."""

from collections.abc import Sequence

from fedge.artifact.safety.messages import Shape
from fedge.artifact.safety.sizes.table import Call, rule


def _work(call: Call, _outputs: Sequence[Shape]) -> int:
    """A product with each of the two matrices, per step and example."""
    steps, batch, _ = call.shape(0)
    directions, gates, n_in = call.shape(1)
    return steps * batch * directions * gates * (n_in + call.shape(2)[2])


@rule("GRU", "LSTM", "RNN", work=_work)
def recurrent(call: Call) -> list[Shape]:
    """x (steps, batch, n), w (directions, gates, n): the states of all steps, and the last ones."""
    directions, hidden = call.shape(1)[0], call.shape(2)[2]
    if call.option("layout", 0):
        batch, steps, _ = call.shape(0)
        return [(batch, steps, directions, hidden), *[(batch, directions, hidden)] * 2]
    steps, batch, _ = call.shape(0)
    return [(steps, directions, batch, hidden), *[(directions, batch, hidden)] * 2]
