"""Squared distances between descriptors of bytes, exact on every processor.

All values are whole numbers below 2^24. float32 represents these exactly, in whatever order they are summed. On processors that multiply
bytes (VNNI) integers are used, which is much faster and gives the same results.
"""

import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from bow2cnn.core.parallel import thread_pool

ROWS = 256  # rows of the first side at a time, so that their products stay in the processor's cache
_MANY = 1 << 18  # products from which it is worth loading torch, which takes seconds
_own = threading.local()


@cache
def multiplies_bytes() -> bool:
    """Whether this processor and this torch multiply matrices of bytes fast, and without the saturation of older instructions."""
    import torch

    known: dict = getattr(torch.cpu, "get_capabilities", dict)()
    return hasattr(torch, "_int_mm") and bool(known.get("avx512_vnni") or known.get("avx_vnni") or known.get("amx_int8"))


@contextlib.contextmanager
def distance_pool(threads: int) -> Iterator[ThreadPoolExecutor]:
    """A pool of threads, each of which computes its distances without further threads."""
    with threadpool_limits(1), thread_pool(threads) as pool:
        yield pool


def _torch():
    """Load torch, and let it use only the calling thread from now on."""
    if not hasattr(_own, "torch"):
        import torch

        torch.set_num_threads(1)
        _own.torch = torch
    return _own.torch


class Products:
    """Inner products of the rows of two arrays (the sides), a block of rows of the first at a time.

    Args:
        a, b: uint8 [n, D] and [m, D], D at most 128.
    """

    def __init__(self, a: np.ndarray, b: np.ndarray) -> None:
        self._torch = _torch() if len(a) * len(b) > _MANY and multiplies_bytes() else None
        # The processor multiplies signed bytes, so 128 is subtracted, which leaves the distances as they are.
        self._sides = [(side ^ 128).view(np.int8) if self._torch else side.astype(np.float32) for side in (a, b)]
        self._out = np.empty((min(ROWS, len(a)), len(b)), np.int32 if self._torch else np.float32)

    def squares(self, side: int) -> NDArray[np.float32]:
        """Squared norms of the rows of a side (0 or 1) as they are multiplied, float32 [n]: |x - y|^2 = |x|^2 + |y|^2 - 2 xy."""
        rows = self._sides[side].astype(np.float32, copy=False)
        return np.einsum("ij,ij->i", rows, rows)

    def __iter__(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (first row, products int32 or float32 [rows, m]) of each block; the next block overwrites the array."""
        torch, (a, b) = self._torch, self._sides
        for start in range(0, len(a), ROWS):
            rows, out = a[start : start + ROWS], self._out[: len(a) - start]
            if torch:
                torch._int_mm(torch.from_numpy(rows), torch.from_numpy(b).T, out=torch.from_numpy(out))
            else:
                np.matmul(rows, b.T, out=out)
            yield start, out
