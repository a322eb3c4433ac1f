"""Updates that have arrived in part: bounded for each device and in all."""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

from fedge.aggregator.verify import RefusedError
from fedge.errors import PayloadError
from fedge.messages import Assembly, Missing, Reason, UpdateChunk
from fedge.types import DeviceId, JobId, RoundId

PER_DEVICE = 2  # one being sent, and one that replaces it
MAX_PARTIALS = 4096
MAX_TOTAL_BYTES = 512 * 2**20
SMALLEST_CHUNK = 512  # bytes; smaller ones would cost more memory than they carry
MIN_CHUNKS = 64  # that many are taken even of a tiny update
_ASK_AFTER_S = 1.0  # of silence in the middle of an update
_ASK_AGAIN_S = 2.0
_FORGET_AFTER_S = 120.0

_Key = tuple[DeviceId, RoundId, bytes, int, bytes]


@dataclass(slots=True)
class _Partial:
    assembly: Assembly
    touched_s: float
    ask_s: float


class Partials:
    """Puts updates together; forgets the ones least recently heard of when it gets too much.

    A forgotten update is not lost: its device sends it until it is answered.

    Args:
        max_bytes: the most that one update may have.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._max_chunks = max(MIN_CHUNKS, -(-max_bytes // SMALLEST_CHUNK))
        self._partials: OrderedDict[_Key, _Partial] = OrderedDict()
        self._of: dict[DeviceId, list[_Key]] = {}  # oldest first
        self.size_bytes = 0

    def add(self, device: DeviceId, chunk: UpdateChunk, now_s: float) -> bytes | None:
        """Take a chunk; the whole update, if this was the last one of it to come.

        Raises:
            RefusedError: if it is too large, or its bytes were changed on the way.
        """
        if chunk.total > self._max_chunks:
            raise RefusedError(
                Reason.TOO_LARGE, f"chunks: at most {self._max_chunks}, found {chunk.total}"
            )
        key = (device, chunk.round, chunk.nonce, chunk.total, chunk.digest)
        partial = self._partials.get(key) or self._begin(key, now_s)
        self._put(key, partial, chunk)
        if partial.assembly.is_complete:
            self._forget(key)
            return _whole(partial.assembly)
        self._partials.move_to_end(key)
        partial.touched_s = now_s
        is_last = chunk.index == chunk.total - 1
        partial.ask_s = now_s if is_last else now_s + _ASK_AFTER_S
        self._bound()
        return None

    def missing(self, job: JobId, now_s: float) -> Iterator[tuple[DeviceId, Missing]]:
        """What to ask devices for now."""
        for key, partial in list(self._partials.items()):
            if now_s - partial.touched_s > _FORGET_AFTER_S:
                self._forget(key)
            elif now_s >= partial.ask_s:
                partial.ask_s = now_s + _ASK_AGAIN_S
                device, round_, nonce, *_ = key
                ranges = tuple(partial.assembly.missing())
                yield device, Missing(job=job, round=round_, nonce=nonce, ranges=ranges)

    def drop_before(self, round_: RoundId) -> None:
        """Forget updates of rounds that are over."""
        for key in [key for key in self._partials if key[1] < round_]:
            self._forget(key)

    def _begin(self, key: _Key, now_s: float) -> _Partial:
        mine = self._of.get(key[0], [])
        if key[3] > 1 and len(mine) >= PER_DEVICE:  # one of one chunk is whole at once
            self._forget(mine[0])
        self._of.setdefault(key[0], []).append(key)
        assembly = Assembly(key[4], key[3], max_bytes=max(self._max_bytes, key[3]))
        self._partials[key] = _Partial(assembly, now_s, now_s + _ASK_AFTER_S)
        return self._partials[key]

    def _put(self, key: _Key, partial: _Partial, chunk: UpdateChunk) -> None:
        before = partial.assembly.size_bytes
        try:
            partial.assembly.add(chunk.index, chunk.data)
        except PayloadError as error:
            self._forget(key)
            raise RefusedError(Reason.TOO_LARGE, str(error)) from error
        self.size_bytes += partial.assembly.size_bytes - before

    def _bound(self) -> None:
        most = max(MAX_TOTAL_BYTES, 2 * self._max_bytes)
        while len(self._partials) > MAX_PARTIALS or self.size_bytes > most:
            self._forget(next(iter(self._partials)))

    def _forget(self, key: _Key) -> None:
        self.size_bytes -= self._partials.pop(key).assembly.size_bytes
        mine = self._of[key[0]]
        mine.remove(key)
        if not mine:
            del self._of[key[0]]


def _whole(assembly: Assembly) -> bytes:
    try:
        return assembly.whole()
    except PayloadError as error:
        raise RefusedError(Reason.DAMAGED, str(error)) from error
