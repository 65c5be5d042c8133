"""The whole workflow on a tiny demo: what it leaves, what a second run does, what an edit reruns."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from harness import contents, differing, planned

from bow2cnn.core import artefact

pytestmark = pytest.mark.slow


def start(run, cores, *arguments):
    return run("--configfile", "tiny.yaml", "--cores", cores, *arguments)


def plan(run, *arguments):
    return planned(run("-n", "--configfile", "tiny.yaml", *arguments))


def jobs(output):
    """Rules that ran, by their messages."""
    return re.findall(r"^Job \d+: (\w+)", output, re.M)


def bench(run, script, *arguments):
    """What a script of `bench/` prints for a run."""
    command = [sys.executable, Path(__file__).parents[2] / f"bench/{script}.py", run.results, *arguments]
    return subprocess.run(command, cwd=run.folder, capture_output=True, text=True, check=True).stdout


def test_leaves_table_and_report(finished):
    results = finished.results
    with open(results / "evaluation.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["system", "benchmark", "protocol", "postprocessing", "metric", "value", "low", "high", "details"]
    assert {row["system"] for row in rows} >= {"bow", "off-the-shelf:efficientnet-lite0", "gem"}
    assert {row["benchmark"] for row in rows} == {"held-out", "validation"}
    assert all(float(row["low"]) <= float(row["value"]) <= float(row["high"]) for row in rows if row["low"])
    models = len(artefact.read(results / "reconstruction/models.h5", "models", ["cluster"])["cluster"])
    pages = sorted((results / "reconstruction/pages").glob("*.html"))
    assert [path.name for path in pages] == ["index.html", *(f"model-{number:03d}.html" for number in range(models))]
    for path in (results / "report.html", *pages):
        page = path.read_text(encoding="utf-8")
        assert not re.search(r"""(src|href)=["']?(https?:)?//""", page), "the report must open without a network"


@pytest.mark.parametrize(("script", "shares"), [("growing_distractors", "0 1"), ("small_objects", "1 0.25")])
def test_benches_begin_with_the_figures_of_the_table(finished, script, shares):
    """Without distractors, and with whole queries, the teacher and the networks rank as in the run."""
    found = {}
    for line in bench(finished, script, "--shares", *shares.split()).splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[0].startswith("held-out, "):
            protocol = cells[0].removeprefix("held-out, ")
        elif len(cells) == 3 and "---" not in cells[0]:
            assert all(0 <= float(cell) <= 100 for cell in cells[1:])
            found[protocol, cells[0]] = float(cells[1])
    with open(finished.results / "evaluation.csv", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if (row["benchmark"], row["metric"]) == ("held-out", "mAP")]
    names = {"bow": "bag of words", "off-the-shelf:efficientnet-lite0": "off the shelf: efficientnet-lite0", "gem": "gem"}
    assert {row["system"] for row in rows} == set(names)
    for row in rows:
        name = ", ".join(filter(None, (names[row["system"]], row["postprocessing"])))
        assert found[row["protocol"], name] == pytest.approx(float(row["value"]), abs=0.06), name
    assert any(name.endswith("+qe") and name.startswith("gem") for _, name in found)


def test_every_artefact_can_be_shown(finished):
    files = sorted((finished.results).rglob("*.h5"))
    assert len(files) > 20
    for path in files:
        assert len(artefact.describe(path)) > 1


def test_every_job_has_log_and_timing(finished):
    results = finished.results
    for rule in ("scan", "extract_features", "build_index", "train_network", "evaluate_systems", "write_report"):
        assert list((results / "logs" / rule).glob("*.log")), rule
        assert list((results / "timings" / rule).glob("*.tsv")), rule


def test_a_second_run_does_nothing_but_the_scan(finished):
    assert jobs(start(finished, 2)) == ["collection"]
    assert contents(finished.results) == finished.contents
    assert plan(finished) == {}


def test_a_temporary_file_that_a_killed_run_left_is_deleted(finished):
    models = finished.results / "reconstruction/models.h5"
    left, written = models.with_name("shard-00.h5"), models.stat().st_mtime_ns
    shutil.copy(models, left)
    os.utime(left, ns=(written - 1000, written - 1000))
    assert jobs(start(finished, 2)) == ["collection"]
    assert contents(finished.results) == finished.contents


def test_a_training_key_reruns_nothing_before_the_training(finished):
    changed = plan(finished, "--config", "experiments={'gem': {'negatives': 3}}")
    assert changed["train_network"] == 1
    assert not {"extract_features", "build_index", "cut_clusters", "find_pairs", "start_network", "rank_benchmark"} & set(changed)


def test_a_training_with_more_epochs_goes_on_from_the_last(finished):
    """Snakemake deletes the network before it trains again, but not the state."""
    log = finished.results / "logs/train_network/gem.log"
    assert "resumed" not in log.read_text()
    try:
        start(finished, 2, "training", "--config", "experiments={'gem': {'epochs': 3}}")
        assert "training: resumed in epoch 2 after 3 steps" in log.read_text()
        curve = artefact.read(finished.results / "experiments/gem/history.h5", "history")
        assert curve["epoch"].tolist() == [0, 1, 2, 3]
    finally:
        start(finished, 2)
    assert contents(finished.results) == finished.contents


