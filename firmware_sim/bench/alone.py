"""Counts on tier `count`: every kernel call in the benchmark's work, repeated per processor."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product

from fedge.bench.kernels.calls import check_names
from fedge.bench.kernels.works import chosen
from firmware_sim.bench.counts import Count
from firmware_sim.build.freestanding import library
from firmware_sim.build.processors import Processor
from firmware_sim.errors import EmulationError
from firmware_sim.tiers.count import needs
from firmware_sim.tiers.replay import replay

SIZES = (50_000,)


def count(
    processors: Sequence[Processor],
    sizes: Sequence[int],
    *,
    kernels: Sequence[str] | None,
    tell: Callable[[str], None],
) -> list[Count]:
    """All counts, processor by processor.

    Args:
        processors: the ones to count on.
        sizes: numbers of parameters.
        kernels: only these; all if None.
        tell: takes lines of progress.

    Raises:
        ConfigError: if there is no such kernel.
        EmulationError: if something is missing, or a kernel's output differs from this machine's.
    """
    check_names(kernels or ())
    missing = [need for need in needs(processors) if not need.is_met]
    if missing:
        raise EmulationError("; ".join(f"{need.name}: {need.install}" for need in missing))
    asked = [pair for n in sizes for pair in chosen(n, kernels)]
    _compile({call.kernel for _, calls in asked for call in calls}, processors, tell)
    found = []
    for processor in processors:
        for work, calls in asked:
            tell(f"{processor.name}: {work.key}, size {work.n_params}")
            for call in calls:
                size, unit = call.size()
                result = replay(call, processor)
                if result.differences:
                    raise EmulationError(
                        f"{call.kernel} in `{work.key}` leaves other bits on {processor.name} than"
                        f" on this machine, in {', '.join(result.differences)}"
                    )
                found.append(
                    Count(
                        board=processor.name,
                        work=work.key,
                        n_params=work.n_params,
                        kernel=call.kernel,
                        size=size,
                        unit=unit,
                        ours=result.instructions,
                    )
                )
    return found


def _compile(
    kernels: set[str], processors: Sequence[Processor], tell: Callable[[str], None]
) -> None:
    """Compiles all libraries in advance, on all cores; existing ones take no time."""
    tell(f"compiling {len(kernels)} kernels for {len(processors)} processors")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        pairs = list(product(sorted(kernels), processors))
        for _ in pool.map(lambda pair: library(*pair), pairs):
            pass
