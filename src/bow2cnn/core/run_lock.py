"""One run at a time in a results folder. The kernel holds the locks and lets go of them when a process ends, however it ends.

A run holds one lock, and each of its jobs a share of another: a run that is killed may leave jobs that are still at work.
"""

import fcntl
import os
from pathlib import Path

_RUN, _JOBS = ".lock", ".lock-jobs"
_held = []  # open files: the kernel lets go of a lock when its file is closed


class LockError(Exception):
    """The results folder belongs to a run that is at work, or cannot be locked or written."""


def acquire_run_lock(results):
    """Take a results folder for the rest of this process.

    Args:
        results: the folder; made if it is not there.

    Raises:
        LockError: another run, or a job that one has left, is at work there; or it cannot be written.
    """
    _check_writable(Path(results))
    run = _open(results, _RUN)
    if not _lock(results, run, fcntl.LOCK_EX):
        run.seek(0)
        raise LockError(f"{results}: another run is at work here (process {run.read().strip()}); wait for its end or stop it")
    jobs = _open(results, _JOBS)
    if not _lock(results, jobs, fcntl.LOCK_EX):
        raise LockError(f"{results}: jobs of a run that was killed are still at work here; wait for their end or stop them")
    jobs.close()
    _held.append(run)
    try:
        run.truncate(0)
        run.write(f"{os.getpid()}\n")
        run.flush()
    except OSError as error:
        raise LockError(f"{results}: cannot be locked ({error.strerror})") from error


def acquire_job_lock(results):
    """Note for the rest of this process that a job is at work in a results folder."""
    jobs = _open(results, _JOBS)
    _lock(results, jobs, fcntl.LOCK_SH)
    _held.append(jobs)


def _check_writable(results):
    """What Snakemake would only find out in the middle of a run, and tell by a traceback."""
    for folder in (results, results / "logs", results / "timings"):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LockError(f"{folder}: cannot be made a folder ({error.strerror})") from error
    for folder in (results, *results.glob("*/"), *results.glob("*/*/")):
        if not os.access(folder, os.W_OK | os.X_OK):
            raise LockError(f"{folder}: not writable")


def _open(results, name):
    try:
        Path(results).mkdir(parents=True, exist_ok=True)
        return open(Path(results) / name, "a+", encoding="ascii")
    except OSError as error:
        raise LockError(f"{results}: cannot be locked ({error.strerror})") from error


def _lock(results, file, kind):
    """Whether the lock was free."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise LockError(f"{results}: cannot be locked ({error.strerror}); its file system must support flock") from error
    return True