def test_other_steps_rerun_the_evaluation_and_no_training(finished):
    changed = plan(finished, "--config", "experiments={'gem': {'test': {'steps': []}}}")
    assert set(changed) == {"evaluate_systems", "write_report"} | ({"all"} & set(changed))


def test_no_benchmark_is_looked_at_to_train_or_to_choose(finished):
    """With other answers to its queries, training and whitening give the same bytes; only the evaluation changes."""
    gnd = finished.folder / "tiny-photos/benchmark/gnd.json"
    kept = gnd.read_bytes()
    answers = json.loads(kept)
    answers["gnd"] = [{"ok": [1], "junk": []} for _ in answers["gnd"]]
    gnd.write_text(json.dumps(answers))
    start(finished, 2)
    found = contents(finished.results)
    trained = {name for name in finished.contents if name.split("/")[0] in ("experiments", "networks", "pairs", "split")}
    trained = {name for name in trained if "held-out" not in name}  # the descriptors of the benchmark
    assert len(trained) > 5 and differing(found, finished.contents) and not trained & set(differing(found, finished.contents))
    assert "evaluation.csv" in differing(found, finished.contents)
    gnd.write_bytes(kept)
    start(finished, 2)
    assert contents(finished.results) == finished.contents


def test_other_scales_rerun_descriptors_and_the_training_that_validates_by_them(finished):
    changed = plan(finished, "--config", "experiments={'gem': {'test': {'scales': [1, 0.5]}}}")
    assert {"train_network", "describe_collection", "describe_benchmark", "learn_whitening", "evaluate_systems"} <= set(changed)
    assert not {"start_network", "find_pairs", "extract_features", "rank_benchmark"} & set(changed)


# A module, a rule that an edit of it must rerun (None: no stage of this run uses it), and rules that it must not. `test_code_digest.py` has
# one of every room of the package.
EDITS = [
    ("explain/photo_in_cluster.py", None, set()),
    ("features/sift.py", "extract_features", {"read_benchmark", "start_network"}),
    ("report/pages/write.py", "write_pages", {"gather_models", "evaluate_systems"}),
    ("training/train_experiment.py", "train_network", {"find_pairs", "start_network", "extract_features"}),
]


@pytest.fixture
def edited(finished):
    """A function that edits a file of the finished run's code until the test ends: from its text to another."""
    before = {}

    def edit(name, change):
        path = finished.code / "src/bow2cnn" / name
        before[path] = path.read_text()
        path.write_text(change(before[path]))
        assert path.read_text() != before[path]

    yield edit
    for path, text in before.items():
        path.write_text(text)


def test_other_words_rerun_nothing(finished, edited):
    """Docstrings, comments, the label of a progress bar, what the lock says, and a line of the log."""
    for name, _, _ in EDITS:
        edited(name, lambda text: text.replace('"""', '"""Edited. ', 1) + "\n# edited\n")
    edited("core/run_lock.py", lambda text: text.replace("another run is at work here", "edited"))
    edited("clustering/minhash.py", lambda text: text.replace('"min-hash"', '"edited"'))
    edited("features/extract.py", lambda text: text.replace("%s has none", "%s edited"))
    assert plan(finished) == {}


@pytest.mark.parametrize(("module", "first", "others"), EDITS, ids=[name for name, _, _ in EDITS])
def test_an_edit_of_the_library_reruns_the_stages_that_import_it(finished, edited, module, first, others):
    edited(module, lambda text: text + "\nedited = 1\n")
    changed = set(plan(finished))
    assert first in changed and not changed & others if first else not changed


@pytest.mark.parametrize(
    ("package", "first", "others"),
    [
        ("faiss_cpu", {"note_recipe", "train_vocabulary"}, {"extract_features", "start_network"}),
        ("torch", {"start_network", "train_network", "train_vocabulary"}, {"extract_features"}),
        ("pycolmap", {"reconstruct_clusters"}, {"scan", "start_network", "read_benchmark"}),
    ],
)
def test_an_upgrade_reruns_the_stages_that_use_the_library(finished, package, first, others):
    folder = finished.code / f"src/{package}-1000.0.dist-info"  # found before what is installed
    folder.mkdir()
    try:
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package.replace('_', '-')}\nVersion: 1000.0\n")
        changed = set(plan(finished))
    finally:
        shutil.rmtree(folder)
    assert first <= changed and not changed & others


def test_a_photo_removed_is_noticed_and_one_put_back_is_as_before(finished):
    photo = next((finished.folder / "tiny-photos/photos").rglob("*.jpg"))
    kept = finished.folder / photo.name
    shutil.move(photo, kept)
    try:
        assert "features" in jobs(start(finished, 2, "features"))
    finally:
        shutil.move(kept, photo)
        start(finished, 2)
    assert contents(finished.results) == finished.contents
