"""Squared distances between descriptors of bytes, exact on every processor.

All values are whole numbers below 2^24, which float32 has exactly in whatever order they are summed. Where the processor multiplies bytes
(VNNI) that is much faster, and what comes out is the same.
"""

from functools import cache

import numpy as np
import torch

ROWS = 256  # of one side at a time, so that what is known of their distances stays in the cache


@cache
def multiplies_bytes():
    """Whether this processor and this torch multiply matrices of bytes fast, and without saturation, which older instructions have."""
    known = getattr(torch.cpu, "get_capabilities", dict)()
    return hasattr(torch, "_int_mm") and bool(known.get("avx512_vnni") or known.get("avx_vnni") or known.get("amx_int8"))


def use_one_thread():
    """Work on one thread when called from this one: for pools whose threads each look at a pair of their own."""
    torch.set_num_threads(1)


class Products:
    """Inner products of all rows of two sides, some rows of the first at a time.

    Args:
        a, b: uint8 [n, D], [m, D], D at most 128.

    Attributes:
        squares: pair of float32 [n], [m], squared norms of what is multiplied: |x - y|^2 = |x|^2 + |y|^2 - 2 xy.
    """

    def __init__(self, a, b):
        self._bytes = multiplies_bytes()
        # Less 128 the bytes have a sign, as the processor wants them, and their distances are the same.
        self._sides = [(side ^ 128).view(np.int8) if self._bytes else side.astype(np.float32) for side in (a, b)]
        self.squares = tuple((side.astype(np.float32) ** 2).sum(1) for side in self._sides)
        shape = min(ROWS, len(a)), len(b)
        self._out = torch.empty(shape, dtype=torch.int32) if self._bytes else np.empty(shape, np.float32)

    def __iter__(self):
        """(first row, int32 or float32 [rows, m]); each block is overwritten by the next."""
        a, b = (torch.from_numpy(side) if self._bytes else side for side in self._sides)
        multiply = torch._int_mm if self._bytes else np.matmul
        for start in range(0, len(a), ROWS):
            rows = a[start : start + ROWS]
            yield start, np.asarray(multiply(rows, b.T, out=self._out[: len(rows)]))
