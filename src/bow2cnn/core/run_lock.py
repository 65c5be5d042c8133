"""One run at a time in a results folder. The kernel holds the locks and releases them when a process ends, even if it is killed.

A run holds one lock exclusively, and each of its jobs shares another: when a run is killed, some of its jobs may still be at work.
"""

import fcntl
import os
from pathlib import Path
from typing import TextIO

_RUN, _JOBS = ".lock", ".lock-jobs"
_held: list[TextIO] = []  # open files: the kernel releases a lock when its file is closed


class LockError(Exception):
    """The results folder is in use by another run, or cannot be locked or written; the message says which, in one line."""


def acquire_run_lock(results: str | Path) -> None:
    """Lock a results folder for a run, until this process ends.

    Args:
        results: the folder; made if it does not exist.

    Raises:
        LockError: another run, or a job of a killed run, is at work there, or the folder cannot be written.
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


def acquire_job_lock(results: str | Path) -> None:
    """Share the lock of the jobs in a results folder, until this process ends.

    Raises:
        LockError: the folder cannot be locked.
    """
    jobs = _open(results, _JOBS)
    _lock(results, jobs, fcntl.LOCK_SH)
    _held.append(jobs)


def _check_writable(results):
    """Check that a run can write its files. Snakemake would notice only in the middle of the run, and fail with a traceback."""
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
