"""A copy of the workflow in a temporary folder, so that tests may edit it, and Snakemake as a user starts it."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
RESULTS = "results/tiny"  # as tests/configs/tiny.yaml says
PARTS = ("Snakefile", "config.yaml", "workflow", "src", "profiles", "envs")


class Run:
    """A working folder with the workflow in `code/`; call it with Snakemake's arguments. `prefix` is a command that starts Snakemake."""

    def __init__(self, folder):
        self.folder, self.prefix = folder, []
        self.code = folder / "code"
        self.code.mkdir(parents=True)
        for part in PARTS:
            source = ROOT / part
            if source.is_dir():
                shutil.copytree(source, self.code / part, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
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
        return subprocess.Popen(command, stdout=stdout, **options)


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
