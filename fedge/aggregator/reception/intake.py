"""From chunks of updates to accepted updates and answers."""

from fedge.aggregator.reception.reassembly import Reassembly
from fedge.aggregator.reception.validation import RefusedError, check_update
from fedge.aggregator.rounds.job import Job
from fedge.aggregator.state.records import UpdateRecord
from fedge.artifact import Artifact
from fedge.messages import Accepted, Reason, Refused, Reply, UpdateChunk
from fedge.messages.statistics import max_bytes
from fedge.rounds import Verdict
from fedge.types import DeviceId

_REFUSALS = {
    Verdict.LATE: (Reason.LATE, "round {} is over"),
    Verdict.SECOND: (Reason.SECOND, "another update of this device for round {} was accepted"),
    Verdict.UNKNOWN: (Reason.UNKNOWN_ROUND, "round {} was never opened"),
}
_HEADER = 1024  # bytes that a payload may have besides its values


class Intake:
    """Takes chunks and returns answers.

    The caller must commit before it sends an answer.
    """

    def __init__(self, job: Job, artifact: Artifact, *, max_examples: int) -> None:
        self._job, self._artifact, self._max_examples = job, artifact, max_examples
        # The largest sparse payload is a bit over four bytes a parameter, the dense one is four.
        size = max(5 * artifact.n_trainable + _HEADER, max_bytes(artifact.manifest))
        self.reassembly = Reassembly(size)

    def take(self, device: DeviceId, chunk: UpdateChunk, now_s: float) -> Reply | None:
        """The answer to a chunk; None if there is none yet."""
        try:
            return self._take(device, chunk, now_s)
        except RefusedError as refusal:
            return self._refuse(chunk, refusal.reason, refusal.detail)

    def _take(self, device: DeviceId, chunk: UpdateChunk, now_s: float) -> Reply | None:
        if chunk.run != self._job.run:
            return self._refuse_stranger(chunk)
        verdict = self._job.answers.judge(
            device, chunk.round, chunk.nonce, last_number=self._job.last_number
        )
        if verdict is not Verdict.ACCEPTED:
            return self._answer(chunk, verdict) if _is_edge(chunk) else None
        payload = self.reassembly.add(device, chunk, now_s)
        if payload is None:
            return None
        self._count(device, chunk, payload)
        return self._answer(chunk, Verdict.ACCEPTED)

    def _refuse_stranger(self, chunk: UpdateChunk) -> Refused | None:
        if not _is_edge(chunk):
            return None
        runs = f"made for run {chunk.run.hex()} of the job, this is {self._job.run.hex()}"
        return self._refuse(chunk, Reason.OTHER_RUN, runs)

    def _count(self, device: DeviceId, chunk: UpdateChunk, payload: bytes) -> None:
        round_ = self._job.round
        assert round_ is not None  # noqa: S101 - only an open round returns ACCEPTED
        checked = check_update(
            payload, self._artifact, chunk.round, round_.kind, max_examples=self._max_examples
        )
        if checked.norm is not None:
            self._job.combiner.norms[device, chunk.round] = checked.norm
        self._job.current.receive(
            UpdateRecord(
                round=chunk.round,
                device=device,
                nonce=chunk.nonce,
                n_examples=checked.n_examples,
                payload=payload,
                n_steps=None if chunk.facts is None else chunk.facts.n_steps,
                loss=None if chunk.facts is None else chunk.facts.loss,
            )
        )

    def _answer(self, chunk: UpdateChunk, verdict: Verdict) -> Reply:
        if verdict is Verdict.ACCEPTED or verdict is Verdict.REPEATED:
            return Accepted(job=self._job.id, round=chunk.round, nonce=chunk.nonce)
        reason, sentence = _REFUSALS[verdict]
        return self._refuse(chunk, reason, sentence.format(chunk.round))

    def _refuse(self, chunk: UpdateChunk, reason: Reason, detail: str) -> Refused:
        return Refused(
            job=self._job.id, round=chunk.round, nonce=chunk.nonce, reason=reason, detail=detail
        )


def _is_edge(chunk: UpdateChunk) -> bool:
    """Whether to answer this one if all chunks would get the same answer: the first and last do."""
    return chunk.index in (0, chunk.total - 1)
