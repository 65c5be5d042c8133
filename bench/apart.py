"""Functions measured in a process of their own."""

import json
import multiprocessing
import threading
import time
from pathlib import Path

from threadpoolctl import threadpool_limits


def apart(function, *arguments, threads=1):
    """What a function returns (a dict of numbers) in a process of its own, with its memory at most: `own` and `mapped` bytes."""
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
    """Bytes that this process has in memory: its own, and of mapped files."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {name: int(lines[key].split()[0]) * 1024 for name, key in (("own", "RssAnon"), ("mapped", "RssFile"))}
