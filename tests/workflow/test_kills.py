"""Runs that are killed, interrupted or out of room: one command finishes them, and every byte is that of an undisturbed run."""

import os
import random
import shutil
import signal
import subprocess
import time

import pytest
from harness import RESULTS, contents, differing, tiny_run

from bow2cnn import artefact

pytestmark = pytest.mark.slow
START = ("--configfile", "tiny.yaml", "--cores", 2)
# Kills per rule of the short version; in the long one every rule is killed.
SHORT = {"extract_features": 1, "grow_graph": 1, "train_network": 2}


@pytest.fixture
def tiny(finished, tmp_path):
    """A run on the photos of the undisturbed one, with nothing done yet."""
    run = tiny_run(tmp_path / "run")
    shutil.copytree(finished.folder / "tiny-photos", run.folder / "tiny-photos")
    run.results = run.folder / RESULTS
    return run


def durations(results):
    """Rule -> mean seconds of its jobs."""
    found = {}
    for folder in (results / "timings").iterdir():
        seconds = [float(path.read_text().splitlines()[1].split()[0]) for path in folder.rglob("*.tsv")]
        found[folder.name] = sum(seconds) / len(seconds)
    return found


def begun(results, rules, since):
    """The first of the rules that has a job at work that began after a time, or None."""
    logs = results / "logs"
    for rule in rules:
        folder = logs / {"describe_collection": "describe", "describe_benchmark": "describe"}.get(rule, rule)
        if any(path.stat().st_mtime > since for path in folder.rglob("*.log")):
            return rule
    return None


def end_group(process, number):
    os.killpg(process.pid, number)
    process.wait()


def run_killed(run, kills, seconds, seed):
    """Start the run until it ends well, each time killing its process group at a random moment in a rule that has kills left.

    Returns:
        rule -> moments (seconds after the rule began) at which it was killed.
    """
    draw, waiting, killed = random.Random(seed), dict(kills), {}
    while True:
        since = time.time()
        process = run.begin(*START, stdout=subprocess.DEVNULL)
        rule = None
        while rule is None and process.poll() is None:
            time.sleep(0.02)
            rule = begun(run.results, [name for name, left in waiting.items() if left], since)
        if rule is None:
            assert process.returncode == 0
            return killed
        moment = draw.uniform(0, seconds[rule])
        time.sleep(moment)
        if process.poll() is None:
            end_group(process, signal.SIGKILL)
            killed.setdefault(rule, []).append(moment)
        waiting[rule] -= 1


def left_behind(results):
    return [path for path in results.rglob(".*") if path.name.endswith(".tmp")]


def check_same_bytes(run, finished, kills, at_least):
    killed = run_killed(run, kills, durations(finished.results), seed=1)
    assert sum(map(len, killed.values())) >= at_least, killed
    assert differing(contents(run.results), finished.contents) == []
    assert left_behind(run.results) == []


def test_a_killed_run_ends_with_the_same_bytes(tiny, finished):
    check_same_bytes(tiny, finished, SHORT, 3)


@pytest.mark.long
def test_a_run_killed_in_every_rule_ends_with_the_same_bytes(tiny, finished):
    kills = {rule: 1 for rule in durations(finished.results) if rule != "describe"} | {"describe": 2, "train_network": 4}
    check_same_bytes(tiny, finished, kills, 20)


@pytest.mark.parametrize("rule", ["extract_features", "grow_graph"])
def test_an_interrupt_stops_cleanly(tiny, rule):
    since = time.time()
    with open(tiny.folder / "output", "w+", encoding="utf-8") as output:
        process = tiny.begin(*START, "clusters", stdout=output)
        while begun(tiny.results, [rule], since) is None:
            assert process.poll() is None
            time.sleep(0.02)
        end_group(process, signal.SIGINT)  # at once: the whole rule may take half a second
        output.seek(0)
        text = output.read()
    assert process.returncode != 0
    assert "stopped (SIGINT)" in text and "Traceback" not in text, text[-3000:]
    assert left_behind(tiny.results) == []


def test_a_second_run_beside_the_first_is_refused(tiny):
    since = time.time()
    first = tiny.begin(*START, "features", stdout=subprocess.DEVNULL)
    while begun(tiny.results, ["extract_features"], since) is None:
        assert first.poll() is None
        time.sleep(0.02)
    said = tiny(*START, "features", fails=True)
    assert f"{RESULTS}: another run is at work here (process {first.pid}); wait for its end or stop it" in said.splitlines()
    assert "Traceback" not in said and first.wait() == 0


@pytest.mark.parametrize("room", ["20k", "150k", "2m", "7m"])
def test_a_full_disk_ends_in_one_line_and_leaves_no_half_artefact(tiny, room):
    tiny.results.mkdir(parents=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={room}", "tmpfs", tiny.results], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("NOT RUN: needs the right to mount a small disk")
    try:
        said = tiny(*START, "features", "--config", "threads=1", fails=True)
        lines = {line for line in said.splitlines() if "cannot be written" in line}
        assert lines and all("error: " in line and line.endswith("(No space left on device)") for line in lines), said[-3000:]
        assert "Traceback" not in said
        for path in tiny.results.rglob("*.h5"):
            artefact.read(path, artefact.Reader(path).kind)
        assert left_behind(tiny.results) == []
    finally:
        subprocess.run(["umount", tiny.results], check=True)
    if room == "2m":
        tiny(*START, "features", "--config", "threads=1")
