"""Pickles of others, read without running anything that is in them."""

import pickle

# What NumPy's arrays and numbers consist of, by its old and its new names, and the bytes of Python 2.
_HARMLESS = {("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode")}
_HARMLESS |= {(f"numpy.{core}.multiarray", name) for core in ("core", "_core") for name in ("_reconstruct", "scalar")}


class PickleError(ValueError):
    """A pickle that cannot be read, or holds more than plain values; the message says what."""


def read_plain(path):
    """What a pickle of lists, dicts, texts, numbers and NumPy arrays holds.

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
        if (module, name) not in _HARMLESS:
            raise PickleError(f"holds {module}.{name}, which is no list, text, number or array")
        return super().find_class(module, name)

    def persistent_load(self, key):
        raise PickleError("refers to something outside")
