"""The frame of every script's call of the package: a log, a fixed number of library threads, errors of one line."""

import contextlib
import logging
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

from bow2cnn.core.atomic_files import write_errors
from bow2cnn.core.printable import printable
from bow2cnn.core.run_lock import acquire_job_lock
from bow2cnn.core.threads import use_threads


@contextlib.contextmanager
def stage(log: str | Path, threads: int = 1) -> Iterator[logging.Logger]:
    """Run a stage: log to a file and to stderr, set the number of library threads, report errors.

    An error with a known cause (an exception class of this package, or an OSError) ends the process with code 1 and one line, on stderr
    and in the log. Any other exception is a bug: it is raised again, and its traceback is written to the log.

    Args:
        log: path of the log file.
        threads: number of library threads. It comes from the config, not from the scheduler, because results may depend on it.

    Raises:
        SystemExit: an error with a known cause, SIGTERM or SIGINT.
    """
    logger = logging.getLogger("bow2cnn")
    logger.setLevel(logging.INFO)
    logging.raiseExceptions = False  # if the log cannot be written (a full disk), do not print a traceback for every line
    with _handler(logger, logging.StreamHandler(sys.stderr)), contextlib.ExitStack() as stack:
        previous = _end_cleanly(logger)
        try:
            file = stack.enter_context(_handler(logger, _open_log(log)))
            if "BOW2CNN_RESULTS" in os.environ:
                acquire_job_lock(os.environ["BOW2CNN_RESULTS"])
            with use_threads(threads):
                yield logger
        except Exception as error:
            if isinstance(error, OSError) or type(error).__module__.startswith("bow2cnn."):
                logger.error("error: %s", printable(" ".join(str(error).split())))
                raise SystemExit(1) from None
            with contextlib.suppress(OSError):
                file.stream.write(traceback.format_exc())
            raise
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)


@contextlib.contextmanager
def _handler(logger, handler):
    """Add a handler with the common format to the logger for the time of the block."""
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    logger.addHandler(handler)
    try:
        yield handler
    finally:
        logger.removeHandler(handler)
        with contextlib.suppress(OSError):  # closing writes the rest again, which fails on a full disk
            handler.close()


def _open_log(path):
    with write_errors(path):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        return logging.FileHandler(path, "w", encoding="utf-8", errors="backslashreplace")


def _end_cleanly(logger):
    """Let SIGTERM and SIGINT raise SystemExit, so that half-written files are removed. Returns the old handlers by signal."""

    def stop(number, _):
        logger.error("stopped (%s)", signal.Signals(number).name)
        raise SystemExit(128 + number)

    try:
        return {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    except ValueError:  # not in the main thread
        return {}
