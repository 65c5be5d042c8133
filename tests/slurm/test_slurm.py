"""The whole workflow with `profiles/slurm` on a real Slurm: the same bytes as on one machine, whatever happens to jobs and nodes."""

import shutil
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from harness import RESULTS, ROOT, Run, contents, differing, wait
from submission import SlurmRun

from bow2cnn_demo import make_collection

pytestmark = [pytest.mark.slurm, pytest.mark.slow]
ARRAYS = ("extract_features", "quantise_words", "reconstruct_clusters")
ON_GPU = ("train_network", "describe_collection", "describe_benchmark")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """The photos and the config of a tiny run."""
    folder = tmp_path_factory.mktemp("tiny")
    make_collection(folder / "tiny-photos", "tiny", 0)
    shutil.copy(ROOT / "tests/configs/tiny.yaml", folder / "tiny.yaml")
    return folder


@pytest.fixture(scope="module")
def local(tiny, tmp_path_factory):
    """A future of what the run leaves on two cores of one machine."""
    run = Run(tmp_path_factory.mktemp("local") / "run")
    shutil.copytree(tiny, run.folder, dirs_exist_ok=True)

    def there():
        run("--configfile", "tiny.yaml", "--cores", 2)
        return contents(run.folder / RESULTS)

    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(there)


@pytest.fixture
def run(tiny, slurm, tmp_path):
    run = SlurmRun(tmp_path / "run", slurm)
    shutil.copytree(tiny, run.folder, dirs_exist_ok=True)
    return run


def test_the_same_bytes_as_on_one_machine(run, local):
    arrays = ("--slurm-array-jobs", ",".join(ARRAYS), "--slurm-array-limit", 20)
    run.submit("--configfile", "tiny.yaml", *arrays, "--config", "device=cuda")
    try:
        output = run.finish()
    finally:
        run.stop()
    assert differing(contents(run.folder / RESULTS), local.result()) == []
    starts = run.starts()
    assert max(Counter(start.name for start in starts).values()) == 1
    assert {start.name for start in starts if start.number == 0} == {"scan", "note_recipe"}
    assert output.count("Submitted array job") == len(ARRAYS)
    asked = {start.name.split("-")[0] for start in starts if start.number and "gpu" in str(run.slurm.job(start.number))}
    assert asked == set(ON_GPU)
    together = {start.number: {other.name for other in starts if other.number == start.number} for start in starts if start.number}
    assert {"evaluate_systems", "write_report"} in together.values()


@pytest.mark.long
def test_the_demo_too(slurm, tmp_path):
    """The config and the photos of `make demo`."""
    here, there = Run(tmp_path / "here"), SlurmRun(tmp_path / "there", slurm)
    make_collection(here.folder / "demo-photos", "full", 0)
    shutil.copytree(here.folder / "demo-photos", there.folder / "demo-photos")
    there.submit()
    try:
        there.finish()
    finally:
        there.stop()
    here("--cores", 2)
    assert differing(contents(there.folder / "results/demo"), contents(here.folder / "results/demo")) == []
    assert max(Counter(start.name for start in there.starts()).values()) == 1


def test_what_is_cancelled_killed_or_lost_runs_again_and_nothing_else(run, local):
    slurm = run.slurm
    hit = ("extract_features-000", "train_vocabulary", "quantise_words-001", "find_seeds", "grow_graph")
    spared = "find_watermarks"
    run.hold(*hit[:-1], spared)
    # Half as much again as the first attempt is given.
    (run.folder / "needs-grow_graph").write_text("12000")
    run.submit("clustering", "--configfile", "tiny.yaml")
    try:
        start = run.started("extract_features-000")
        slurm("scancel", start.number)
        run.release("extract_features-000")

        start = run.started("train_vocabulary")
        slurm("kill", "-KILL", start.process)
        run.release("train_vocabulary")

        start = run.started("quantise_words-001")
        node = slurm.job(start.number)["NodeList"]
        slurm("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
        run.release("quantise_words-001")
        slurm.hurry(start.number)
        run.started("quantise_words-001", 2)
        slurm("scontrol", "update", f"nodename={node}", "state=resume")

        start = run.started(spared)
        node = slurm.job(start.number)["NodeList"]
        slurm.stop_node(node)
        run.release(spared)
        slurm.start_node(node)

        start = run.started("find_seeds")
        node = slurm.job(start.number)["NodeList"]
        slurm.lose_node(node, start.number)
        wait(lambda: slurm.states()[node].startswith("down"), f"{node} is not missed")
        run.release("find_seeds")
        slurm.hurry(start.number)
        run.started("find_seeds", 2)
        slurm.start_node(node)
        run.finish()
    finally:
        run.stop()
    found, expected = contents(run.folder / RESULTS), local.result()
    assert "clustering/clusters.h5" in found and differing(found, {name: expected[name] for name in found}) == []
    counts = Counter(start.name for start in run.starts())
    assert {name: count for name, count in counts.items() if count > 1} == dict.fromkeys(hit, 2)
    # Slurm queued these two again itself; the others were handed in anew.
    again = {name for name in hit if len({start.number for start in run.starts(name)}) == 1}
    assert again == {"quantise_words-001", "find_seeds"}
    first, second = (start.memory for start in run.starts("grow_graph"))
    assert 8000 <= first < 8100 and abs(second - 1.5 * first) < 1
    asked = [slurm.job(start.number)["MinMemoryNode"] for start in run.starts("grow_graph")]
    assert asked == [f"{first}M", f"{second}M"]
