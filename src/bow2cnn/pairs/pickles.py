"""Read the pickles of other programs without running code that is in them.

NumPy's own functions are not called with values of a pickle either: with a forged array of objects they would follow pointers into the
memory.
"""

import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np

_SIMPLE_TYPE = re.compile(r"[<>|=]?(b1|[iu][1248]|f[248]|[SU][1-9]\d{0,3})")


class PickleError(ValueError):
    """A pickle that cannot be read, or that holds other values than `read_pickle` allows; the message says which."""


def read_pickle(path: str | Path) -> Any:
    """Read a pickle of lists, dicts, texts, numbers and NumPy arrays.

    Args:
        path: of the file.

    Returns:
        The value of the pickle; arrays are nested lists.

    Raises:
        PickleError: it holds other values, or is damaged.
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        try:
            return _RestrictedUnpickler(file, encoding="latin1").load()
        except PickleError:
            raise
        except Exception as error:  # a damaged byte may cause any error
            raise PickleError(f"not a pickle, or damaged ({type(error).__name__})") from error


class _RestrictedUnpickler(pickle.Unpickler):
    def find_class(self, module, name):
        known = _STAND_INS.get((module.replace("numpy._core", "numpy.core"), name))
        if known is None:
            raise PickleError(f"holds {module}.{name}, which is not a list, a text, a number or an array")
        return known

    def persistent_load(self, key):
        raise PickleError("refers to objects outside the file")


class _Type:
    """Stands in for `numpy.dtype`: types of numbers and texts."""

    def __init__(self, name, *_):
        if not _SIMPLE_TYPE.fullmatch(name):
            raise PickleError(f"holds an array of {name!r}, which is not a type of numbers or texts")
        self.dtype = np.dtype(name)

    def __setstate__(self, state):
        if state[1] in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(state[1])


class _Array(list):
    """Stands in for `numpy.ndarray`. A pickle creates it empty, and then sets its state."""

    def __init__(self, *_):
        super().__init__()

    def __setstate__(self, state):
        _, shape, kind, by_column, data = state
        self[:] = _values(data, kind, shape, "F" if by_column else "C")


def _values(data, kind, shape, order, *_):
    """The elements of an array as nested lists."""
    return np.frombuffer(_to_bytes(data), kind.dtype).reshape(shape, order=order).tolist()


def _number(kind, data):
    return np.frombuffer(_to_bytes(data), kind.dtype)[0].item()


def _to_bytes(data=b"", *_):
    return data.encode("latin1") if isinstance(data, str) else bytes(memoryview(data))


# The parts of NumPy's arrays and numbers in a pickle, by NumPy's old names, and the bytes of Python 2.
_STAND_INS = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Type,
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy.core.multiarray", "scalar"): _number,
    ("numpy.core.numeric", "_frombuffer"): _values,
    ("_codecs", "encode"): _to_bytes,
    ("__builtin__", "bytes"): _to_bytes,
}
