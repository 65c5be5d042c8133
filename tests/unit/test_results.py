"""The table and the gains, read again: whole they are what was written, cut off anywhere they are one line."""

import json

import pytest

from bow2cnn.evaluation.results import COLUMNS, ResultsError, read_gains, read_table

ROW = {"protocol": "all", "postprocessing": "", "before": 50.0, "after": 60.0, "gain": 10.0, "low": 4.0, "high": 16.0, "clear": "gain"}
ROW |= {"width": 5.0, "queries": 60, "places": 9, "chosen_on": False}
GAINS = {
    "gem": {"against": "shelf", "chosen_epoch": 1, "diverged": 0, "rows": [{"benchmark": "b", **ROW}, {"benchmark": "validation", **ROW}]}
}
LINES = [",".join(COLUMNS)]
LINES += [
    f"{system},{benchmark},all,{steps},{metric},50.00,40.00,,"
    for benchmark in ("b", "validation")
    for system in ("shelf", "gem")
    for steps in ("", "w")
    for metric in ("mAP", "mP@5")
]


@pytest.fixture
def paths(tmp_path):
    (tmp_path / "t.csv").write_text("\n".join(LINES) + "\n")
    (tmp_path / "g.json").write_text(json.dumps(GAINS, indent=1))
    return tmp_path / "t.csv", tmp_path / "g.json"


def complaint(path, read, *arguments):
    with pytest.raises(ResultsError) as caught:
        read(path, *arguments)
    said = str(caught.value)
    assert said.startswith(f"{path}: damaged (") and said.endswith("); delete the file and run the stage again") and "\n" not in said
    return said


def test_whole(paths):
    assert read_gains(paths[1]) == GAINS
    rows = read_table(paths[0], GAINS)
    assert len(rows) == len(LINES) - 1 and rows[0]["system"] == "shelf" and rows[0]["value"] == 50.0 and rows[0]["high"] != rows[0]["high"]


def test_an_interval_that_says_nothing_is_nan(paths):
    none = dict.fromkeys(("low", "high", "width"))
    paths[1].write_text(json.dumps({"gem": {**GAINS["gem"], "rows": [{"benchmark": "b", **ROW, **none}]}}))
    [row] = read_gains(paths[1])["gem"]["rows"]
    assert all(row[name] != row[name] for name in none) and row["gain"] == 10.0


def test_a_network_off_the_shelf_has_the_rows_of_all_experiments_compared_with_it(paths):
    """Of two, one without steps and one with two; a row that is missing anywhere is missed."""
    rows = {"shelf": ("", "w", "w+x"), "gem": ("", "w"), "bare": ("",), "deep": ("", "w", "w+x")}
    lines = [
        f"{system},{benchmark},all,{steps},{metric},50.00,40.00,,"
        for benchmark in ("b", "validation")
        for system, found in rows.items()
        for steps in found
        for metric in ("mAP", "mP@5")
    ]
    gains = GAINS | dict.fromkeys(("bare", "deep"), GAINS["gem"])
    paths[0].write_text("\n".join([LINES[0], *lines]) + "\n")
    assert len(read_table(paths[0], gains)) == len(lines)
    for number in range(len(lines)):
        paths[0].write_text("\n".join([LINES[0], *lines[:number], *lines[number + 1 :]]) + "\n")
        assert "rows are missing" in complaint(paths[0], read_table, gains)
    del gains["deep"]
    paths[0].write_text("\n".join([LINES[0], *(line for line in lines if not line.startswith("deep"))]) + "\n")
    assert "rows are missing" in complaint(paths[0], read_table, gains), "rows that no experiment asks for are of another run"


def test_systems_may_be_whitened_in_different_ways(paths):
    paths[0].write_text("\n".join(LINES).replace("gem,b,all,w", "gem,b,all,pca") + "\n")
    assert len(read_table(paths[0], GAINS)) == len(LINES) - 1


def test_cut_off_anywhere(paths):
    table, gains = (path.read_bytes() for path in paths)
    for size in range(len(table)):
        paths[0].write_bytes(table[:size])
        complaint(paths[0], read_table, GAINS)
    for size in range(len(gains)):
        paths[1].write_bytes(gains[:size])
        complaint(paths[1], read_gains)


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe", b"null", b"[]", b'{"gem": []}', b'{"gem": {"rows": []}}', b'{"gem": {"against": "x", "rows": [{}]}}']
)
def test_other_files(paths, content):
    for path, read in ((paths[0], lambda path: read_table(path, GAINS)), (paths[1], read_gains)):
        path.write_bytes(content)
        complaint(path, read)


@pytest.mark.parametrize("line", ["gem,b,all,x,mAP,high,,", "gem,b,all", "gem,b,all,x,mAP,1,2,3,4,5", '"gem,b,all,x,mAP,1,2,3'])
def test_a_line_that_is_no_row(paths, line):
    paths[0].write_text("\n".join([*LINES, line]) + "\n")
    assert "not a table" in complaint(paths[0], read_table, GAINS)


def test_a_table_of_another_run(paths):
    assert "rows are missing" in complaint(paths[0], read_table, {"other": GAINS["gem"]})
    assert read_table(paths[0], {}), "a run without experiments has no gains"
