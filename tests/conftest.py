"""Tests that need what is not in the repository say so when it is missing."""

from pathlib import Path

import pytest
import torch

SHARED = Path(__file__).parents[2] / "shared"


def pytest_addoption(parser):
    parser.addoption("--slurm", action="store_true", help="start a Slurm and run the workflow on it")


def pytest_collection_modifyitems(config, items):
    for item in items:
        if item.get_closest_marker("shared") and not SHARED.is_dir():
            item.add_marker(pytest.mark.skip(reason="NOT RUN: needs the real photos and weights in ../shared"))
        if item.get_closest_marker("gpu") and not torch.cuda.is_available():
            item.add_marker(pytest.mark.skip(reason="NOT RUN: needs a GPU, and a torch built for it"))
        if item.get_closest_marker("slurm") and not config.getoption("--slurm"):
            item.add_marker(pytest.mark.skip(reason="NOT RUN: starts a Slurm of its own, only with --slurm (make test-slurm)"))


@pytest.fixture(scope="session")
def shared():
    """The folder with the real photos and weights."""
    return SHARED
