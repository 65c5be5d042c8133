"""Fixtures of the workflow's tests."""

import pytest
from harness import Run


@pytest.fixture
def run(tmp_path):
    """A working folder of its own with a copy of the workflow."""
    return Run(tmp_path / "run")
