"""The command line: show and summary."""

import json

import numpy as np
import pytest

from bow2cnn import artefact
from bow2cnn.cli import main


def run(*arguments):
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return ended.value.code


def test_show_prints_kind_parameters_and_arrays(tmp_path, capsys):
    path = tmp_path / "w.h5"
    artefact.write(path, "whitening", {"mean": np.zeros(8, np.float32)}, {"seed": 3})
    assert run("show", path) == 0
    shown = capsys.readouterr().out
    assert "whitening, version 1" in shown and "param seed = 3" in shown and "mean: 8 float32" in shown


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


def test_summary_counts_what_was_found(tmp_path, capsys):
    rejected = {"rejected/reason": ["not an image"]}
    artefact.write(tmp_path / "collection/collection.h5", "collection", {"sha256": np.zeros((5, 32), np.uint8), **rejected})
    artefact.write(tmp_path / "models/models.h5", "models", {"model": np.array([0, 0, 1, -1, 1]), "cluster": np.array([0, 1])})
    sides = {"query": np.array([0, 1, 2]), "side": np.array([1, 1, 2, 0, 2], np.int8), "group": np.zeros(5, np.int32)}
    artefact.write(tmp_path / "pairs/pairs.h5", "pairs", sides)
    (tmp_path / "evaluation").mkdir()
    row = {"benchmark": "dvd", "protocol": "all", "post": "", "before": 20.0, "after": 22.0, "low": 1.0, "high": 3.0}
    row |= {"gain": 2.0, "clear": "gain", "width": 0.8, "queries": 60, "places": 9, "chosen_on": False}
    few = {**row, "benchmark": "mine", "low": None, "high": None, "width": None}
    chosen = {**row, "benchmark": "validation", "clear": "", "chosen_on": True}
    gains = {
        "gem": {"against": "shelf", "chosen_epoch": 2, "diverged": 0, "rows": [row, few, chosen, {**row, "post": "lw", "after": 99.0}]}
    }
    gains["other"] = {"against": "shelf", "chosen_epoch": 0, "diverged": 0, "rows": [row]}
    gains["wild"] = {"against": "shelf", "chosen_epoch": 0, "diverged": 3, "rows": [row]}
    (tmp_path / "evaluation/gains.json").write_text(json.dumps(gains))
    assert run("summary", tmp_path) == 0
    shown = capsys.readouterr().out
    assert f"report: {tmp_path}/report.html" in shown
    assert "2 3D models with 4 of 5 photos (1 files rejected)" in shown
    assert "2 training queries and 1 for validation" in shown
    said = "gem: dvd 20.0 to 22.0 mAP (+1.0 to +3.0), mine 20.0 to 22.0 mAP (too few queries or places to say), validation 20.0 to 22.0"
    assert f"{said} mAP (which chose it); other learned nothing" in shown and "wild diverged in epoch 3" in shown and "99.0" not in shown


def test_summary_of_an_unfinished_run_is_one_line(tmp_path, capsys):
    assert run("summary", tmp_path) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
