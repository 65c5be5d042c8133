"""The command line: show and summary."""

import json
import signal
import subprocess
import sys

import numpy as np
import pytest

from bow2cnn.cli import main
from bow2cnn.core import artefact
from bow2cnn.run.rejection_counts import left_out
from bow2cnn.run.run import Run


def run(*arguments):
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return ended.value.code


def test_show_prints_kind_parameters_and_arrays(tmp_path, capsys):
    path = tmp_path / "w.h5"
    artefact.write(path, "whitening", {"mean": np.zeros(8, np.float32)}, {"seed": 3})
    assert run("show", path) == 0
    shown = capsys.readouterr().out
    assert "whitening, version 2" in shown and "param seed = 3" in shown and "mean: 8 float32" in shown


def test_show_lists_the_files_that_a_collection_rejected(tmp_path, capsys):
    arrays = {"rejected/path": ["a.jpg", "b\n\x1b[31m\udcff.jpg"], "rejected/reason": ["vanished", "not a photo"]}
    artefact.write(tmp_path / "c.h5", "collection", arrays)
    assert run("show", tmp_path / "c.h5") == 0
    assert capsys.readouterr().out.splitlines()[-2:] == ["  rejected a.jpg: vanished", r"  rejected b\n\x1b[31m\udcff.jpg: not a photo"]


def test_show_says_one_line_for_a_bad_file_and_goes_on(tmp_path, capsys):
    good, bad = tmp_path / "good.h5", tmp_path / "bad.h5"
    artefact.write(good, "split", {"side": np.zeros(2, np.int8)})
    bad.write_bytes(b"no artefact")
    assert run("show", bad, tmp_path / "gone.h5", good) == 1
    shown = capsys.readouterr()
    assert "split, version" in shown.out
    assert len(shown.err.splitlines()) == 2 and "bad.h5" in shown.err and "gone.h5" in shown.err


