"""Fixtures of the workflow's tests."""

import pytest
from harness import RESULTS, Run, contents, tiny_run

from bow2cnn_demo import make_collection


@pytest.fixture
def run(tmp_path):
    """A working folder of its own with a copy of the workflow."""
    return Run(tmp_path / "run")


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A working folder in which the workflow ran to its end, undisturbed; `results` is its folder, `contents` what it held then.

    Tests leave it as they found it.
    """
    run = tiny_run(tmp_path_factory.mktemp("tiny") / "run")
    make_collection(run.folder / "tiny-photos", "tiny", 0)
    run("--configfile", "tiny.yaml", "--cores", 2)
    run.results = run.folder / RESULTS
    run.contents = contents(run.results)
    return run
