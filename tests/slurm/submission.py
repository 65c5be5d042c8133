"""A working folder whose run goes to Slurm with the profile, and leaves traces of every start of a job."""

import subprocess
import sys
from pathlib import Path

from harness import PATIENCE, Run, wait

# Short waits: these jobs take seconds, and the file system is local.
QUICK = ("--slurm-init-seconds-before-status-checks", 1, "--seconds-between-status-checks", 1, "--latency-wait", 20)
# Goes before every script of a copied workflow. Each start leaves a line; a job waits while the test holds it; and where the test says
# how much memory a rule needs, it fails with less, as if it had been killed for it.
PROLOGUE = """
import os as _os, time as _time
_name = "-".join([snakemake.rule, *snakemake.wildcards]).replace("/", "-")
with open("starts", "a") as _file:
    _file.write(f"{_name} {_os.environ.get('SLURM_JOB_ID', 0)} {_os.getpid()} {snakemake.resources.mem_mb}\\n")
while _os.path.exists(f"hold-{_name}"):
    _time.sleep(0.1)
if _os.path.exists(f"needs-{_name}") and snakemake.resources.mem_mb < int(open(f"needs-{_name}").read()):
    raise MemoryError
"""


class Start:
    """One start of a job's script: name of the job, its number in Slurm, the process, the memory in MB that it was given."""

    def __init__(self, line):
        self.name, *numbers = line.split()
        self.number, self.process, self.memory = map(int, numbers)


class SlurmRun(Run):
    """A working folder whose jobs run on a Slurm and leave traces."""

    def __init__(self, folder, slurm):
        super().__init__(folder)
        self.slurm = slurm
        for script in (self.code / "workflow/scripts").glob("*.py"):
            # The GPU of the tests' node is a file: what is sent there computes on the processor.
            script.write_text(PROLOGUE + script.read_text().replace("snakemake.params.device", '"cpu"'))
        self.output = folder / "output"

    def submit(self, *arguments):
        """Start Snakemake with the profile."""
        snakemake = Path(sys.executable).parent / "snakemake"
        profile = self.code / "profiles/slurm"
        command = [snakemake, "--snakefile", self.code / "Snakefile", "--workflow-profile", profile, *QUICK, *arguments]
        with open(self.output, "w") as file:
            self.process = subprocess.Popen(self.slurm.inside(*command), cwd=self.folder, stdout=file, stderr=subprocess.STDOUT)

    def finish(self):
        """Wait for the good end of a run. Returns what Snakemake printed."""
        code = self.process.wait(2 * PATIENCE)
        assert code == 0, self.output.read_text()[-4000:]
        return self.output.read_text()

    def stop(self):
        """End Snakemake and its jobs, whatever they do."""
        self.slurm("pkill", "-KILL", "-f", self.code, check=False)
        self.process.wait()

    def starts(self, name=""):
        """The starts of a job (of all jobs) so far, in their order."""
        path = self.folder / "starts"
        lines = path.read_text().splitlines() if path.exists() else []
        return [start for start in map(Start, lines) if name in ("", start.name)]

    def hold(self, *names):
        for name in names:
            (self.folder / f"hold-{name}").touch()

    def release(self, name):
        (self.folder / f"hold-{name}").unlink()

    def started(self, name, times=1):
        """Wait until a job has started so often. Returns the last start."""

        def there():
            assert self.process.poll() is None, self.output.read_text()[-4000:]
            return len(self.starts(name)) >= times

        wait(there, f"{name} did not start")
        return self.starts(name)[-1]
