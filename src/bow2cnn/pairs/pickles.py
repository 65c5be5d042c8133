"""Pickles of others, read without running anything that is in them.

Nothing of NumPy's is called with what a pickle says either: a type of objects and forged bytes would be pointers into the memory.
"""

import pickle
import re

import numpy as np

_PLAIN_TYPE = re.compile(r"[<>|=]?(b1|[iu][1248]|f[248]|[SU][1-9]\d{0,3})")


class PickleError(ValueError):
    """A pickle that cannot be read, or holds more than plain values; the message says what."""


def read_plain(path):
    """What a pickle of lists, dicts, texts, numbers and NumPy arrays holds; arrays come as lists.

    Raises:
        PickleError: it holds anything else, or is damaged.
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        try:
            return _Plain(file, encoding="latin1").load()
        except PickleError:
            raise
        except Exception as error:  # whatever the broken byte happens to hit
            raise PickleError(f"no pickle, or damaged ({type(error).__name__})") from error


class _Plain(pickle.Unpickler):
    def find_class(self, module, name):
        known = _STAND_INS.get((module.replace("numpy._core", "numpy.core"), name))
        if known is None:
            raise PickleError(f"holds {module}.{name}, which is no list, text, number or array")
        return known

    def persistent_load(self, key):
        raise PickleError("refers to something outside")


class _Type:
    """In the place of `numpy.dtype`: numbers and texts."""

    def __init__(self, name, *_):
        if not _PLAIN_TYPE.fullmatch(name):
            raise PickleError(f"holds an array of {name!r}, which are no numbers or texts")
        self.dtype = np.dtype(name)

    def __setstate__(self, state):
        if state[1] in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(state[1])


class _Array(list):
    """In the place of `numpy.ndarray`, which a pickle makes empty and then gives its state."""

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


# What NumPy's arrays and numbers consist of, by its old names, and the bytes of Python 2.
_STAND_INS = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Type,
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy.core.multiarray", "scalar"): _number,
    ("numpy.core.numeric", "_frombuffer"): _values,
    ("_codecs", "encode"): _to_bytes,
    ("__builtin__", "bytes"): _to_bytes,
}
