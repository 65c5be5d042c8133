"""Work on untrusted data in worker processes, one piece at a time, so that a piece that kills or stalls its process costs only itself.

The standard library's pool gives up on all work when one worker dies, and does not say which piece killed it.
"""

import contextlib
import ctypes
import functools
import multiprocessing
import multiprocessing.connection
import signal
import time

_FORK = multiprocessing.get_context("fork")
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # names of limits in glibc's malloc.h


class Lost(str):
    """Stands for the result of a piece that has none; the text is the reason."""


def work_apart(function, tasks, workers, seconds):
    """Results of `function` in the order of the tasks; a `Lost` where the process died or took too long, twice.

    What was lost is tried again alone, when nothing else competes for memory and time: so the outcome does not depend on the neighbours.

    Args:
        function: of one task; an exception in it ends the work and is raised here.
        tasks: list.
        workers: processes.
        seconds: list, how long each task may take.

    Yields:
        (number of the task, result) as they come; every number once.
    """
    again = []
    for number, result in _round(function, tasks, range(len(tasks)), min(workers, len(tasks)), seconds):
        if isinstance(result, Lost):
            again.append(number)
        else:
            yield number, result
    for number in sorted(again):
        yield from _round(function, tasks, [number], 1, seconds)


@functools.cache
def keep_memory():
    """Let this process keep what it frees, and not ask for it anew with every photo: a tenth of the time of finding features.

    Only glibc can be told so; elsewhere nothing is done.
    """
    set_limit = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_limit is not None:
        set_limit(_TRIM_THRESHOLD, 2**31 - 1)
        set_limit(_MMAP_THRESHOLD, 2**30)


def _round(function, tasks, numbers, workers, seconds):
    """(number, result) of every task, as they come."""
    waiting, crew = list(reversed(numbers)), []
    try:
        while waiting or crew:
            while waiting and len(crew) < max(1, workers):
                crew.append(_Worker(function, tasks, crew))
                crew[-1].begin(waiting.pop(), seconds)
            soonest = max(0.0, min(worker.deadline for worker in crew) - time.monotonic())
            ready = multiprocessing.connection.wait([worker.pipe for worker in crew], soonest)
            for worker in list(crew):
                if worker.pipe in ready:
                    result = worker.result()
                elif time.monotonic() >= worker.deadline:
                    result = Lost(f"took longer than {seconds[worker.number]:g} seconds")
                else:
                    continue
                yield worker.number, result
                if waiting and not isinstance(result, Lost):
                    worker.begin(waiting.pop(), seconds)
                else:
                    crew.remove(worker)
                    worker.end()
    finally:
        for worker in crew:
            worker.end()


class _Worker:
    """A process that works on one task after another."""

    def __init__(self, function, tasks, crew):
        self.pipe, end = _FORK.Pipe()
        inherited = [self.pipe, *(worker.pipe for worker in crew)]
        self._process = _FORK.Process(target=_serve, args=(function, tasks, end, inherited), daemon=True)
        self._process.start()
        end.close()  # the worker's is then the only one, and its death closes the pipe

    def begin(self, number, seconds):
        self.number, self.deadline = number, time.monotonic() + seconds[number]
        with contextlib.suppress(BrokenPipeError):  # it died between two tasks; the answer will say so
            self.pipe.send(number)

    def result(self):
        """What the worker answers, a `Lost` where it died."""
        try:
            result = self.pipe.recv()
        except (EOFError, OSError):
            self._process.join()
            return Lost(f"its process died ({_cause(self._process.exitcode)})")
        if isinstance(result, Exception):
            raise result
        return result

    def end(self):
        self._process.kill()
        self._process.join()
        self.pipe.close()


def _serve(function, tasks, pipe, inherited):
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its workers
    for other in inherited:
        other.close()  # else the workers of a killed parent would wait for each other for ever
    while True:
        try:
            number = pipe.recv()
        except EOFError:
            return
        try:
            result = function(tasks[number])
        except MemoryError:
            result = Lost("out of memory")
        except Exception as error:
            result = error
        try:
            pipe.send(result)
        except BrokenPipeError:
            return


def _cause(code):
    if code >= 0:
        return f"exit code {code}"
    return signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
