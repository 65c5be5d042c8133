"""Compiled code that numba caches on disk is never older than its source."""

import importlib
from pathlib import Path
from types import FunctionType

import numba
import pytest
from numba.core.dispatcher import Dispatcher

import bow2cnn
from bow2cnn.geometry import verify

ROOT = Path(bow2cnn.__file__).parent


def foreign_calls(function):
    """Names of the compiled functions of other files that a compiled function uses: numba compiles a cached function again only when its
    own file changes, not when the file of a function that it calls does.
    """
    own = function.py_func
    used = (own.__globals__.get(name) for name in own.__code__.co_names)
    return sorted(other.__name__ for other in used if isinstance(other, Dispatcher) and other.py_func.__module__ != own.__module__)


def compiled_modules():
    paths = (path for path in sorted(ROOT.rglob("*.py")) if "njit" in path.read_text(encoding="utf-8"))
    return [".".join(path.relative_to(ROOT.parent).with_suffix("").parts) for path in paths]


@pytest.mark.parametrize("name", ["bow2cnn.index.engine", "bow2cnn.geometry.verify"])
def test_the_modules_are_found(name):
    assert name in compiled_modules()


@pytest.mark.parametrize("name", compiled_modules())
def test_compiled_functions_call_only_those_of_their_own_file(name):
    functions = {key: value for key, value in vars(importlib.import_module(name)).items() if isinstance(value, Dispatcher)}
    assert {key: foreign_calls(value) for key, value in functions.items() if foreign_calls(value)} == {}


def test_a_call_into_another_file_is_seen():
    def apart(a, b):
        return hamming(a, b) > 3  # noqa: F821

    elsewhere = FunctionType(apart.__code__, {"hamming": verify.hamming, "__name__": "elsewhere"})
    assert foreign_calls(numba.njit(elsewhere)) == ["hamming"]
