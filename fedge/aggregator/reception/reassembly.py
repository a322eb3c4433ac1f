"""Updates that have arrived in part, bounded per device and in total."""

from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass

from fedge.aggregator.reception.validation import RefusedError
from fedge.errors import PayloadError
from fedge.messages import Assembly, Missing, Reason, UpdateChunk
from fedge.messages.chunks import check_digest
from fedge.types import DeviceId, JobId, RoundId

PER_DEVICE = 2  # one being sent, and one that replaces it
MAX_PARTIALS = 4096
MAX_TOTAL_BYTES = 512 * 2**20  # of memory, including what Python needs per chunk and update
CHUNK_COST = 256  # bytes of memory per chunk besides its data: objects and a table entry
PARTIAL_COST = 2048  # the same for an update
SMALLEST_CHUNK = 512  # bytes; smaller ones would cost more memory than they carry
MIN_CHUNKS = 64  # taken even for a tiny update
_ASK_AFTER_S = 1.0  # without a chunk in the middle of an update
_ASK_AGAIN_S = 2.0
ASK_DEVICE_S = 0.5  # between two requests to one device, whatever it sends
MAX_ASKED = 100  # requests a second, to all devices together
_FORGET_AFTER_S = 120.0

_Key = tuple[DeviceId, RoundId, bytes, int, bytes]


@dataclass(slots=True)
class _Partial:
    assembly: Assembly
    touched_s: float
    ask_s: float


class Reassembly:
    """Puts updates together; forgets the least recently touched ones when it runs out of room.

    A forgotten update is not lost: its device resends it until it gets an answer.

    Args:
        max_bytes: the largest size of one update.

    Attributes:
        size_bytes: the memory taken by all of them.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._max_chunks = max(MIN_CHUNKS, -(-max_bytes // SMALLEST_CHUNK))
        self._reassembly: OrderedDict[_Key, _Partial] = OrderedDict()
        self._of: dict[DeviceId, list[_Key]] = {}  # oldest first
        self._asks_s: deque[float] = deque()  # when devices were asked, in the last second
        self._asked_s: OrderedDict[DeviceId, float] = OrderedDict()  # the same, by device
        self.size_bytes = 0

    def add(self, device: DeviceId, chunk: UpdateChunk, now_s: float) -> bytes | None:
        """Take a chunk; the whole update, if this was the last missing chunk.

        Raises:
            RefusedError: if it is too large or was damaged on the way.
        """
        if chunk.total > self._max_chunks:
            raise RefusedError(
                Reason.TOO_LARGE, f"chunks: at most {self._max_chunks}, found {chunk.total}"
            )
        if chunk.total == 1:  # complete already: nothing to remember
            return self._only(chunk)
        key = (device, chunk.round, chunk.nonce, chunk.total, chunk.digest)
        partial = self._reassembly.get(key) or self._begin(key, now_s)
        self._put(key, partial, chunk)
        if partial.assembly.is_complete:
            self._forget(key)
            return _whole(partial.assembly)
        self._reassembly.move_to_end(key)
        partial.touched_s = now_s
        is_last = chunk.index == chunk.total - 1
        partial.ask_s = now_s if is_last else now_s + _ASK_AFTER_S
        self._bound()
        return None

    def missing(self, job: JobId, now_s: float) -> Iterator[tuple[DeviceId, Missing]]:
        """What to ask devices for now; requests beyond the limits per device or in total wait."""
        while self._asks_s and now_s - self._asks_s[0] >= 1.0:
            self._asks_s.popleft()
        while self._asked_s and now_s - next(iter(self._asked_s.values())) >= ASK_DEVICE_S:
            self._asked_s.popitem(last=False)
        for key in [
            k for k, p in self._reassembly.items() if now_s - p.touched_s > _FORGET_AFTER_S
        ]:
            self._forget(key)
        due = [(p.ask_s, key) for key, p in self._reassembly.items() if now_s >= p.ask_s]
        for _, key in sorted(due, key=lambda one: one[0]):  # the longest wait comes first
            device, round_, nonce, *_ = key
            if self._may_ask(device, now_s):
                partial = self._reassembly[key]
                partial.ask_s = now_s + _ASK_AGAIN_S
                ranges = tuple(partial.assembly.missing())
                yield device, Missing(job=job, round=round_, nonce=nonce, ranges=ranges)

    def drop_before(self, round_: RoundId) -> None:
        """Forget updates of rounds that are over."""
        for key in [key for key in self._reassembly if key[1] < round_]:
            self._forget(key)

    def _may_ask(self, device: DeviceId, now_s: float) -> bool:
        before_s = self._asked_s.get(device, float("-inf"))
        if now_s - before_s < ASK_DEVICE_S or len(self._asks_s) >= MAX_ASKED:
            return False
        self._asks_s.append(now_s)
        self._asked_s[device] = now_s
        self._asked_s.move_to_end(device)
        return True

    def _begin(self, key: _Key, now_s: float) -> _Partial:
        mine = self._of.get(key[0], [])
        if len(mine) >= PER_DEVICE:
            self._forget(mine[0])
        self._of.setdefault(key[0], []).append(key)
        assembly = Assembly(key[4], key[3], max_bytes=max(self._max_bytes, key[3]))
        self._reassembly[key] = _Partial(assembly, now_s, now_s + _ASK_AFTER_S)
        self.size_bytes += PARTIAL_COST
        return self._reassembly[key]

    def _only(self, chunk: UpdateChunk) -> bytes:
        if len(chunk.data) > self._max_bytes:
            most = f"at most {self._max_bytes}"
            size = PayloadError("message size", expected=most, found=len(chunk.data))
            raise RefusedError(Reason.TOO_LARGE, str(size))
        try:
            check_digest(chunk.data, chunk.digest)
        except PayloadError as error:
            raise RefusedError(Reason.DAMAGED, str(error)) from error
        return chunk.data

    def _put(self, key: _Key, partial: _Partial, chunk: UpdateChunk) -> None:
        before = _memory_bytes(partial.assembly)
        try:
            partial.assembly.add(chunk.index, chunk.data)
        except PayloadError as error:
            self._forget(key)
            raise RefusedError(Reason.TOO_LARGE, str(error)) from error
        self.size_bytes += _memory_bytes(partial.assembly) - before

    def _bound(self) -> None:
        most = max(MAX_TOTAL_BYTES, 2 * self._max_bytes)
        while len(self._reassembly) > MAX_PARTIALS or self.size_bytes > most:
            self._forget(next(iter(self._reassembly)))

    def _forget(self, key: _Key) -> None:
        self.size_bytes -= PARTIAL_COST + _memory_bytes(self._reassembly.pop(key).assembly)
        mine = self._of[key[0]]
        mine.remove(key)
        if not mine:
            del self._of[key[0]]


def _memory_bytes(assembly: Assembly) -> int:
    return assembly.size_bytes + CHUNK_COST * assembly.n_here


def _whole(assembly: Assembly) -> bytes:
    try:
        return assembly.whole()
    except PayloadError as error:
        raise RefusedError(Reason.DAMAGED, str(error)) from error