def test_show_ends_quietly_when_nobody_reads_on(tmp_path):
    """Case P16: `show ... | head`."""
    arrays = {"rejected/path": [f"{number}.jpg" for number in range(20_000)], "rejected/reason": ["not a photo"] * 20_000}
    artefact.write(tmp_path / "c.h5", "collection", arrays)
    command = [sys.executable, "-m", "bow2cnn", "show", str(tmp_path / "c.h5")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline().startswith(str(tmp_path))
        process.stdout.close()
        assert process.stderr.read() == "" and process.wait() == 128 + signal.SIGPIPE


def test_what_a_run_left_out_is_told_by_reason(tmp_path):
    """Cases P3, P13: the same lines end a run, a summary and stand in the report."""
    reasons = [
        "not a photo",
        "too large (9 x 9 pixels)",
        "too large (8 x 8 pixels)",
        "symbolic link",
        "same bytes as a.jpg",
        "same bytes as b.jpg",
    ]
    reasons += ["RAW: develop it into a JPEG or TIFF"] * 3
    arrays = {"rejected/path": list(map(str, range(9))), "rejected/reason": reasons, "sha256": np.zeros((12, 32), np.uint8)}
    artefact.write(tmp_path / "collection/collection.h5", "collection", arrays, {"shards": 2})
    for shard, (counts, errors) in enumerate((((300, 20, 19, 0), ["", "", "", "cannot be decoded (a)"]), ((0, 13), ["", ""]))):
        features = {"offset": artefact.offsets(list(counts)), "error": errors}
        artefact.write(tmp_path / f"features/shard-{shard:03d}.h5", "features", features)
    artefact.write(tmp_path / "benchmarks/mine/collection.h5", "collection", {name: value[:1] for name, value in arrays.items()})
    artefact.write(tmp_path / "benchmarks/other/collection.h5", "collection", {name: [] for name in arrays})
    artefact.write(
        tmp_path / "reconstruction/models.h5", "models", {"rejected/reason": ["few"]}, {"left_out": [[3, "photos of\nelsewhere"]]}
    )
    (tmp_path / "pairs/models").mkdir(parents=True)
    for name in ("positives", "negatives"):
        (tmp_path / f"pairs/models/{name}.h5").write_bytes(b"damaged")
    assert left_out(Run.open(tmp_path)) == [
        "left out of photos: 9 of 21 files: 3 RAW: develop it into a JPEG or TIFF, 2 copies of other photos, 2 too large "
        "(`collection.max_pixels` is the limit), 1 not a photo, 1 symbolic link (`follow_links: true` in `collection` follows them)",
        "left out of features: 1 of 6 photos cannot be used: 1 cannot be decoded",
        "left out of features: 3 of 6 photos have fewer than 20 features and match nothing: nearly black, blank or blurred",
        "left out of benchmark mine: 1 of 2 files: 1 not a photo",
        r"left out of models: 3 photos of\nelsewhere",
    ]
    assert left_out(Run.open(tmp_path / "none")) == []


def test_summary_counts_what_was_found(tmp_path, capsys):
    rejected = {"rejected/reason": ["not an image"]}
    artefact.write(tmp_path / "collection/collection.h5", "collection", {"sha256": np.zeros((5, 32), np.uint8), **rejected}, {"shards": 1})
    artefact.write(tmp_path / "reconstruction/models.h5", "models", {"model": np.array([0, 0, 1, -1, 1]), "cluster": np.array([0, 1])})
    artefact.write(tmp_path / "pairs/models/positives.h5", "positives", {"query": np.array([0, 1, 2])})
    artefact.write(tmp_path / "pairs/models/negatives.h5", "negatives", {"side": np.array([1, 1, 2, 0, 2], np.int8)})
    (tmp_path / "evaluation").mkdir()
    row = {"benchmark": "dvd", "protocol": "all", "postprocessing": "", "before": 20.0, "after": 22.0, "low": 1.0, "high": 3.0}
    row |= {"gain": 2.0, "clear": "gain", "width": 0.8, "queries": 60, "places": 9, "chosen_on": False}
    few = {**row, "benchmark": "mine", "low": None, "high": None, "width": None}
    chosen = {**row, "benchmark": "validation", "clear": "", "chosen_on": True}
    whitened = {**row, "postprocessing": "lw", "after": 99.0}
    gains = {"gem": {"against": "shelf", "chosen_epoch": 2, "diverged": 0, "rows": [row, few, chosen, whitened]}}
    gains["other"] = {"against": "shelf", "chosen_epoch": 0, "diverged": 0, "rows": [row]}
    gains["wild"] = {"against": "shelf", "chosen_epoch": 0, "diverged": 3, "rows": [row]}
    (tmp_path / "evaluation/gains.json").write_text(json.dumps(gains))
    assert run("summary", tmp_path) == 0
    shown = capsys.readouterr().out
    assert f"report: {tmp_path}/report.html" in shown
    assert "2 3D models with 4 of 5 photos (1 files rejected)" in shown
    assert "mined:  2 training queries and 1 for validation\n" in shown
    assert shown.splitlines()[-1] == "left out of photos: 1 of 6 files: 1 not an image"
    said = "gem: dvd 20.0 to 22.0 mAP (+1.0 to +3.0), mine 20.0 to 22.0 mAP (too few queries or places for an interval), "
    said += "validation 20.0 to 22.0"
    assert (
        f"{said} mAP (on which it was chosen); other gained nothing on validation" in shown
        and "wild diverged in epoch 3" in shown
        and "99.0" not in shown
    )


def test_summary_names_the_sources_of_pairs_where_there_are_several(tmp_path, capsys):
    artefact.write(
        tmp_path / "collection/collection.h5", "collection", {"sha256": np.zeros((3, 32), np.uint8), "rejected/reason": []}, {"shards": 1}
    )
    for source, side in (("models", [1, 1, 2]), ("words", [1, 2, 2])):
        artefact.write(tmp_path / f"pairs/{source}/positives.h5", "positives", {"query": np.arange(3)})
        artefact.write(tmp_path / f"pairs/{source}/negatives.h5", "negatives", {"side": np.array(side, np.int8)})
    (tmp_path / "evaluation").mkdir()
    (tmp_path / "evaluation/gains.json").write_text("{}")
    assert run("summary", tmp_path) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2:4] == [
        "mined:  2 training queries and 1 for validation, by models",
        "mined:  1 training queries and 2 for validation, by words",
    ]


def test_summary_of_an_unfinished_run_is_one_line(tmp_path, capsys):
    assert run("summary", tmp_path) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
