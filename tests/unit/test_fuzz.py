"""A short run of `bench/fuzz.py`, and that its corruptions are what they say."""

import importlib.util
import shutil
from pathlib import Path

import numpy as np
import pytest

_SPEC = importlib.util.spec_from_file_location("fuzz", Path(__file__).parents[2] / "bench/fuzz.py")
fuzz = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(fuzz)


def test_corrupted_photos_crash_and_stall_nothing(tmp_path):
    found = fuzz.fuzz(66, 1, 1500, 600.0, tmp_path)
    assert found["crashes"] == found["hangs"] == found["touched"] == 0
    assert 0 < found["memory"] <= 1500
    assert found["usable"] + sum(found["rejected"].values()) == 66
    assert 0 < sum(found["broken"].values()) < found["usable"] < 66, "some photos are rejected, some break later, some survive"


@pytest.mark.parametrize("corrupt", fuzz.CORRUPTIONS)
def test_corruptions_follow_their_seed(corrupt):
    first, second = fuzz.sources(0)[:2]
    damaged = [corrupt(np.random.default_rng(seed), first, second) for seed in (1, 1, 2)]
    assert damaged[0] == damaged[1] != damaged[2] and first not in damaged


def test_a_child_that_ends_badly_is_a_crash(tmp_path, monkeypatch):
    monkeypatch.setattr(fuzz.sys, "executable", shutil.which("false"))
    assert fuzz.fuzz(1, 0, 1500, 1.0, tmp_path)["crashes"] == 1
