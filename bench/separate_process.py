"""Run functions in a process of their own and measure their memory."""

import json
import multiprocessing
import threading
import time
from pathlib import Path

from threadpoolctl import threadpool_limits


def in_separate_process(function, *arguments, threads=1):
    """Call a function in a new process; its result (a dict of numbers) with its peak memory in bytes: `own` and `mapped`."""
    receiver, sender = multiprocessing.Pipe(False)
    process = multiprocessing.get_context("fork").Process(target=_work, args=(sender, function, arguments, threads))
    process.start()
    sender.close()
    found = json.loads(receiver.recv())
    process.join()
    return found


def _work(sender, function, arguments, threads):
    with threadpool_limits(threads):
        before, peaks = _memory(), {"own": 0, "mapped": 0}
        threading.Thread(target=_watch, args=(before, peaks), daemon=True).start()
        found = function(*arguments)
        sender.send(json.dumps(found | peaks))


def _watch(before, peaks):
    while True:
        for name, value in _memory().items():
            peaks[name] = max(peaks[name], value - before[name])
        time.sleep(0.05)


def _memory():
    """Memory of this process in bytes: its own, and that of mapped files."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {name: int(lines[key].split()[0]) * 1024 for name, key in (("own", "RssAnon"), ("mapped", "RssFile"))}
