"""Tests that need what is not in the repository say so when it is missing."""

import shutil
import subprocess
from pathlib import Path

import pytest

SHARED = Path(__file__).parents[2] / "shared"


def pytest_collection_modifyitems(items):
    for item in items:
        if item.get_closest_marker("shared") and not SHARED.is_dir():
            item.add_marker(pytest.mark.skip(reason="NOT RUN: needs the real photos and weights in ../shared"))
        if item.get_closest_marker("slurm") and not _slurm_answers():
            item.add_marker(pytest.mark.skip(reason="NOT RUN: needs a running Slurm"))


def _slurm_answers():
    return shutil.which("sinfo") is not None and subprocess.run(["sinfo"], capture_output=True, check=False).returncode == 0


@pytest.fixture(scope="session")
def shared():
    """The folder with the real photos and weights."""
    return SHARED
