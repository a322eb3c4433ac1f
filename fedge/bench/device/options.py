"""What `fedge bench device` measures. It imports nothing: a board that is measured has little."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The work and how often; what is None here is as in `fedge demo`.

    Attributes:
        rounds: of local training; the first one's cost is not counted.
        local_steps: optimizer steps of a round.
        batch_size: examples of a step.
        codec: of updates.
        downlink_codec: of models.
        repeats: of the start-up, in fresh interpreters.
        engine: what trains on our device: auto, onnxruntime or reference.
        peer_python: an interpreter that has Flower and torch; None measures no peer.
    """

    rounds: int = 20
    local_steps: int | None = None
    batch_size: int | None = None
    codec: str | None = None
    downlink_codec: str | None = None
    repeats: int = 5
    engine: str = "auto"
    peer_python: str | None = None


DEFAULTS = Options()
