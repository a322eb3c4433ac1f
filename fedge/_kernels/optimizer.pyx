# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
# cython: freethreading_compatible=True
"""One optimizer step over the flat parameter vector."""


def sgd_step(
    float[::1] parameters,
    const float[::1] gradient,
    float[::1] momentum_buffer,
    const float[::1] anchor,
    float lr,
    float momentum,
    float weight_decay,
    float proximal,
):
    """g = gradient + weight_decay * p + proximal * (p - anchor); m = momentum * m + g; p -= lr * m.

    Updates parameters p and momentum_buffer m in place. Without momentum g takes the place of m
    and momentum_buffer may be empty; without a proximal term anchor may be empty.
    """
    cdef Py_ssize_t n = parameters.shape[0]
    if gradient.shape[0] != n:
        raise ValueError("parameters and gradient must have the same length")
    if momentum_buffer.shape[0] != n and (momentum != 0 or momentum_buffer.shape[0] != 0):
        raise ValueError("momentum_buffer must have the length of parameters")
    if anchor.shape[0] != n and (proximal != 0 or anchor.shape[0] != 0):
        raise ValueError("anchor must have the length of parameters")
    cdef bint has_momentum = momentum != 0
    cdef bint has_anchor = proximal != 0
    cdef Py_ssize_t i
    cdef float p, g
    with nogil:
        for i in range(n):
            p = parameters[i]
            g = gradient[i] + weight_decay * p
            if has_anchor:
                g = g + proximal * (p - anchor[i])
            if has_momentum:
                g = momentum * momentum_buffer[i] + g
                momentum_buffer[i] = g
            parameters[i] = p - lr * g
