"""Work on untrusted data in worker processes, one task at a time: a task that kills or stalls its process loses only its own result.

Libraries lose this promise. The pool of the standard library gives up all work when one worker dies. In Pebble's pool all workers answer
through one pipe under one lock: where a worker is killed while it sends its result (by the system, when memory runs out), the pool waits
for minutes and then loses all results. Here every worker has a pipe of its own.
"""

import contextlib
import multiprocessing
import multiprocessing.connection
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

_FORK = multiprocessing.get_context("fork")


class TaskLost(str):
    """Takes the place of a result that was lost; the text is the reason."""


def isolated_map(function: Callable[[Any], Any], tasks: list, workers: int, seconds: list[float]) -> Iterator[tuple[int, Any]]:
    """Apply a function to tasks in worker processes.

    A lost task is tried once more, alone, when nothing else competes for memory and time: the outcome does not depend on its neighbours.

    Args:
        function: takes one task. Tasks need not be picklable (workers are forked), results must be.
        tasks: one argument of the function each.
        workers: number of processes, at least one is used.
        seconds: time limit of each task.

    Yields:
        (number of the task, result) in the order in which they are done, every number once. The result is a `TaskLost` where the process
        died or took too long, twice.

    Raises:
        Exception: whatever the function raises, but for a MemoryError, which loses the task. All workers are then ended.
    """
    lost = []
    for number, result in _run(function, tasks, range(len(tasks)), min(workers, len(tasks)), seconds):
        if isinstance(result, TaskLost):
            lost.append(number)
        else:
            yield number, result
    for number in sorted(lost):
        yield from _run(function, tasks, [number], 1, seconds)


def _run(function, tasks, numbers, count, seconds):
    """Run each of these tasks once, in `count` processes; yields (number, result) in the order in which they are done."""
    waiting, workers = list(reversed(numbers)), []
    try:
        while waiting or workers:
            while waiting and len(workers) < max(1, count):
                workers.append(_Worker(function, tasks, workers))
                workers[-1].begin(waiting.pop(), seconds)
            soonest = max(0.0, min(worker.deadline for worker in workers) - time.monotonic())
            ready = multiprocessing.connection.wait([worker.pipe for worker in workers], soonest)
            for worker in list(workers):
                if worker.pipe in ready:
                    result = worker.result()
                elif time.monotonic() >= worker.deadline:
                    result = TaskLost(f"took longer than {seconds[worker.number]:g} seconds")
                else:
                    continue
                yield worker.number, result
                if waiting and not isinstance(result, TaskLost):
                    worker.begin(waiting.pop(), seconds)
                else:
                    workers.remove(worker)
                    worker.end()
    finally:
        for worker in workers:
            worker.end()


class _Worker:
    """A process that works on one task after another."""

    def __init__(self, function, tasks, others):
        self.pipe, end = _FORK.Pipe()
        inherited = [self.pipe, *(worker.pipe for worker in others)]
        self._process = _FORK.Process(target=_serve, args=(function, tasks, end, inherited), daemon=True)
        self._process.start()
        end.close()  # now only the worker holds this end, so its death closes the pipe

    def begin(self, number, seconds):
        self.number, self.deadline = number, time.monotonic() + seconds[number]
        with contextlib.suppress(BrokenPipeError):  # it died between two tasks; `result` will report that
            self.pipe.send(number)

    def result(self):
        """The worker's result, a `TaskLost` where the worker died."""
        try:
            result = self.pipe.recv()
        except (EOFError, OSError):
            self._process.join()
            return TaskLost(f"its process died ({_cause(self._process.exitcode)})")
        if isinstance(result, Exception):
            raise result
        return result

    def end(self):
        self._process.kill()
        self._process.join()
        self.pipe.close()


def _serve(function, tasks, pipe, inherited):
    """The loop of a worker process: receive the number of a task, send its result."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its workers
    for other in inherited:
        other.close()  # else the workers of a killed parent would keep each other's pipes open and wait for ever
    while True:
        try:
            number = pipe.recv()
        except (EOFError, ConnectionResetError):  # the parent was killed
            return
        try:
            result = function(tasks[number])
        except MemoryError:
            result = TaskLost("out of memory")
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
