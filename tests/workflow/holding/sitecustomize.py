"""Python imports this when it starts, where the folder is in PYTHONPATH: it lets the jobs of a run wait at moments that a test names.

BOW2CNN_TEST_HOLD holds, as JSON, the path of a file and the moments, each (script, event, pattern, number): a job of that script is about
to do, for the first time or the so manieth, what the audit event of Python says, to a file in whose name the regular expression is found.
The job then adds the moment to the file as a line, and waits until the test lets go of its lock on the file.
"""

import fcntl
import json
import os
import re
import sys
from collections import Counter

_PATH, _MOMENTS = json.loads(os.environ.get("BOW2CNN_TEST_HOLD", "[null, []]"))
_OWN = [moment for moment in _MOMENTS if any(word.endswith(f".{moment[0]}.py") for word in sys.orig_argv)]  # as Snakemake calls its copies
_EVENTS = {moment[1] for moment in _OWN}
_PROCESS = os.getpid()
_seen = Counter()


def _watch(event, arguments):
    if event not in _EVENTS or os.getpid() != _PROCESS:  # workers of the job are not the job
        return
    for moment in _OWN:
        _, awaited, pattern, number = moment
        if event == awaited and re.search(pattern, os.path.basename(str(arguments[0]))):
            _seen[awaited, pattern, number] += 1
            if _seen[awaited, pattern, number] == number:
                _wait(moment)


def _wait(moment):
    with open(_PATH, "a", encoding="ascii") as file:
        file.write(json.dumps(moment) + "\n")
        file.flush()
        fcntl.flock(file, fcntl.LOCK_SH)


if _OWN:
    sys.addaudithook(_watch)
