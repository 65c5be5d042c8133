"""Squared distances between descriptors of bytes, exact on every processor.

All values are whole numbers below 2^24, which float32 has exactly in whatever order they are summed. Where the processor multiplies bytes
(VNNI) that is much faster, and what comes out is the same.
"""

import contextlib
import threading
from functools import cache

import numpy as np
from threadpoolctl import threadpool_limits

from bow2cnn.core.parallel import thread_pool

ROWS = 256  # of one side at a time, so that what is known of their distances stays in the cache
_MANY = 1 << 18  # products for which it is worth while to load torch, which takes seconds
_own = threading.local()


@cache
def multiplies_bytes():
    """Whether this processor and this torch multiply matrices of bytes fast, and without saturation, which older instructions have."""
    import torch

    known = getattr(torch.cpu, "get_capabilities", dict)()
    return hasattr(torch, "_int_mm") and bool(known.get("avx512_vnni") or known.get("avx_vnni") or known.get("amx_int8"))


@contextlib.contextmanager
def distance_pool(threads):
    """A pool of threads, on each of which distances are computed by that thread alone."""
    with threadpool_limits(1), thread_pool(threads) as pool:
        yield pool


def _torch():
    """torch, which works on this thread alone from now on when it is called from it."""
    if not hasattr(_own, "torch"):
        import torch

        torch.set_num_threads(1)
        _own.torch = torch
    return _own.torch


class Products:
    """Inner products of all rows of two sides, some rows of the first at a time.

    Args:
        a, b: uint8 [n, D], [m, D], D at most 128.
    """

    def __init__(self, a, b):
        self._torch = _torch() if len(a) * len(b) > _MANY and multiplies_bytes() else None
        # Less 128 the bytes have a sign, as the processor wants them, and their distances are the same.
        self._sides = [(side ^ 128).view(np.int8) if self._torch else side.astype(np.float32) for side in (a, b)]
        self._out = np.empty((min(ROWS, len(a)), len(b)), np.int32 if self._torch else np.float32)

    def squares(self, side):
        """Squared norms, float32 [n], of the rows of one side (0 or 1) as they are multiplied: |x - y|^2 = |x|^2 + |y|^2 - 2 xy."""
        rows = self._sides[side].astype(np.float32, copy=False)
        return np.einsum("ij,ij->i", rows, rows)

    def __iter__(self):
        """(first row, int32 or float32 [rows, m]); each block is overwritten by the next."""
        torch, (a, b) = self._torch, self._sides
        for start in range(0, len(a), ROWS):
            rows, out = a[start : start + ROWS], self._out[: len(a) - start]
            if torch:
                torch._int_mm(torch.from_numpy(rows), torch.from_numpy(b).T, out=torch.from_numpy(out))
            else:
                np.matmul(rows, b.T, out=out)
            yield start, out
