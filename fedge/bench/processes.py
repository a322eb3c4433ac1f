"""Many runs, on several processes."""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import TypeVar

Setting = TypeVar("Setting")
Result = TypeVar("Result")


def run_all(
    run: Callable[[Setting], Result], settings: Sequence[Setting], n_jobs: int
) -> Iterator[Result]:
    """Results as they arrive; a single job runs in this process, several in their own.

    Args:
        run: a function of a module, so that other processes find it.
        settings: one for each run.
        n_jobs: processes at a time.
    """
    if n_jobs == 1:
        yield from map(run, settings)
        return
    # Spawned, because a fork would copy a parent that may have threads.
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(n_jobs, mp_context=fresh) as pool:
        futures = [pool.submit(run, setting) for setting in settings]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
