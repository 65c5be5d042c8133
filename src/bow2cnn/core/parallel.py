"""A pool of threads that ends quickly when a stage is interrupted."""

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor


@contextlib.contextmanager
def thread_pool(threads: int, initializer: Callable[[], object] | None = None) -> Iterator[ThreadPoolExecutor]:
    """Provide a `ThreadPoolExecutor`. At the end of the block, waiting work is dropped (the executor's own block would do all of it).

    Args:
        threads: number of threads, at least one is used.
        initializer: called once in every thread.
    """
    pool = ThreadPoolExecutor(max(1, threads), initializer=initializer)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
