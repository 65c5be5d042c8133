"""Runs that are killed, interrupted or out of room: one command finishes them, and every byte is that of an undisturbed run."""

import fcntl
import shutil
import signal
import subprocess

import pytest
from harness import RESULTS, contents, differing, end_group, tiny_run

from bow2cnn.core import artefact

pytestmark = pytest.mark.slow
START = ("--configfile", "tiny.yaml", "--cores")
# The moments of a job at which the disk is in another state: nothing is done yet; the first file is whole, but not in its place; it is,
# and the job goes on.
STATES = (("open", r"\.log$", 1), ("os.rename", r"\.tmp$", 1), ("os.remove", r"\.tmp$", 1))
TRAINING = [
    ("train_network", "os.rename", r"^\.checkpoint\.", 2),
    ("train_network", "os.remove", r"^\.checkpoint\.", 3),
    ("train_network", "os.remove", r"^\.network\.h5\.", 1),  # the history is still to come
]
SHORT = [("extract_features", *STATES[1]), ("grow_graph", *STATES[2]), *TRAINING[1:], ("write_pages", *STATES[1])]


@pytest.fixture
def tiny(finished, tmp_path):
    """A run on the photos of the undisturbed one, with nothing done yet."""
    run = tiny_run(tmp_path / "run")
    shutil.copytree(finished.folder / "tiny-photos", run.folder / "tiny-photos")
    run.results = run.folder / RESULTS
    return run


def stop(run, process, number):
    """End a run by a signal, and wait for the end of its jobs too."""
    end_group(process, number)
    with open(run.results / ".lock-jobs", "a", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)


def left_behind(results):
    return [path for path in results.rglob(".*") if path.name.endswith(".tmp")]


def check_same_bytes(run, finished, cores, moments):
    """Start a run until it ends well, each time killing it at one of the moments; all have to come."""
    waiting, moment = list(moments), True
    while moment:
        with run.held(waiting, *START, cores) as (process, moment):
            if moment:
                stop(run, process, signal.SIGKILL)
                waiting.remove(moment)
    assert process.returncode == 0 and waiting == []
    assert differing(contents(run.results), finished.contents) == []
    assert left_behind(run.results) == []


def test_a_killed_run_on_one_core_ends_with_the_same_bytes(tiny, finished):
    """The undisturbed one had two, and their number changes no byte either."""
    check_same_bytes(tiny, finished, 1, SHORT)


@pytest.mark.long
def test_a_run_killed_in_every_rule_ends_with_the_same_bytes(tiny, finished):
    scripts = {path.stem for path in (finished.code / "workflow/scripts").glob("*.py")} - {"read_models"}
    check_same_bytes(tiny, finished, 2, TRAINING + [(script, *state) for script in sorted(scripts) for state in STATES[1:]])


@pytest.mark.parametrize("moment", [("extract_features", *STATES[0]), ("grow_graph", *STATES[1])], ids=str)
def test_an_interrupt_stops_cleanly(tiny, moment):
    output = tiny.folder / "output"
    with open(output, "w", encoding="utf-8") as file, tiny.held([moment], *START, 2, "clustering", stdout=file) as (process, reached):
        assert reached == moment, output.read_text()[-4000:]
        stop(tiny, process, signal.SIGINT)
    text = output.read_text(encoding="utf-8")
    assert process.returncode != 0
    assert "stopped (SIGINT)" in text and "Traceback" not in text, text[-3000:]
    assert left_behind(tiny.results) == []


def test_a_second_run_beside_the_first_is_refused(tiny):
    moment = ("extract_features", *STATES[0])
    with tiny.held([moment], *START, 2, "features") as (first, reached):
        assert reached == moment
        said = tiny(*START, 2, "features", fails=True)
    assert f"{RESULTS}: another run is at work here (process {first.pid}); wait for its end or stop it" in said.splitlines()
    assert "Traceback" not in said and first.wait() == 0


@pytest.mark.parametrize("room", ["20k", "150k", "2m", "7m"])
def test_a_full_disk_ends_in_one_line_and_leaves_no_half_artefact(tiny, room):
    tiny.results.mkdir(parents=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={room}", "tmpfs", tiny.results], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("NOT RUN: needs the right to mount a small disk")
    try:
        said = tiny(*START, 2, "features", "--config", "threads=1", fails=True)
        lines = {line for line in said.splitlines() if "cannot be written" in line}
        assert lines and all("error: " in line and line.endswith("(No space left on device)") for line in lines), said[-3000:]
        assert "Traceback" not in said
        for path in tiny.results.rglob("*.h5"):
            artefact.read(path, artefact.Reader(path).kind)
        assert left_behind(tiny.results) == []
    finally:
        subprocess.run(["umount", tiny.results], check=True)
    if room == "2m":
        tiny(*START, 2, "features", "--config", "threads=1")
