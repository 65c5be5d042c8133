"""A real Slurm on this machine, in namespaces of its own: nothing outside sees it, and nothing of it stays when the test ends."""

import os
import shutil
import socket
import subprocess
from contextlib import ExitStack
from pathlib import Path

from harness import wait

DAEMONS = ("munged", "slurmctld", "slurmd")
NAMESPACES = ("--mount", "--pid", "--uts")
NODES = ("node1", "node2")
# Two nodes of one machine. Nobody enforces their cores and memory, but Slurm hands out no more than they have.
CONFIG = """
ClusterName=test
SlurmctldHost=head(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SwitchType=switch/none
MpiDefault=none
SchedulerParameters=batch_sched_delay=1,sched_interval=2
SlurmdTimeout=10
ReturnToService=1
KillWait=2
MinJobAge=3600
GresTypes=gpu
NodeName=node1 NodeHostname=head NodeAddr=127.0.0.1 Port={ports[1]} CPUs=2 RealMemory=64000 Gres=gpu:1 State=UNKNOWN
NodeName=node2 NodeHostname=head NodeAddr=127.0.0.1 Port={ports[2]} CPUs=2 RealMemory=64000 State=UNKNOWN
PartitionName=main Nodes=node1,node2 Default=YES MaxTime=INFINITE State=UP
"""
# The first process of the namespaces waits for the end of its input, which comes with the end of the tests, whatever ends them, and
# takes all others along.
BOOT = """
hostname head
mount --bind {folder}/etc /etc/slurm
mount --bind {folder}/hosts /etc/hosts
munged --force --socket={folder}/munge.socket --key-file={folder}/munge.key --pid-file={folder}/munged.pid \
    --log-file={folder}/munged.log --seed-file={folder}/munged.seed
slurmctld -c
for node in {nodes}; do slurmd -N $node; done
exec 3<&0
cat <&3 &
wait $!
"""


def missing():
    """Why no Slurm can be started here; empty if one can."""
    if os.geteuid() != 0:
        return "needs root, to start a Slurm of its own"
    absent = [name for name in (*DAEMONS, "unshare", "nsenter") if shutil.which(name) is None]
    if absent:
        return f"needs {', '.join(absent)} (Debian: slurm-wlm, munge, util-linux)"
    if not Path("/etc/slurm").is_dir():
        return "needs the folder /etc/slurm"
    if subprocess.run(["unshare", *NAMESPACES, "--fork", "true"], capture_output=True, check=False).returncode:
        return "needs namespaces (unshare)"
    return ""


class Slurm:
    """Two nodes, one partition, no accounting. A context manager; call it with a command to run beside the daemons."""

    def __init__(self, folder):
        self.folder = Path(folder)

    def __enter__(self):
        for name in ("etc", "state", *(f"spool-{node}" for node in NODES)):
            (self.folder / name).mkdir(parents=True)
        (self.folder / "munge.key").write_bytes(os.urandom(1024))
        (self.folder / "munge.key").chmod(0o400)
        (self.folder / "etc/slurm.conf").write_text(CONFIG.format(folder=self.folder, ports=_free_ports(1 + len(NODES))))
        (self.folder / "hosts").write_text("127.0.0.1 localhost head\n")
        (self.folder / "etc/gres.conf").write_text("NodeName=node1 Name=gpu File=/dev/null\n")
        (self.folder / "etc/cgroup.conf").write_text("CgroupPlugin=cgroup/v1\nCgroupAutomount=no\n")
        script = BOOT.format(folder=self.folder, nodes=" ".join(NODES))
        with open(self.folder / "boot.log", "w") as log:
            self._keeper = subprocess.Popen(
                ["unshare", *NAMESPACES, "--fork", "--kill-child", "--mount-proc", "sh", "-c", script],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        children = Path(f"/proc/{self._keeper.pid}/task/{self._keeper.pid}/children")
        try:
            self._first = wait(lambda: children.read_text().strip(), "the namespaces did not begin")
            wait(lambda: self.states() == dict.fromkeys(NODES, "idle"), "the nodes did not come up")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self._keeper.stdin.close()
        try:
            self._keeper.wait(30)
        except subprocess.TimeoutExpired:
            self._keeper.kill()
            self._keeper.wait()

    def inside(self, *command):
        """The command line that runs a command in the namespaces."""
        return ["nsenter", "--target", self._first, *NAMESPACES, "--wd=.", *map(str, command)]

    def __call__(self, *command, check=True):
        """What a command printed."""
        done = subprocess.run(self.inside(*command), capture_output=True, text=True, check=False)
        assert not check or done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def states(self):
        """Node -> its state."""
        return dict(line.split() for line in self("sinfo", "-h", "-N", "-o", "%N %T", check=False).splitlines())

    def job(self, number):
        """What Slurm knows of a job."""
        return dict(part.split("=", 1) for part in self("scontrol", "show", "job", number).split() if "=" in part)

    def hurry(self, number):
        """Let a job that Slurm queued again start now: by itself it would wait for two minutes."""
        wait(lambda: self.job(number)["JobState"] == "PENDING", f"job {number} was not queued again")
        self("scontrol", "update", f"jobid={number}", "starttime=now")

    def start_node(self, node):
        self("slurmd", "-N", node)

    def stop_node(self, node):
        """End a node's slurmd; its jobs run on."""
        pid = (self.folder / f"slurmd-{node}.pid").read_text().strip()
        self("kill", pid)
        wait(lambda: not self("ps", "-o", "pid=", pid, check=False), f"{node} did not stop")

    def lose_node(self, node, number):
        """What a crash of a node does: its slurmd is gone without a word, and so is every process of the job that it ran."""
        listing = [line.split(None, 2) for line in self("ps", "-e", "-o", "pid=,ppid=,args=").splitlines()]
        lost = {pid for pid, _, command in listing if command.startswith(f"slurmstepd: [{number}.")}
        while more := {pid for pid, parent, _ in listing if parent in lost} - lost:
            lost |= more
        processes = [(self.folder / f"slurmd-{node}.pid").read_text().strip(), *lost]
        self("kill", "-KILL", *processes, check=False)  # some may end by themselves meanwhile


def _free_ports(count):
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
