"""A copy of the workflow in a temporary folder, so that tests may edit it, and Snakemake as a user starts it."""

import contextlib
import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
RESULTS = "results/tiny"  # as tests/configs/tiny.yaml says
PARTS = ("Snakefile", "config.yaml", "workflow", "src", "profiles", "envs")
HOLDING = Path(__file__).parent / "holding"
PATIENCE = 7200  # seconds after which something waited for is taken for something that never comes


class Run:
    """A working folder with the workflow in `code/`; call it with Snakemake's arguments. `prefix` is a command that starts Snakemake, and
    `environment` what it has besides that of the tests.
    """

    def __init__(self, folder):
        self.folder, self.prefix, self.environment = folder, [], {}
        self.code = folder / "code"
        self.code.mkdir(parents=True)
        for part in PARTS:
            source = ROOT / part
            if source.is_dir():
                shutil.copytree(source, self.code / part, ignore=shutil.ignore_patterns("*.egg-info", "*.tmp.*"))
            else:
                shutil.copy(source, self.code / part)

    def __call__(self, *arguments, fails=False):
        """What Snakemake printed."""
        process = self.begin(*arguments, stdout=subprocess.PIPE)
        output = process.communicate()[0]
        assert (process.returncode != 0) == fails, output[-4000:]
        return output

    def begin(self, *arguments, stdout):
        """Snakemake's process, in a process group of its own."""
        snakemake = Path(sys.executable).parent / "snakemake"
        command = [*self.prefix, snakemake, "--snakefile", self.code / "Snakefile", *map(str, arguments)]
        options = {"cwd": self.folder, "stderr": subprocess.STDOUT, "text": True, "start_new_session": True}
        return subprocess.Popen(command, stdout=stdout, env=os.environ | self.environment, **options)

    @contextlib.contextmanager
    def held(self, moments, *arguments, stdout=subprocess.DEVNULL):
        """Begin a run whose job waits at the first of some moments that comes (see `holding/sitecustomize.py`), until the block ends.

        Yields:
            (process, moment): Snakemake's process; the moment, None where the run ended without one.
        """
        path = self.folder / "held"
        with open(path, "w+", encoding="ascii") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            found = os.pathsep.join([str(HOLDING), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
            self.environment = {"PYTHONPATH": found, "BOW2CNN_TEST_HOLD": json.dumps([str(path), moments])}
            process = self.begin(*arguments, stdout=stdout)
            self.environment = {}
            try:
                wait(lambda: path.read_text().endswith("\n") or process.poll() is not None, "neither a moment nor the end of the run came")
                reached = path.read_text().splitlines()
                yield process, tuple(json.loads(reached[0])) if reached else None
            except BaseException:
                end_group(process, signal.SIGKILL)
                raise


def wait(condition, message):
    """Wait until a condition holds. Returns what it gave."""
    end = time.monotonic() + PATIENCE
    while not (value := condition()):
        assert time.monotonic() < end, message
        time.sleep(0.05)
    return value


def end_group(process, number):
    """Send a signal to Snakemake and its jobs, and wait for Snakemake's end."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
    process.wait()


def tiny_run(folder):
    """A run with the config of the tiny collection, whose photos are still to come."""
    run = Run(folder)
    shutil.copy(ROOT / "tests/configs/tiny.yaml", run.folder / "tiny.yaml")
    return run


def contents(folder):
    """Relative path -> bytes of every artefact of a run, and of its table."""
    files = [*folder.rglob("*.h5"), *folder.glob("evaluation.csv"), *folder.glob("evaluation/gains.json")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files if path.name != "scan-memory.h5"}


def differing(found, expected):
    """Names of the artefacts that differ, or that only one of two runs has."""
    return sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))


def planned(output):
    """Rule -> number of jobs, from Snakemake's table of jobs (empty when there is nothing to do)."""
    table = re.search(r"^job +count\n-+ +-+\n(.*?)^total", output, re.M | re.S)
    return {line.split()[0]: int(line.split()[1]) for line in table[1].splitlines()} if table else {}


def ended(output):
    """Rules of the jobs that came to their end."""
    return set(re.findall(r"^Finished jobid: \d+ \(Rule: (\w+)\)", output, re.M))
