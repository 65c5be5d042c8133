"""Photos in parallel: each worker thread runs whole photos with one library thread.

Compared with all library threads on one photo this needs no barriers between layers, so it does not collapse when other programs
want the processor, and the result of a photo does not depend on the number of workers.
"""

from collections import deque
from concurrent.futures import ThreadPoolExecutor

import torch

_AHEAD = 4  # tasks under way per worker: enough to keep all busy, few enough to bound memory


class Workers:
    """A pool of worker threads, to be used in a `with` statement.

    Args:
        threads: how many.
    """

    def __init__(self, threads):
        self._threads = max(1, int(threads))

    def __enter__(self):
        self._before = torch.get_num_threads()
        torch.set_num_threads(1)
        self._pool = ThreadPoolExecutor(self._threads, initializer=torch.set_num_threads, initargs=(1,))
        return self

    def __exit__(self, *_):
        self._pool.shutdown(cancel_futures=True)
        torch.set_num_threads(self._before)

    def map(self, function, items):
        """Results of `function` in the order of the items, made a few ahead."""
        running = deque()
        for item in items:
            running.append(self._pool.submit(function, item))
            if len(running) >= _AHEAD * self._threads:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
