"""A Slurm that the tests start themselves."""

import sys
from pathlib import Path

import pytest

# The harness of the workflow's tests serves here too.
sys.path.append(str(Path(__file__).parents[1] / "workflow"))

from cluster import Slurm, missing


def pytest_collection_modifyitems(config, items):
    reason = missing() if config.getoption("--slurm") else ""
    for item in items:
        if reason and item.get_closest_marker("slurm"):
            item.add_marker(pytest.mark.skip(reason=f"NOT RUN: {reason}"))


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    """A Slurm of two nodes, one with a GPU."""
    with Slurm(tmp_path_factory.mktemp("slurm")) as cluster:
        yield cluster
