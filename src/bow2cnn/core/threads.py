"""The number of threads of numerical libraries. Results may depend on it, so it is not set in `bow2cnn.core.stage`, which changes none."""

import contextlib
import importlib
import os
import sys
from collections.abc import Iterator

import threadpoolctl

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
# Libraries with a thread pool of their own, and the function that sets its size.
THREAD_SETTERS = {"cv2": "setNumThreads", "faiss": "omp_set_num_threads", "torch": "set_num_threads"}


@contextlib.contextmanager
def use_threads(threads: int) -> Iterator[None]:
    """Set the number of threads of every numerical library, loaded now or later. (Our compiled code runs in its caller's thread.)"""
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
    with threadpoolctl.threadpool_limits(threads):
        for name, setter in THREAD_SETTERS.items():
            if name in sys.modules:
                getattr(importlib.import_module(name), setter)(threads)
        yield
