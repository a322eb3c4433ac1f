# cython: language_level=3str, cdivision=True
"""What the context coder expects of gaps, levels and signs.

A number n is coded by the length of n + 1 in bits less one, as a path down a tree of probabilities;
the next two bits of n + 1 by probabilities that depend on that length; the rest evenly. The tree is
chosen by how long the last such numbers were, a sign's probability by the two signs before and by
whether its gap is long. At the start the probabilities of a gap's length are those of random
places, around the length of n_params // n_kept.
"""

from libc.stdint cimport uint16_t, uint32_t, uint64_t

from fedge._kernels.range_coder cimport Probability, Coder, code_bit, code_even

cdef enum:
    TREES = 6
    LONGEST_GAP = 29  # bits of a gap + 1, less one

# How often a gap of random places is 12 bits shorter to 19 bits longer than their mean, of 900.
cdef extern from *:
    """
    static const uint16_t FEDGE_PRIOR[32] = {
        1, 1, 1, 2, 2, 4, 8, 16, 32, 64, 120, 200, 260, 220, 110, 40,
        15, 8, 4, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    };
    """
    const uint16_t* PRIOR "FEDGE_PRIOR"


cdef struct Lengths:
    Probability[TREES][32] trees
    Probability[32][3] next_bits
    int n_levels  # of a tree
    int middle  # the length that belongs between trees 2 and 3
    int recent  # four times the mean of the last lengths


cdef struct Model:
    Lengths gaps
    Lengths levels
    Probability[3][3][2] signs
    uint32_t last_sign  # 2 before the first
    uint32_t sign_before
    uint32_t is_long


cdef inline void start_model(Model* model, uint32_t n_params, Py_ssize_t k) noexcept nogil:
    cdef int i, j, middle = _length(<uint32_t>(n_params // <uint64_t>k) - 1)
    _start_lengths(&model.gaps, 5, middle)
    for i in range(TREES):
        _expect_random_gaps(model.gaps.trees[i], middle)
    _start_lengths(&model.levels, 3, 4)
    for i in range(3):
        for j in range(3):
            model.signs[i][j][0] = model.signs[i][j][1] = Probability(32768, 32768, 4)
    model.last_sign = model.sign_before = 2
    model.is_long = 0


cdef inline void _start_lengths(Lengths* lengths, int n_levels, int middle) noexcept nogil:
    cdef int i, j
    lengths.n_levels, lengths.middle, lengths.recent = n_levels, middle, 4 * middle
    for i in range(TREES):
        for j in range(32):
            lengths.trees[i][j] = Probability(32768, 32768, 0)
    for i in range(32):
        for j in range(3):
            lengths.next_bits[i][j] = Probability(32768, 32768, 5)


cdef inline void _expect_random_gaps(Probability* tree, int middle) noexcept nogil:
    """Probabilities by PRIOR, moved so that its peak is at the middle."""
    cdef uint32_t[64] weights  # of the nodes: leaves 32 to 63 are the lengths
    cdef int node
    for node in range(32):
        weights[32 + node] = PRIOR[min(max(node - middle + 12, 0), 31)]
    for node in range(31, 0, -1):
        weights[node] = weights[2 * node] + weights[2 * node + 1]
        tree[node].quick = tree[node].slow = <uint16_t>(
            65535 * weights[2 * node] // weights[node]
        )
        tree[node].n_seen = 5


cdef inline int _length(uint32_t number) noexcept nogil:
    """Bits of number + 1, less one."""
    cdef int length = 0
    while (number + 1) >> (length + 1):
        length += 1
    return length


cdef inline uint32_t code_gap(Coder* coder, Model* model, uint32_t gap) noexcept nogil:
    gap = code_length(coder, &model.gaps, gap)
    model.is_long = gap >> model.gaps.middle > 1
    return gap


cdef inline uint32_t code_length(Coder* coder, Lengths* lengths, uint32_t number) noexcept nogil:
    """Codes a number by its length; returns 2**32 - 1 for one that is too long."""
    cdef int tree = min(max((lengths.recent >> 2) - lengths.middle + 3, 0), TREES - 1)
    cdef int length = 0 if coder.is_reading else _length(number), level
    cdef uint32_t node = 1, rest
    for level in range(lengths.n_levels - 1, -1, -1):
        node = 2 * node + code_bit(
            coder, &lengths.trees[tree][node], <uint32_t>(length >> level) & 1
        )
    length = <int>(node - (<uint32_t>1 << lengths.n_levels))
    if length > LONGEST_GAP:
        return 0xFFFFFFFF
    lengths.recent += (4 * length - lengths.recent + (4 * length > lengths.recent)) >> 1
    rest = _code_rest(coder, lengths.next_bits[length], number + 1, length)
    return (<uint32_t>1 << length) + rest - 1


cdef inline uint32_t _code_rest(
    Coder* coder, Probability* probabilities, uint32_t number, int n_bits
) noexcept nogil:
    """The bits of number below its highest one."""
    cdef uint32_t first, second, rest = 0
    if n_bits == 0:
        return 0
    first = code_bit(coder, &probabilities[0], number >> (n_bits - 1) & 1)
    if n_bits == 1:
        return first
    second = code_bit(coder, &probabilities[1 + first], number >> (n_bits - 2) & 1)
    n_bits -= 2
    if n_bits > 14:
        rest = code_even(coder, number >> 14, n_bits - 14) << 14
        rest |= code_even(coder, number, 14)
    elif n_bits > 0:
        rest = code_even(coder, number, n_bits)
    return (2 * first + second) << n_bits | rest


cdef inline uint32_t code_sign(Coder* coder, Model* model, uint32_t sign) noexcept nogil:
    sign = code_bit(
        coder, &model.signs[model.last_sign][model.sign_before][model.is_long], sign
    )
    model.sign_before, model.last_sign = model.last_sign, sign
    return sign
