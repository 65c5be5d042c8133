"""Run functions in a process of their own and measure their memory."""

import contextlib
import json
import multiprocessing
import os
import threading
import time
from pathlib import Path

from threadpoolctl import threadpool_limits


def in_separate_process(function, *arguments, threads=1, children=False):
    """Call a function in a new process; its result (a dict of numbers) with its peak memory in bytes: `own` and `mapped`.

    Args:
        function: what to call.
        arguments: of the function.
        threads: of the libraries.
        children: whether the memory is that of the process and of all processes that it starts. A page that several processes share counts
            once then, and memory for exchange between processes counts as `own`.
    """
    receiver, sender = multiprocessing.Pipe(False)
    memory, pause = (_memory_of_family, 0.2) if children else (_memory, 0.05)
    process = multiprocessing.get_context("fork").Process(target=_work, args=(sender, function, arguments, threads, memory, pause))
    process.start()
    sender.close()
    found = json.loads(receiver.recv())
    process.join()
    return found


def _work(sender, function, arguments, threads, memory, pause):
    with threadpool_limits(threads):
        before, peaks = memory(), {"own": 0, "mapped": 0}
        threading.Thread(target=_watch, args=(memory, pause, before, peaks), daemon=True).start()
        found = function(*arguments)
        sender.send(json.dumps(found | peaks))


def _watch(memory, pause, before, peaks):
    while True:
        for name, value in memory().items():
            peaks[name] = max(peaks[name], value - before[name])
        time.sleep(pause)


def _memory():
    """Memory of this process in bytes: its own, and that of mapped files."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {name: int(lines[key].split()[0]) * 1024 for name, key in (("own", "RssAnon"), ("mapped", "RssFile"))}


def _memory_of_family():
    """The same of this process and its descendants, by the share of each process in its pages (PSS)."""
    total = {"own": 0, "mapped": 0}
    for process in _family(os.getpid()):
        with contextlib.suppress(OSError):  # it has ended
            lines = dict(line.split(":", 1) for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()[1:])
            for name, keys in (("own", ("Pss_Anon", "Pss_Shmem")), ("mapped", ("Pss_File",))):
                total[name] += sum(int(lines[key].split()[0]) * 1024 for key in keys)
    return total


def _family(process):
    """Ids of a process and its descendants."""
    yield process
    with contextlib.suppress(OSError):
        for thread in Path(f"/proc/{process}/task").iterdir():
            for child in (thread / "children").read_text().split():
                yield from _family(int(child))
