"""A pool of threads that an interrupted stage can leave at once."""

import contextlib
from concurrent.futures import ThreadPoolExecutor


@contextlib.contextmanager
def thread_pool(threads, initializer=None):
    """A `ThreadPoolExecutor`; when the block ends, work that has not begun is dropped (the executor's own block would do it all)."""
    pool = ThreadPoolExecutor(max(1, threads), initializer=initializer)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
