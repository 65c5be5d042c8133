"""The time of parts of a script."""

import resource
import time


class Clock:
    """Seconds since the last call: wall time, and processor time of this process and of the processes that it has waited for."""

    def __init__(self):
        self._last = self._now()

    def _now(self):
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return time.perf_counter(), sum(one.ru_utime + one.ru_stime for one in used)

    def lap(self):
        last, self._last = self._last, self._now()
        return [now - before for now, before in zip(self._last, last, strict=True)]
