"""Operators that move, repeat or create elements."""

import math

from fedge.artifact.layout import MAX_RANK
from fedge.artifact.safety.messages import Shape
from fedge.artifact.safety.sizes.table import Call, UnsizedError, axis_of, broadcast, rule


@rule("Constant")
def constant(call: Call) -> list[Shape]:
    """What the attribute holds."""
    (attribute,) = call.attributes.values()
    if attribute.tensor is not None:
        return [attribute.tensor.shape]
    return [(len(attribute.value),) if isinstance(attribute.value, tuple) else ()]


@rule("ConstantOfShape")
def constant_of_shape(call: Call) -> list[Shape]:
    """One value repeated to fill a shape."""
    return [call.integers(0)]


@rule("Expand")
def expand(call: Call) -> list[Shape]:
    """x repeated along axes of size 1."""
    return [broadcast([call.shape(0), call.integers(1)])]


@rule("Tile")
def tile(call: Call) -> list[Shape]:
    """x repeated as a whole."""
    return [tuple(n * k for n, k in zip(call.shape(0), call.integers(1), strict=True))]


@rule("Range")
def range_(call: Call) -> list[Shape]:
    """From a start to a limit in steps."""
    (start,), (limit,), (step,) = (call.numbers(i) for i in range(3))
    return [(max(0, math.ceil((limit - start) / step)),)]


@rule("OneHot")
def one_hot(call: Call) -> list[Shape]:
    """One more axis, as long as the depth."""
    x = list(call.shape(0))
    (depth,) = call.numbers(1)
    x.insert(axis_of(call.option("axis", -1), len(x) + 1), int(depth))
    return [tuple(x)]


@rule("Pad")
def pad(call: Call) -> list[Shape]:
    """x with a border, or cropped where a pad is negative."""
    x = list(call.shape(0))
    pads = call.integers(1)
    axes = call.axes(3, len(x)) or tuple(range(len(x)))
    before, after = pads[: len(pads) // 2], pads[len(pads) // 2 :]
    for axis, one, other in zip(axes, before, after, strict=True):
        x[axis] += one + other
    return [tuple(x)]


@rule("Reshape")
def reshape(call: Call) -> list[Shape]:
    """As many elements in another shape."""
    x, wanted = call.shape(0), list(call.integers(1))
    if len(wanted) > MAX_RANK:
        raise UnsizedError("its rank is too large")
    if not call.option("allowzero", 0):
        wanted = [x[i] if size == 0 else size for i, size in enumerate(wanted)]
    if wanted.count(-1) == 1:
        rest = math.prod(size for size in wanted if size != -1)
        wanted[wanted.index(-1)] = math.prod(x) // rest
    if math.prod(wanted) != math.prod(x):
        raise UnsizedError(f"shape {list(x)} cannot become {wanted}")
    return [tuple(wanted)]


@rule("Flatten")
def flatten(call: Call) -> list[Shape]:
    """A matrix: the axes before `axis` are rows."""
    x, axis = call.shape(0), call.option("axis", 1)
    axis += len(x) if axis < 0 else 0
    return [(math.prod(x[:axis]), math.prod(x[axis:]))]


@rule("Squeeze")
def squeeze(call: Call) -> list[Shape]:
    """Without some axes of size 1."""
    x = call.shape(0)
    axes = call.axes(1, len(x))
    axes = tuple(i for i, size in enumerate(x) if size == 1) if axes is None else axes
    if any(x[i] != 1 for i in axes):
        raise UnsizedError("it drops axes that are not of size 1")
    return [tuple(size for i, size in enumerate(x) if i not in axes)]


@rule("Unsqueeze")
def unsqueeze(call: Call) -> list[Shape]:
    """With more axes of size 1."""
    x = call.shape(0)
    given = call.integers(1) if call.has(1) else call.options("axes", ())
    rank = len(x) + len(given)
    axes = {axis_of(axis, rank) for axis in given}
    if len(axes) != len(given) or rank > MAX_RANK:
        raise UnsizedError("its axes repeat, or are too many")
    sizes = iter(x)
    return [tuple(1 if i in axes else next(sizes) for i in range(rank))]


@rule("Transpose")
def transpose(call: Call) -> list[Shape]:
    """Axes in another order."""
    x = call.shape(0)
    order = call.options("perm", tuple(reversed(range(len(x)))))
    if sorted(order) != list(range(len(x))):
        raise UnsizedError("its order of axes is not a permutation")
    return [tuple(x[i] for i in order)]


@rule("Concat")
def concat(call: Call) -> list[Shape]:
    """The inputs one after another along an axis."""
    shapes = [call.shape(i) for i in range(len(call.shapes))]
    axis = axis_of(call.option("axis", 0), len(shapes[0]))
    rests = {(*shape[:axis], *shape[axis + 1 :]) for shape in shapes}
    if len(rests) != 1:
        raise UnsizedError(f"shapes {shapes[:4]} do not fit")
    return [(*shapes[0][:axis], sum(s[axis] for s in shapes), *shapes[0][axis + 1 :])]


@rule("Split")
def split(call: Call) -> list[Shape]:
    """Parts along an axis."""
    x, n = call.shape(0), call.n_outputs
    axis = axis_of(call.option("axis", 0), len(x))
    if call.has(1):
        sizes = call.integers(1)
    elif "split" in call.attributes:
        sizes = call.options("split", ())
    else:
        each = -(-x[axis] // n)
        sizes = (*[each] * (n - 1), x[axis] - each * (n - 1))
    if sum(sizes) != x[axis]:
        raise UnsizedError("its parts do not add up to the whole")
    return [(*x[:axis], size, *x[axis + 1 :]) for size in sizes]


@rule("Slice")
def slice_(call: Call) -> list[Shape]:
    """A part of x along some axes."""
    x = list(call.shape(0))
    starts, ends = call.integers(1), call.integers(2)
    axes = call.axes(3, len(x)) if call.has(3) else tuple(range(len(starts)))
    steps = call.integers(4) if call.has(4) else (1,) * len(starts)
    for start, end, axis, step in zip(starts, ends, axes or (), steps, strict=True):
        x[axis] = len(range(x[axis])[start:end:step])
    return [tuple(x)]


@rule("Gather")
def gather(call: Call) -> list[Shape]:
    """The indices' shape in place of an axis."""
    x, index = call.shape(0), call.shape(1)
    axis = axis_of(call.option("axis", 0), len(x))
    return [(*x[:axis], *index, *x[axis + 1 :])]


@rule("GatherElements")
def gather_elements(call: Call) -> list[Shape]:
    """One element per index."""
    return [call.shape(1)]


@rule("GatherND")
def gather_nd(call: Call) -> list[Shape]:
    """A slice of x for each vector of indices."""
    x, index = call.shape(0), call.shape(1)
    return [(*index[:-1], *x[call.option("batch_dims", 0) + index[-1] :])]


@rule("Shape")
def shape(call: Call) -> list[Shape]:
    """The sizes of x."""
    return [(len(call.shape(0)[call.option("start", 0) : call.option("end", 2**31)]),)]


@rule("DepthToSpace")
def depth_to_space(call: Call) -> list[Shape]:
    """Channels become positions."""
    n, c, height, width = call.shape(0)
    b = call.option("blocksize", 1)
    return [(n, c // b**2, height * b, width * b)]


@rule("SpaceToDepth")
def space_to_depth(call: Call) -> list[Shape]:
    """Positions become channels."""
    n, c, height, width = call.shape(0)
    b = call.option("blocksize", 1)
    return [(n, c * b**2, height // b, width // b)]
