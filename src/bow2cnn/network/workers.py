"""Photos in parallel: each worker thread runs whole photos with one library thread.

With all library threads on one photo, the threads would wait for each other in every layer, and much more so while other programs use the
processor. Whole photos need no such waiting, and the result for a photo does not depend on the number of workers. The activations of one
photo get the memory of those of the photo before.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self, TypeVar

import torch

from bow2cnn.core.memory import keep_memory

_AHEAD = 4  # pending tasks per worker: enough to keep all of them busy, few enough to bound memory
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class Workers:
    """A pool of worker threads, for a `with` statement.

    Args:
        threads: number of workers.
    """

    def __init__(self, threads: int) -> None:
        self._threads = max(1, int(threads))

    def __enter__(self) -> Self:
        keep_memory()
        self._before = torch.get_num_threads()
        torch.set_num_threads(1)
        self._pool = ThreadPoolExecutor(self._threads, initializer=torch.set_num_threads, initargs=(1,))
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)
        torch.set_num_threads(self._before)

    def map(self, function: Callable[[_Item], _Result], items: Iterable[_Item]) -> Iterator[_Result]:
        """Yield the results of `function` in the order of the items; a few more are computed ahead."""
        running: deque[Future[_Result]] = deque()
        for item in items:
            running.append(self._pool.submit(function, item))
            if len(running) >= _AHEAD * self._threads:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
