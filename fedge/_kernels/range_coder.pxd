# cython: language_level=3str, cdivision=True
"""An adaptive binary range coder in integers. One function both writes and reads a bit, so that a
model is walked by the same code on both sides.

A writer narrows [low, low + width) by each bit; its bytes are a number in that range. A reader
knows how far that number is above low. The last three bytes would always be zero: they are not
written, and a reader takes them for granted.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

cdef enum:
    NARROWEST = 1 << 24  # below it, a byte is settled
    LEAST = 64  # probabilities are held within 64 and 65472 of 65536

# Four bits for each bit seen: 1, 2, 2, 3, 3, 3, 4, ..., 6, 7.
cdef extern from *:
    """
    #define FEDGE_SLOW_EARLY 0x5555444444333221ull
    #define FEDGE_SLOW_LATE 0x7666666655555555ull
    """
    const uint64_t SLOW_EARLY "FEDGE_SLOW_EARLY"
    const uint64_t SLOW_LATE "FEDGE_SLOW_LATE"


cdef struct Probability:
    uint16_t quick  # that the next bit is 0, of 65536, by two speeds of learning
    uint16_t slow
    uint8_t n_seen  # up to 31


cdef struct Coder:
    bint is_reading
    bint is_full  # a writer ran out of room
    uint32_t low
    uint32_t width
    uint32_t ahead  # of a reader
    uint8_t* start  # of a writer
    uint8_t* position
    uint8_t* end
    const uint8_t* source  # of a reader
    Py_ssize_t n_read
    Py_ssize_t size


cdef inline void start_writing(Coder* coder, uint8_t* out, Py_ssize_t size) noexcept nogil:
    coder.is_reading = coder.is_full = False
    coder.low, coder.width = 0, 0xFFFFFFFF
    coder.start = coder.position = out
    coder.end = out + size


cdef inline void start_reading(Coder* coder, const uint8_t* source, Py_ssize_t size) noexcept nogil:
    cdef int _i
    coder.is_reading = True
    coder.width, coder.ahead = 0xFFFFFFFF, 0
    coder.source, coder.size, coder.n_read = source, size, 0
    for _i in range(4):
        coder.ahead = coder.ahead << 8 | next_byte(coder)


cdef inline uint32_t next_byte(Coder* coder) noexcept nogil:
    coder.n_read += 1
    return coder.source[coder.n_read - 1] if coder.n_read <= coder.size else 0


cdef inline void raise_low(Coder* coder, uint32_t by) noexcept nogil:
    """A carry goes into the bytes written; one of them is below 255, or low would be above 1."""
    cdef uint8_t* byte = coder.position - 1
    coder.low += by
    if coder.low < by and not coder.is_full:
        while byte[0] == 255:
            byte[0] = 0
            byte -= 1
        byte[0] += 1


cdef inline void settle(Coder* coder) noexcept nogil:
    while coder.width < NARROWEST:
        coder.width <<= 8
        if coder.is_reading:
            coder.ahead = coder.ahead << 8 | next_byte(coder)
            continue
        if coder.position < coder.end:
            coder.position[0] = coder.low >> 24
            coder.position += 1
        else:
            coder.is_full = True
        coder.low <<= 8


cdef inline uint32_t code_bit(Coder* coder, Probability* probability, uint32_t bit) noexcept nogil:
    """The bit, written or read; a reader's argument is ignored."""
    cdef uint32_t share = (<uint32_t>probability.quick + probability.slow) >> 1
    cdef uint32_t bound
    share = min(max(share, <uint32_t>LEAST), <uint32_t>(65536 - LEAST))
    bound = (coder.width >> 16) * share
    if coder.is_reading:
        bit = coder.ahead >= bound
        if bit:
            coder.ahead -= bound
    elif bit:
        raise_low(coder, bound)
    coder.width = coder.width - bound if bit else bound
    learn(probability, bit)
    settle(coder)
    return bit


cdef inline void learn(Probability* probability, uint32_t bit) noexcept nogil:
    """The first bits count more: the steps fall from 1/2 to 1/32, quick, and to 1/128, slow."""
    cdef int n = probability.n_seen, quick = min(1 + (n + 1) // 2, 5), slow
    slow = <int>((SLOW_LATE if n >= 16 else SLOW_EARLY) >> (4 * (n & 15)) & 15)
    probability.n_seen += n < 31
    if bit:
        probability.quick -= probability.quick >> quick
        probability.slow -= probability.slow >> slow
    else:
        probability.quick += (65535 - probability.quick) >> quick
        probability.slow += (65535 - probability.slow) >> slow


cdef inline uint32_t code_even(Coder* coder, uint32_t number, int n_bits) noexcept nogil:
    """A number of up to 16 bits whose values are all equally likely."""
    cdef uint32_t mask = (<uint32_t>1 << n_bits) - 1
    coder.width >>= n_bits
    if coder.is_reading:
        number = min(coder.ahead // coder.width, mask)  # above only if no encoder wrote it
        coder.ahead -= number * coder.width
    else:
        number &= mask
        raise_low(coder, coder.width * number)
    settle(coder)
    return number


cdef inline Py_ssize_t finish_writing(Coder* coder) noexcept nogil:
    """The length of what was written, or -1 if the room ran out."""
    if coder.is_full or coder.position >= coder.end:
        return -1
    if coder.low & (NARROWEST - 1):
        raise_low(coder, NARROWEST - (coder.low & (NARROWEST - 1)))
    coder.position[0] = coder.low >> 24
    coder.position += 1
    return coder.position - coder.start


cdef inline bint is_all_read(const Coder* coder) noexcept nogil:
    """Nothing is left over or missing: a reader is three bytes ahead of the writer."""
    return coder.n_read == coder.size + 3
