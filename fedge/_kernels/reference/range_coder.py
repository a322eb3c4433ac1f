"""Python twin of the range coder, with a whole number for the bytes written."""

from dataclasses import dataclass

# Steps of learning, as powers of 1/2, by how many bits have been seen.
QUICK = [1, 2, 2, 3, 3, 4, 4, *[5] * 25]
SLOW = [1, 2, 2, 3, 3, 3, *[4] * 6, *[5] * 12, *[6] * 7, 7]


class MalformedError(Exception):
    """No encoder writes these bytes."""


@dataclass(slots=True)
class Probability:
    """That the next bit is 0, in 65536ths, learned at two speeds."""

    quick: int = 32768
    slow: int = 32768
    n_seen: int = 0

    def share(self) -> int:
        return min(max((self.quick + self.slow) >> 1, 64), 65472)

    def learn(self, bit: int) -> None:
        quick, slow = QUICK[self.n_seen], SLOW[self.n_seen]
        self.n_seen = min(self.n_seen + 1, 31)
        if bit:
            self.quick -= self.quick >> quick
            self.slow -= self.slow >> slow
        else:
            self.quick += (65535 - self.quick) >> quick
            self.slow += (65535 - self.slow) >> slow


class Writer:
    """Writes bits; low is the whole number so far, so that carries take care of themselves."""

    def __init__(self) -> None:
        self.low, self.width, self.n_settled = 0, 2**32 - 1, 0

    def bit(self, probability: Probability, bit: int) -> int:
        bound = (self.width >> 16) * probability.share()
        self.low += bound if bit else 0
        self.width = self.width - bound if bit else bound
        probability.learn(bit)
        self._settle()
        return bit

    def even(self, number: int, n_bits: int) -> int:
        number &= (1 << n_bits) - 1
        self.width >>= n_bits
        self.low += self.width * number
        self._settle()
        return number

    def _settle(self) -> None:
        while self.width < 2**24:
            self.width <<= 8
            self.low <<= 8
            self.n_settled += 1

    def finish(self) -> bytes:
        number = -(-self.low // 2**24) * 2**24
        return number.to_bytes(self.n_settled + 4, "big")[:-3]


class Reader:
    """Reads what a Writer wrote; the values that its methods are given do not matter."""

    def __init__(self, source: bytes) -> None:
        self.source, self.width, self.n_read = source, 2**32 - 1, 0
        self.ahead = 0
        for _ in range(4):
            self._read_byte()

    def bit(self, probability: Probability, _: int) -> int:
        bound = (self.width >> 16) * probability.share()
        bit = int(self.ahead >= bound)
        self.ahead -= bound if bit else 0
        self.width = self.width - bound if bit else bound
        probability.learn(bit)
        self._settle()
        return bit

    def even(self, _: int, n_bits: int) -> int:
        self.width >>= n_bits
        number = min(self.ahead // self.width, (1 << n_bits) - 1)
        self.ahead -= number * self.width
        self._settle()
        return number

    def _settle(self) -> None:
        while self.width < 2**24:
            self.width <<= 8
            self._read_byte()

    def _read_byte(self) -> None:
        byte = self.source[self.n_read] if self.n_read < len(self.source) else 0
        # A reader of foreign bytes may be further ahead than the width: 32 bits, as in the kernel.
        self.ahead = (self.ahead << 8 | byte) % 2**32
        self.n_read += 1

    def check_end(self) -> None:
        if self.n_read != len(self.source) + 3:
            raise MalformedError
