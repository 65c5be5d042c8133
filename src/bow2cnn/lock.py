"""One run at a time in a results folder. The kernel holds the lock and lets go of it when the process ends, however it ends."""

import fcntl
import os
from pathlib import Path

_NAME = ".lock"
_held = []  # open files: the kernel lets go of a lock when its file is closed


class LockError(Exception):
    """The results folder belongs to a run that is at work."""


def hold(results):
    """Take a results folder for the rest of this process.

    Args:
        results: the folder; made if it is not there.

    Raises:
        LockError: another process holds it.
    """
    path = Path(results) / _NAME
    path.parent.mkdir(parents=True, exist_ok=True)
    file = open(path, "a+", encoding="ascii")  # noqa: SIM115 (kept open)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.seek(0)
        holder = file.read().strip()
        file.close()
        raise LockError(f"{results}: another run is at work here (process {holder}); wait for its end or stop it") from error
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    _held.append(file)
