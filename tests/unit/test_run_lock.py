"""The lock of a results folder: one run at a time, jobs that outlive their run count, and no lock outlives its process."""

import errno
import fcntl
import os
import resource
import subprocess
import sys

import pytest

from bow2cnn.core import run_lock as lock
from bow2cnn.core.run_lock import LockError, acquire_job_lock, acquire_run_lock

HOLD = "import sys, bow2cnn.core.run_lock as lock; getattr(lock, sys.argv[1])(sys.argv[2]); print('held', flush=True); sys.stdin.read()"


@pytest.fixture
def other(tmp_path):
    """Starts another process that holds a lock on the folder."""
    started = []

    def start(name):
        process = subprocess.Popen([sys.executable, "-c", HOLD, name, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture(autouse=True)
def released():
    yield
    while lock._held:
        lock._held.pop().close()


def test_a_second_run_is_refused_until_the_first_is_killed(tmp_path, other):
    first = other("acquire_run_lock")
    with pytest.raises(LockError, match=rf"another run is at work here \(process {first.pid}\)"):
        acquire_run_lock(tmp_path)
    first.kill()
    first.wait()
    acquire_run_lock(tmp_path)


def test_a_job_that_outlives_its_run_keeps_the_next_one_out(tmp_path, other):
    jobs = [other("acquire_job_lock"), other("acquire_job_lock")]
    with pytest.raises(LockError, match="jobs of a run that was killed are still at work"):
        acquire_run_lock(tmp_path)
    for job in jobs:
        job.kill()
        job.wait()
    acquire_run_lock(tmp_path)


def test_jobs_of_a_run_share_its_folder(tmp_path, other):
    acquire_run_lock(tmp_path)
    other("acquire_job_lock")
    acquire_job_lock(tmp_path)


def test_a_file_system_without_locks_is_reported(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(LockError, match=r"cannot be locked \(No locks available\)"):
        acquire_run_lock(tmp_path)


@pytest.mark.parametrize(("folder", "before"), [("logs", "results"), ("logs", "file"), ("timings", "locked"), ("collection", "locked")])
def test_a_folder_that_cannot_be_written_is_reported_before_the_first_job(tmp_path, monkeypatch, folder, before):
    if before == "file":
        (tmp_path / folder).touch()
    else:
        (tmp_path / folder).mkdir()
    access = os.access
    locked = tmp_path if before == "results" else tmp_path / folder
    monkeypatch.setattr(os, "access", lambda path, mode: path != locked and access(path, mode))
    with pytest.raises(LockError, match=r"^[^\n]+$") as caught:
        acquire_run_lock(tmp_path)
    assert str(caught.value).startswith(f"{locked}: ")


def test_a_full_disk_is_one_line(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        with pytest.raises(LockError, match=r"cannot be locked \(File too large\)$"):
            acquire_run_lock(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
