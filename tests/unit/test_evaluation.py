"""Evaluation: scores against numbers worked out by hand and by brute force, ground truths that are refused, the table."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from bow2cnn.benchmarks.ground_truth import GroundTruthError, check_regions, read_ground_truth
from bow2cnn.benchmarks.read import read_benchmark, truth_in_rows
from bow2cnn.benchmarks.truth import ALL, Truth, read_truth, write_truth
from bow2cnn.core import artefact
from bow2cnn.descriptors import apply_steps as steps_module
from bow2cnn.descriptors.apply_steps import FUNCTIONS
from bow2cnn.descriptors.steps import STEPS, Step, prefixes_of
from bow2cnn.evaluation.bootstrap import interval, paired_gain
from bow2cnn.evaluation.errors import EvidenceError
from bow2cnn.evaluation.gains import find_gains
from bow2cnn.evaluation.metrics import average_precision, precision_at, ranks_of, score_ranking, score_rankings
from bow2cnn.evaluation.ranking import rank
from bow2cnn.evaluation.results import read_gains, read_table
from bow2cnn.evaluation.results_table import COLUMNS, write_table
from bow2cnn.evaluation.systems import bow_rankings
from bow2cnn.evaluation.validation import validation_map
from bow2cnn.pairs.exclusions import NegativeRule
from bow2cnn.pairs.validation_truth import build_validation
from bow2cnn.training.interpolation import one_standard_error_choice

METRICS = ["mAP", "mP@1", "mP@5", "mP@10", "acc@1"]


def area(relevant, count):
    """Area under precision over recall, walking down a ranking: recall moves at a positive, from the precision before it."""
    total, found = 0.0, 0
    for rank_, hit in enumerate(relevant):
        if hit:
            before = 1.0 if rank_ == 0 else found / rank_
            found += 1
            total += (before + found / (rank_ + 1)) / 2 / count
    return total


def test_average_precision_by_hand():
    assert average_precision([0, 2], 2) == pytest.approx((1 + (1 / 2 + 2 / 3) / 2) / 2) == pytest.approx(0.7917, abs=5e-5)
    assert average_precision([0, 1, 2], 3) == 1.0
    assert average_precision([0], 2) == 0.5 and average_precision([], 3) == 0.0


def test_average_precision_is_the_area_under_the_curve():
    generator = np.random.default_rng(0)
    for _ in range(200):
        relevant = generator.random(30) < 0.3
        count = int(relevant.sum()) + int(generator.integers(0, 3)) or 1
        assert average_precision(np.flatnonzero(relevant), count) == pytest.approx(area(relevant, count))


def test_junk_is_taken_out_of_the_ranking():
    ranking = [4, 0, 7, 1, 2]
    assert ranks_of(ranking, [0, 2], [4, 1]).tolist() == [0, 2]
    assert score_ranking(ranking, [0, 2], [4, 1])["mAP"] == pytest.approx(0.791667)
    assert ranks_of(ranking, [0, 2], []).tolist() == [1, 4]
    both = score_ranking([3, 0], [0, 3], [3])
    assert both["mAP"] == both["mP@1"] == 1.0  # positive and junk at once is junk


@pytest.mark.parametrize(("k", "expected"), [(1, 0.0), (3, 1 / 3), (5, 2 / 4), (10, 2 / 4)])
def test_precision_counts_no_further_than_the_last_positive(k, expected):
    assert precision_at([1, 3], k) == pytest.approx(expected)
    assert precision_at([], k) == 0.0


def test_scores_of_several_queries():
    scores = score_rankings([[0, 1, 2], [0, 1, 2], [0, 1, 2]], [([0], []), ([1], []), ([0], [0])])
    assert list(scores) == METRICS
    assert scores["acc@1"][:2].tolist() == [100.0, 0.0] and scores["mP@5"][:2].tolist() == [100.0, 50.0]
    assert all(np.isnan(values[2]) for values in scores.values())  # no positive left: the query does not count
    assert interval(scores["acc@1"], np.arange(3), 0, 100)[0] == 50.0


def test_rank_breaks_ties_by_index_and_puts_missing_photos_last():
    database = np.float32([[1, 0], [0, 1], [1, 0], [0.6, 0.8]])
    order, similarity = rank(np.float32([[1, 0]]), database, np.array([True, False, False, False]))
    assert order.tolist() == [[2, 3, 1, 0]]
    np.testing.assert_allclose(similarity, [[1, 0.6, 0, -2]])


def test_the_interval_covers_the_true_mean():
    generator = np.random.default_rng(1)
    covered = 0
    for trial in range(200):
        mean, low, high = interval(generator.normal(3.0, 1.0, 40), np.arange(40), trial, 300)
        assert low < mean < high
        covered += low <= 3.0 <= high
    assert 176 <= covered <= 198  # 95 % of 200, less what 40 queries and chance cost
    assert all(np.isnan(interval([np.nan], [0], 0, 10)))
    assert interval(np.full(40, 100.0) - np.eye(40)[0], np.arange(40), 0, 300)[2] == 100.0, "no mAP is above 100"


def test_a_paired_gain_is_surer_than_two_intervals():
    generator = np.random.default_rng(2)
    before = generator.uniform(0, 100, 50)
    after = before + 2 + generator.normal(0, 1, 50)
    places = np.arange(50)
    gain = paired_gain(after, before, places, 0, 2000)
    assert gain["gain"] == pytest.approx((after - before).mean()) and gain["queries"] == gain["places"] == 50
    assert gain["low"] < gain["gain"] < gain["high"]
    # one-sided 95 % of a mean of 50 with deviation 1
    assert gain["width"] == pytest.approx(1.645 * (after - before).std() / np.sqrt(50), rel=0.15)
    constant = paired_gain(before + 3, before, places, 0, 100)
    assert constant["width"] == pytest.approx(0, abs=1e-9) and constant["low"] == pytest.approx(3)
    assert paired_gain([np.nan, 5.0], [1.0, 4.0], [0, 1], 0, 10)["queries"] == 1
    assert paired_gain([np.nan], [1.0], [0], 0, 10)["queries"] == 0


@pytest.mark.parametrize(("queries", "places", "claims"), [(9, 9, False), (10, 2, False), (10, 3, True), (60, 2, False), (1, 1, False)])
def test_few_queries_or_places_claim_nothing(queries, places, claims):
    """Not even where every query gains the same."""
    place = np.arange(queries) % places
    gain = paired_gain(np.full(queries, 60.0), np.full(queries, 50.0), place, 0, 200)
    assert gain["gain"] == 10 and gain["clear"] == ("gain" if claims else "")
    assert all(np.isfinite(gain[name]) == claims for name in ("low", "high", "width"))
    assert np.isfinite(interval(np.full(queries, 60.0), place, 0, 200)[1:]).all() == claims


def test_queries_of_one_place_are_one_sample():
    """Ten copies of every query are no more evidence than one."""
    difference = np.random.default_rng(3).normal(1, 3, 12)
    alone = paired_gain(difference, np.zeros(12), np.arange(12), 0, 2000)
    copied = paired_gain(np.repeat(difference, 10), np.zeros(120), np.repeat(np.arange(12), 10), 0, 2000)
    assert copied["width"] == pytest.approx(alone["width"]) and copied["low"] == pytest.approx(alone["low"])
    pretended = paired_gain(np.repeat(difference, 10), np.zeros(120), np.arange(120), 0, 2000)
    assert pretended["width"] < 0.4 * alone["width"]


# Queries of riviera's validation places; and of a benchmark of many places.
FIVE, MANY = (40, 30, 20, 16, 10), (4,) * 18


def simulated(rng, sizes, spread, networks):
    """AP of the queries of some places by a network and by others that are no better, and the places.

    Gains spread by 8 mAP, and by `spread` between places."""
    place = np.repeat(np.arange(len(sizes)), sizes)
    before = rng.uniform(20, 80, len(place))
    gains = rng.normal(0, 8, (networks, len(place))) + rng.normal(0, spread, (networks, len(sizes)))[:, place]
    return [before, *(before + gains)], place


@pytest.mark.parametrize("spread", [0, 2, 4])
@pytest.mark.parametrize("sizes", [FIVE, MANY])
def test_one_in_twenty_networks_that_gained_nothing_is_called_better(sizes, spread):
    """Of six networks that are no better than the first, validation keeps one; it is judged on a benchmark, and on validation."""
    rng = np.random.default_rng([8, spread])
    clear, runs = {"validation": 0, "bench": 0}, 800
    for run in range(runs):
        validated, places = simulated(rng, FIVE, spread, 6)
        kept = one_standard_error_choice(validated)
        measured, others = simulated(rng, sizes, spread, 6)
        scores = {}
        for name, found in (("shelf", 0), ("mine", kept)):
            scores[name, "validation", "all", ""] = {"mAP": validated[found]}
            scores[name, "bench", "all", ""] = {"mAP": measured[found]}
        rows = find_gains(scores, {"validation": places, "bench": others}, {"mine": "shelf"}, {"mine": kept}, {"validation"}, run, 200)[
            "mine"
        ]["rows"]
        assert [row["chosen_on"] for row in rows] == [True, False]
        for row in rows:
            clear[row["benchmark"]] += row["clear"] == "gain"
    assert clear["validation"] == 0 and 0.02 <= clear["bench"] / runs <= 0.08


def truth_file(folder, **changes):
    content = {"imlist": ["a.png", "b.png", "c/d.png"], "qimlist": ["q.png"], "gnd": [{"easy": [0], "hard": [1], "junk": [2]}]}
    path = folder / "gnd.json"
    path.write_text(json.dumps({key: value for key, value in (content | changes).items() if value is not None}))
    return path


@pytest.mark.parametrize(
    ("protocol", "positives", "junk"), [("easy", [0], [1, 2]), ("medium", [0, 1], [2]), ("hard", [1], [0, 2]), ("all", [0, 1], [2])]
)
def test_protocols(tmp_path, protocol, positives, junk):
    truth = read_ground_truth(truth_file(tmp_path))
    assert truth.protocols() == ("easy", "medium", "hard")
    [(found, ignored)] = truth.select(protocol)
    assert found.tolist() == positives and ignored.tolist() == junk


def test_a_truth_without_difficulties_has_one_protocol(tmp_path):
    truth = read_ground_truth(truth_file(tmp_path, gnd=[{"ok": [2, 0, 0], "bbx": [1, 2, 3.5, 4]}]))
    assert truth.protocols() == ("all",)
    assert truth.select("all")[0][0].tolist() == [0, 2] and truth.queries[0].region == (1.0, 2.0, 3.5, 4.0)


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"gnd": [{"ok": [3]}]}, "gnd[0] (q.png): ok holds 3, the database has 3 photos"),
        ({"gnd": [{"ok": [-1]}]}, "ok holds -1"),
        ({"gnd": [{"ok": [0.5]}]}, "ok must be a list of database indices"),
        ({"gnd": [{"ok": [True]}]}, "ok must be a list of database indices"),
        ({"gnd": [{"junk": [0]}]}, "neither ok nor easy and hard"),
        ({"gnd": [7]}, "gnd[0] (q.png) must be an object"),
        ({"gnd": []}, "one entry for each of the 1 queries"),
        ({"gnd": None}, "one entry for each of the 1 queries"),
        ({"imlist": None}, "imlist must be a list of file names"),
        ({"qimlist": "q.png"}, "qimlist must be a list of file names"),
        ({"imlist": ["a.png", "a.png"]}, "imlist names a photo twice"),
        ({"imlist": ["../a.png"]}, "outside its folder"),
        ({"imlist": ["/etc/passwd"]}, "outside its folder"),
        ({"qimlist": ["x\\y.png"]}, "outside its folder"),
        ({"gnd": [{"ok": [0], "bbx": [0, 0, 0, 4]}]}, "bbx must be"),
        ({"gnd": [{"ok": [0], "bbx": [False, False, True, True]}]}, "bbx must be"),
        ({"gndd": []}, "unknown key 'gndd'; the keys are imlist, qimlist, gnd, place"),
        ({"gnd": [{"ok": [0], "bbox": [0, 0, 9, 9]}]}, "gnd[0] (q.png): unknown key 'bbox'; the keys are ok, easy, hard, junk, bbx"),
        ({"gnd": [{"ok": [0], "easy": [1]}]}, "gnd[0] (q.png): ok is not the union of easy and hard"),
        ({"gnd": [{"ok": [0, 2], "junk": [2]}]}, "gnd[0] (q.png): 2 is in both ok and junk"),
        ({"gnd": [{"easy": [0, 1], "hard": [1]}]}, "gnd[0] (q.png): 1 is in both easy and hard"),
        ({"gnd": [{"hard": [0], "junk": [0, 1]}]}, "gnd[0] (q.png): 0 is in both hard and junk"),
        (
            {"qimlist": ["q.png", "r.png"], "gnd": [{"easy": [0]}, {"ok": [0]}]},
            "gnd[1] has ok and gnd[0] easy and hard; all queries must have the same lists",
        ),
        ({"gnd": [{"ok": [0], "bbx": [0, 0, float("nan"), 4]}]}, "bbx must be"),
        ({"gnd": [{"ok": [0], "bbx": [0, 0, 10**400, 4]}]}, "bbx must be"),
    ],
)
def test_a_wrong_ground_truth_is_one_line(tmp_path, changes, part):
    path = truth_file(tmp_path, **changes)
    with pytest.raises(GroundTruthError) as caught:
        read_ground_truth(path)
    assert str(caught.value).startswith(f"{path}: ") and part in str(caught.value) and "\n" not in str(caught.value)


def test_ok_may_stand_beside_easy_and_hard(tmp_path):
    truth = read_ground_truth(truth_file(tmp_path, gnd=[{"ok": [1, 0], "easy": [0], "hard": [1]}]))
    assert truth.protocols() == ("easy", "medium", "hard") and truth.queries[0].ok.tolist() == [0, 1]


def test_a_key_that_stands_twice_is_one_line(tmp_path):
    path = tmp_path / "gnd.json"
    for content, key in (
        ('{"imlist": ["a.png"], "imlist": ["b.png"], "qimlist": ["q.png"], "gnd": [{"ok": [0]}]}', "imlist"),
        ('{"imlist": ["a.png"], "qimlist": ["q.png"], "gnd": [{"ok": [0], "ok": []}]}', "ok"),
    ):
        path.write_text(content)
        with pytest.raises(GroundTruthError, match=rf"gnd\.json: .*the key '{key}' is twice in one object"):
            read_ground_truth(path)


@pytest.mark.parametrize(
    ("region", "said"),
    [
        ([0.1, 0.1, 0.9, 0.9], "too small; it must be in pixels of the upright photo, which has 640 x 480"),
        ([100, 100, 107, 400], "too small"),
        ([700, 100, 800, 300], "extends beyond the upright photo, which has 640 x 480 pixels"),
        ([100, 100, 300, 600], "extends beyond"),
        ([-100, 0, 100, 100], "extends beyond"),
        ([0, 0, 640, 480], None),
        ([-2, -3, 650, 485.5], None),
        ([100, 100, 108, 108], None),
    ],
)
def test_regions_lie_in_their_photos(tmp_path, region, said):
    gnd = truth_file(tmp_path, qimlist=["p.png", "q.png"], gnd=[{"ok": [0]}, {"ok": [0], "bbx": region}])
    truth, sizes = read_ground_truth(gnd), {"q.png": (640, 480), "p.png": (9, 9)}
    if said is None:
        return check_regions(truth, sizes, gnd)
    with pytest.raises(GroundTruthError) as caught:
        check_regions(truth, sizes, gnd)
    words = " ".join(f"{value:g}" for value in region)
    assert str(caught.value).startswith(f"{gnd}: gnd[1] (q.png): bbx {words} ") and said in str(caught.value)


def test_a_ground_truth_that_may_not_be_read_is_no_broken_json(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    path = truth_file(tmp_path)
    monkeypatch.setattr(type(path), "read_text", refuse)
    with pytest.raises(GroundTruthError, match=r"gnd\.json: cannot be read \(Permission denied\)$"):
        read_ground_truth(path)


@pytest.mark.parametrize("content", [b"{", b"", b"[1]", b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_json_object_is_one_line(tmp_path, content):
    path = tmp_path / "gnd.json"
    path.write_bytes(content)
    with pytest.raises(GroundTruthError, match=r"gnd\.json: ") as caught:
        read_ground_truth(path)
    assert "\n" not in str(caught.value)


def test_named_photos_must_be_there(tmp_path):
    with pytest.raises(GroundTruthError, match="no such file"):
        read_ground_truth(tmp_path / "gnd.json")
    with pytest.raises(GroundTruthError, match=r"'a\.png', which is not in"):
        read_ground_truth(truth_file(tmp_path), tmp_path)


def test_no_link_leads_out_of_the_folder(tmp_path):
    (tmp_path / "photos/c").mkdir(parents=True)
    for name in [*json.loads(truth_file(tmp_path).read_text())["imlist"], "q.png"]:
        (tmp_path / "photos" / name).touch()
    (tmp_path / "link").symlink_to(tmp_path / "photos")
    read_ground_truth(tmp_path / "gnd.json", tmp_path / "link")
    (tmp_path / "photos/a.png").unlink()
    (tmp_path / "secret.png").touch()
    (tmp_path / "photos/a.png").symlink_to("../secret.png")
    with pytest.raises(GroundTruthError, match=r"gnd\.json: imlist names 'a\.png', which is outside its folder"):
        read_ground_truth(tmp_path / "gnd.json", tmp_path / "photos")


def mined(query=(0, 2, 3), positives=((1, 0), (), (4,)), **changes):
    """Photos 0-2 of validation model 0, 3-4 of training model 1, 5 of model 2, 6 in no model, 7 outside all models: the `Truth`."""
    arrays = {"place": [0, 0, 0, 1, 1, 2, -1, 3], "cluster": [0, 0, 0, 1, 1, 2, 0, -1], "side": [2, 2, 2, 1, 1, 1, 0, 1]}
    return build_validation(NegativeRule(**(arrays | changes)), query, positives)


def test_the_ground_truth_of_validation():
    validation = mined()
    assert validation.query.tolist() == [0]  # 2 has no positive, 3 is a training query
    [(positives, junk)] = validation.protocols[ALL]
    assert positives.tolist() == [1] and junk.tolist() == [0, 2], "itself and its model"
    assert validation.database.tolist() == [0, 1, 2, 3, 4, 5, 7], "but for 6, of its cluster and in no model, all the others are negatives"
    assert validation.without(np.arange(8) == 5).database.tolist() == [0, 1, 2, 3, 4, 7]
    assert len(validation.without(np.arange(8) == 1).query) == 0, "the only positive is missing"


@pytest.mark.parametrize(
    ("changes", "junk"),
    [
        ({"cluster": [0, 0, 0, 1, 1, 0, 0, -1]}, [0, 2, 5]),
        ({"weak": np.array([[7, 2], [6, 1]], np.int32)}, [0, 2, 7]),
        ({"weak": np.array([[7, 6], [7, 3]], np.int32)}, [0, 2]),
        ({"doubt": np.array([[2, 5]], np.int32)}, [0, 2, 5]),
        ({"doubt": np.array([[5, 6], [7, 0]], np.int32)}, [0, 2, 5, 7]),
        ({"doubt": np.array([[0, 3], [4, 5], [3, 7]], np.int32)}, [0, 2, 3, 4]),
    ],
)
def test_what_may_show_the_place_of_a_query_is_no_negative(changes, junk):
    """Another model of its cluster, a photo that the teacher matches weakly with one of its place, what a cut pair joins directly."""
    assert mined(**changes).protocols[ALL][0][1].tolist() == junk


def test_validation_map():
    validation = mined()
    descriptors = np.zeros((8, 2), np.float32)
    descriptors[[0, 1, 2]] = [1, 0]
    descriptors[[3, 4, 5, 7]] = [0, 1]
    assert validation_map(validation, descriptors) == 100.0
    descriptors[1], descriptors[4] = [0, 1], [1, 0]  # now 4 comes first, then 1 (ties by row)
    assert validation_map(validation, descriptors) == pytest.approx(25.0)
    assert validation_map(mined(side=np.ones(8)), descriptors) is None


@pytest.fixture
def evaluated(tmp_path):
    """A table of the teacher and two networks on a benchmark of three photos and two queries, and on validation."""
    folder = tmp_path / "photos"
    (folder / "c").mkdir(parents=True)
    names = ["a.png", "b.png", "c/d.png", "p.png", "q.png"]
    for name in names:
        Image.new("RGB", (4, 4)).save(folder / name)
    entries = [{"easy": [0], "hard": [1], "junk": []}, {"easy": [], "hard": [2], "junk": [0]}]
    gnd = truth_file(tmp_path, qimlist=["q.png", "p.png"], gnd=entries)
    artefact.write(tmp_path / "b.h5", "collection", {"name": names})
    write_truth(tmp_path / "t.h5", truth_in_rows(read_ground_truth(gnd), {name: row for row, name in enumerate(names)}, 5), {})
    lists = {f"{name}/{key}": value for name in ("plain", "sv", "sv+qe") for key, value in [("offset", [0, 1, 2]), ("photo", [2, 2])]}
    artefact.write(tmp_path / "bow.h5", "ranking", {"query": np.int32([4, 3])} | {key: np.int32(v) for key, v in lists.items()})
    write_truth(tmp_path / "v.h5", mined(), {})
    artefact.write(tmp_path / "history.h5", "history", {"chosen": np.int32(2), "diverged": np.int32(0)})
    corners = np.eye(3, dtype=np.float32)
    systems = {}
    # the untrained network takes everything for photo c/d, the trained one knows both queries
    for system, queries in (("off-the-shelf:net", corners[[2, 2]]), ("mine", np.float32([[0.8, 0.6, 0], [0, 0, 1]]))):
        files = {"collection": tmp_path / f"{system}.c.h5", "bench": tmp_path / f"{system}.b.h5"}
        described = {"descriptor": corners[[0, 1, 2, 0, 0]], "missing": np.zeros(5, bool)}
        artefact.write(files["bench"], "descriptors", described | {"query": queries})
        validation = corners[[0, 0, 0, 1, 1, 1, 1, 1] if system == "mine" else [0, 1, 0, 0, 0, 0, 0, 0]]
        artefact.write(files["collection"], "descriptors", {"descriptor": validation, "missing": np.zeros(8, bool)})
        whitening = {"mean": np.zeros(3, np.float32), "projection": corners}
        artefact.write(tmp_path / f"{system}.w.h5", "whitening", whitening, {"whitening": "learned", "details": "learned, shrunk by 0.3"})
        whitened = {"steps": [["whitened"]], "learned": {"whitened": tmp_path / f"{system}.w.h5"}}
        systems[system] = whitened | {"descriptors": files, "validation": "validation"}
    benchmarks = {"bench": {"truth": tmp_path / "t.h5", "collection": tmp_path / "b.h5", "ranking": tmp_path / "bow.h5"}}
    out = {name: tmp_path / name for name in ("table.csv", "gains.json", "bench.h5", "validation.h5")}

    def write(systems=systems, more=None):
        rankings = {"bench": out["bench.h5"], "validation": out["validation.h5"]}
        pairings, chosen = {"mine": "off-the-shelf:net"}, {"mine": tmp_path / "history.h5"}
        validations = {"validation": tmp_path / "v.h5"} | (more or {})
        write_table(systems, benchmarks, validations, pairings, chosen, out["table.csv"], out["gains.json"], rankings, 0, 200, 2, 3.0)
        return out

    return write


def test_the_table(evaluated):
    out = evaluated()
    with open(out["table.csv"], newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    table = {tuple(row[name] for name in COLUMNS[:5]): float(row["value"]) for row in rows}
    assert len(table) == len(rows)
    protocols = [("bench", "easy"), ("bench", "medium"), ("bench", "hard")]
    expected = {("bow", *where, steps, metric) for where in protocols for steps in ("", "sv", "sv+qe") for metric in METRICS}
    networks = [(system, *where) for system in ("off-the-shelf:net", "mine") for where in [*protocols, ("validation", "all")]]
    assert set(table) == expected | {(*network, steps, metric) for network in networks for steps in ("", "lw") for metric in METRICS}
    assert all(row["low"] == row["high"] == "" for row in rows), "two queries and one say nothing about others"
    # the teacher finds c/d for both, which is right for the second of hard and of medium; what it does not find is in no place
    assert table["bow", "bench", "easy", "", "mAP"] == 0.0 and table["bow", "bench", "hard", "", "mAP"] == 50.0
    assert table["mine", "bench", "medium", "", "mAP"] == table["mine", "bench", "hard", "lw", "mAP"] == 100.0
    assert table["off-the-shelf:net", "bench", "hard", "", "mAP"] == 62.5  # b behind c/d once a is junk, and c/d first


def change(path, **arrays):
    artefact.write(path, "descriptors", artefact.read(path, "descriptors") | arrays)


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("mine.b.h5", {"descriptor": np.full((5, 3), np.nan, np.float32)}, "3 of 3 descriptors are not numbers"),
        ("mine.b.h5", {"descriptor": np.diag(np.float32([1, np.inf, 1, 1, 1]))[:, :3]}, "1 of 3 descriptors are not numbers"),
        ("mine.b.h5", {"descriptor": np.zeros((5, 3), np.float32)}, "all descriptors are zero"),
        ("mine.b.h5", {"query": np.float32([[1, 0, 0], [0, 0, 0]])}, "that of a query is zero"),
        ("mine.b.h5", {"query": np.float32([[1, 0, 0], [np.nan, 0, 0]])}, "1 of 2 descriptors are not numbers"),
        ("mine.c.h5", {"descriptor": np.full((8, 3), 3**-0.5, np.float32)}, "all descriptors are the same"),
        ("mine.c.h5", {"descriptor": np.full((8, 3), np.inf, np.float32)}, "7 of 7 descriptors are not numbers"),
    ],
)
def test_nothing_is_ranked_by_descriptors_that_say_nothing(evaluated, tmp_path, name, changes, said):
    """The order would be that of the list, in which right photos come first as often as not."""
    evaluated()
    (tmp_path / "table.csv").unlink()
    change(tmp_path / name, **changes)
    with pytest.raises(EvidenceError) as caught:
        evaluated()
    assert str(caught.value).startswith(f"{tmp_path / name}: ") and said in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "table.csv").exists()


def test_a_similarity_that_is_no_number_is_not_ranked():
    with pytest.raises(EvidenceError, match="is not a number"):
        rank(np.float32([[1, 0]]), np.float32([[1, 0], [np.nan, 0]]))
    order, _ = rank(np.float32([[1, 0]]), np.float32([[1, 0], [np.nan, 0]]), np.array([False, True]))
    assert order.tolist() == [[0, 1]], "a photo that is missing anyway comes last"


def test_a_query_without_a_descriptor_finds_nothing():
    """As row 0 of a list in which its positive is row 1, it would have an AP of 100 by the order of the rows."""
    validation, descriptors = mined(), np.ones((8, 2), np.float32)
    descriptors[0] = 0
    assert validation_map(validation, descriptors) == 0.0
    descriptors[:2] = [[1, 1], [0, 0]]
    assert validation_map(validation, descriptors) == pytest.approx(100 * (1 / 5) / 2), "and its photos come last: 3, 4, 5 and 7 before"


def asked_with(*query):
    """A truth of these queries that says nothing, for a database of three photos."""
    return Truth(np.array(query), np.arange(3), {}, np.arange(len(query)), np.full((len(query), 4), np.nan))


def test_a_query_without_words_finds_nothing(tmp_path, caplog):
    lists = {f"{name}/{key}": value for name in ("plain", "sv", "sv+qe") for key, value in [("offset", [0, 0, 2]), ("photo", [1, 0])]}
    artefact.write(tmp_path / "bow.h5", "ranking", {"query": np.int32([5, 6])} | {key: np.int32(v) for key, v in lists.items()})
    found = bow_rankings(asked_with(5, 6), tmp_path / "bow.h5", "bench")[""]
    assert [ranking.tolist() for ranking in found] == [[], [1, 0]]
    assert score_rankings(found, [([0], []), ([0], [])])["mAP"].tolist() == [0.0, 25.0]
    assert "finds nothing for 1 of 2 queries of bench" in caplog.text


def test_validation_photos_that_vanished_are_not_ranked(evaluated, tmp_path):
    """Query 2, of three photos of a place, is gone for one of the systems: it is asked by none, and a right answer of none."""
    write_truth(tmp_path / "v.h5", mined(np.arange(3), [(1, 2), (0, 2), (0, 1)]), {})
    assert artefact.read(evaluated()["validation.h5"], "ranking")["query"].tolist() == [0, 1, 2]
    found = artefact.read(tmp_path / "mine.c.h5", "descriptors")["descriptor"]
    found[2] = 0
    change(tmp_path / "mine.c.h5", descriptor=found, missing=np.arange(8) == 2)
    shown = artefact.read(evaluated()["validation.h5"], "ranking")
    assert shown["query"].tolist() == [0, 1] and shown["mine/ap/all"].tolist() == [100.0, 100.0]
    assert 2 not in shown["mine/photo"] and 2 not in shown["off-the-shelf:net/photo"]


def test_rows_are_called_after_the_whitening(evaluated, tmp_path):
    arrays = artefact.read(tmp_path / "mine.w.h5", "whitening")
    artefact.write(tmp_path / "mine.w.h5", "whitening", arrays, {"whitening": "pca", "details": "none"})
    out = evaluated()
    gains = read_gains(out["gains.json"])
    rows = read_table(out["table.csv"], gains)
    found = {system: {row["postprocessing"] for row in rows if row["system"] == system} for system in ("off-the-shelf:net", "mine")}
    assert found == {"off-the-shelf:net": {"", "lw"}, "mine": {"", "pca"}}
    assert {row["postprocessing"] for row in gains["mine"]["rows"]} == {""}, "what is whitened in another way is not compared"


def test_every_step_has_a_function_and_labels_of_its_own():
    assert STEPS.keys() == FUNCTIONS.keys()
    labels = [label for step in STEPS.values() for label in step.labels.values()]
    assert len(labels) == len(set(labels)) and all(label and "+" not in label for label in labels)
    assert all(step.learned or list(step.labels) == [""] for step in STEPS.values())


def test_the_table_has_a_row_for_every_beginning_of_the_steps():
    assert prefixes_of([["a", "b"], [], ["a", "c"]]) == [(), ("a",), ("a", "b"), ("a", "c")]
    assert prefixes_of([]) == [()]


def tilted(queries, database, learned):
    assert not learned
    return (queries + np.float32([0, 0, 0.7])) / 2, database


def nearest(queries, database, learned):
    """Queries replaced by the first photo that they find: the simplest of query expansions."""
    return database[(queries @ database.T).argmax(1)], database


def nothing(queries, database, learned):
    return queries * np.nan, database


@pytest.fixture
def registered(monkeypatch):
    """Steps that only the tests have."""
    for function, label in ((tilted, "tilt"), (nearest, "near"), (nothing, "not")):
        monkeypatch.setitem(STEPS, function.__name__, Step({"": label}))
        monkeypatch.setitem(steps_module.FUNCTIONS, function.__name__, function)


def with_steps(folder, *lists):
    """The two networks of `evaluated` with other steps."""
    return {
        system: {
            "steps": lists,
            "learned": {"whitened": folder / f"{system}.w.h5"},
            "descriptors": {name: folder / f"{system}.{name[0]}.h5" for name in ("collection", "bench")},
            "validation": "validation",
        }
        for system in ("off-the-shelf:net", "mine")
    }


def test_steps_are_applied_in_their_order(evaluated, registered, tmp_path):
    """Query (0.8, 0.6, 0) asks for a and b. Tilted it finds a, c/d, b; replaced by a, which comes first, it finds a, b, c/d."""
    out = evaluated(with_steps(tmp_path, ["tilted", "nearest"], ["nearest", "tilted"], ["whitened", "tilted"]))
    rows = read_table(out["table.csv"], read_gains(out["gains.json"]))
    found = {
        row["postprocessing"]: row["value"]
        for row in rows
        if (row["system"], row["benchmark"], row["protocol"], row["metric"]) == ("mine", "bench", "medium", "mAP")
    }
    after_tilt = round(100 * ((1 + (1 / 2 + 2 / 3) / 2) / 2 + 1) / 2, 2)  # the other query asks for c/d alone, and finds it
    assert found == {
        "": 100, "tilt": after_tilt, "tilt+near": 100, "near": 100, "near+tilt": after_tilt, "lw": 100, "lw+tilt": after_tilt,
    }  # fmt: skip
    shown = artefact.read(out["bench.h5"], "ranking")
    assert shown["mine/photo"].tolist() == [0, 1, 2, 2, 0, 1], "pictures are of the descriptors alone"


def test_a_step_that_gives_no_numbers_is_one_line(evaluated, registered, tmp_path):
    with pytest.raises(EvidenceError, match=r"off-the-shelf:net\.b\.h5: .* are not numbers, so nothing can be ranked by them"):
        evaluated(with_steps(tmp_path, ["whitened", "nothing"]))
    arrays = artefact.read(tmp_path / "mine.w.h5", "whitening")
    arrays |= {"mean": np.full(3, np.nan, np.float32)}
    artefact.write(tmp_path / "mine.w.h5", "whitening", arrays, {"whitening": "learned", "details": "learned, shrunk by 0.3"})
    with pytest.raises(EvidenceError, match=r"mine\.w\.h5: .* are not numbers, so nothing can be ranked by them"):
        evaluated()


def test_the_table_has_rows_after_query_expansion(evaluated, tmp_path):
    """Query (0.8, 0.6, 0) is between a and b, its right photos, and the other query shows c/d, its right photo."""
    out = evaluated(with_steps(tmp_path, ["whitened", "expanded"]))
    rows = read_table(out["table.csv"], read_gains(out["gains.json"]))
    found = {row["postprocessing"]: row for row in rows if (row["system"], row["benchmark"], row["metric"]) == ("mine", "bench", "mAP")}
    assert {label: row["value"] for label, row in found.items()} == {"": 100, "lw": 100, "lw+qe": 100}
    assert found["lw+qe"]["details"] == "learned, shrunk by 0.3"


def test_gains_agree_with_the_table(evaluated):
    out = evaluated()
    gains = json.loads(out["gains.json"].read_text())["mine"]
    assert gains["against"] == "off-the-shelf:net" and gains["chosen_epoch"] == 2
    with open(out["table.csv"], newline="") as file:
        table = {tuple(row[name] for name in COLUMNS[:5]): float(row["value"]) for row in csv.DictReader(file)}
    assert len(gains["rows"]) == 8
    for row in gains["rows"]:
        where = (row["benchmark"], row["protocol"], row["postprocessing"], "mAP")
        assert row["before"] == pytest.approx(table["off-the-shelf:net", *where], abs=0.006)
        assert row["after"] == pytest.approx(table["mine", *where], abs=0.006)
        assert row["gain"] == pytest.approx(row["after"] - row["before"]) and row["gain"] > 0
        assert row["clear"] == "" and row["low"] is None and row["width"] is None
        assert row["chosen_on"] == (row["benchmark"] == "validation")


def test_a_loss_is_as_clear_as_the_gain_of_the_other():
    rng = np.random.default_rng(0)
    found = set()
    for _ in range(100):
        before, after = rng.gamma(0.3, 20, (2, 20)) + np.array([[0], [rng.normal(0, 5)]])
        clear, swapped = (paired_gain(*pair, np.arange(20), 0, 500)["clear"] for pair in ((after, before), (before, after)))
        assert (clear, swapped) in (("gain", "loss"), ("loss", "gain"), ("", ""))
        found.add(clear)
    assert found == {"gain", "loss", ""}


def test_a_photo_may_be_several_queries(tmp_path):
    """Each a region of it, with a ranking of its own."""
    lists = {f"{name}/offset": np.array([0, 1, 2]) for name in ("plain", "sv", "sv+qe")}
    lists |= {f"{name}/photo": np.array([0, 1], np.int32) for name in ("plain", "sv", "sv+qe")}
    artefact.write(tmp_path / "bow.h5", "ranking", {"query": np.array([5, 5], np.int32), **lists})
    assert [ranking.tolist() for ranking in bow_rankings(asked_with(5, 5), tmp_path / "bow.h5", "bench")["sv"]] == [[0], [1]]
    with pytest.raises(artefact.ArtefactError, match="is of other queries than benchmark bench"):
        bow_rankings(asked_with(5, 4), tmp_path / "bow.h5", "bench")


def test_the_places_of_a_benchmark(tmp_path):
    """Queries that share a right photo, or a chain of them does; or what the ground truth says."""
    names = [f"{name}.png" for name in "abcdefgh"]
    row_of = {name: row for row, name in enumerate(names)}
    entries = [{"ok": [0]}, {"ok": [1, 2]}, {"ok": [0, 3]}, {"ok": [3], "junk": [1]}, {"ok": []}]
    given = {"imlist": names[:4], "qimlist": ["e.png", "f.png", "g.png", "h.png", "h.png"], "gnd": entries}
    found = [truth_in_rows(read_ground_truth(truth_file(tmp_path, **given, place=place)), row_of, 8).place.tolist()
             for place in (None, ["x", "y", "y", 3, "z"])]  # fmt: skip
    assert found[0] == [0, 1, 0, 0, 0], "the last two ask with one photo"
    assert found[1] == [1, 2, 2, 0, 3]


@pytest.mark.parametrize("place", ["x", ["x"], ["x", None], [1.5, 2], [True, "x"]])
def test_places_are_named_one_by_one(tmp_path, place):
    path = truth_file(tmp_path, qimlist=["q.png", "p.png"], gnd=[{"ok": [0]}, {"ok": [1]}], place=place)
    with pytest.raises(GroundTruthError, match="place must list a name or a number for each of the 2 queries"):
        read_ground_truth(path)


def test_the_places_of_validation():
    """Photos of one model, of one cluster or joined by a cut pair; a background photo that matches two places weakly joins nothing."""
    arrays = {
        "place": [0, 0, 1, 1, 2, 2, 3, 4], "side": np.full(8, 2), "cluster": [0, 0, 1, 1, 2, 2, -1, -1], "query": np.arange(6),
        "positives": [[1], [0], [3], [2], [5], [4]], "weak": [[6, 0], [6, 2]],
    }  # fmt: skip
    assert mined(**arrays).place.tolist() == [0, 0, 1, 1, 2, 2]
    assert mined(**arrays | {"cluster": [0, 0, 1, 1, 1, 1, -1, -1]}).place.tolist() == [0, 0, 1, 1, 1, 1]
    assert mined(**arrays | {"doubt": [[0, 5]]}).place.tolist() == [0, 0, 1, 1, 0, 0]


def test_one_reader_for_a_benchmark_and_for_validation(tmp_path):
    """Both come back as they were written: rows of a collection, whatever file they began as."""
    (tmp_path / "photos").mkdir()
    for name, colour in (("a", 0), ("b", 80), ("q", 160)):
        Image.new("RGB", (40, 40), (colour, 0, 0)).save(tmp_path / f"photos/{name}.png")
    (tmp_path / "more").mkdir()
    Image.new("RGB", (40, 40), (250, 0, 0)).save(tmp_path / "more/d.png")
    entries = [{"easy": [0], "hard": [1], "bbx": [1, 2, 30.5, 40]}, {"easy": [1], "hard": [], "junk": [0]}]
    gnd = truth_file(tmp_path, imlist=["b.png", "a.png"], qimlist=["q.png", "a.png"], gnd=entries)
    read_benchmark(tmp_path / "photos", gnd, tmp_path / "c.h5", tmp_path / "t.h5", [str(tmp_path / "more")], 16, 10**6)
    found = read_truth(tmp_path / "t.h5")
    assert found.query.tolist() == [2, 0] and found.database.tolist() == [1, 0, 3], "the names in order, then the distractor"
    lists = {name: [[rows.tolist() for rows in both] for both in answers] for name, answers in found.protocols.items()}
    assert list(lists) == ["easy", "medium", "hard"]
    assert lists["easy"] == [[[1], [0]], [[0], [1]]] and lists["hard"] == [[[0], [1]], [[], [1, 0]]]
    assert lists["medium"] == [[[1, 0], []], [[0], [1]]] and found.place.tolist() == [0, 0]
    assert found.region_of(0) == (1.0, 2.0, 30.5, 40.0) and found.region_of(1) is None
    write_truth(tmp_path / "v.h5", mined(), {})
    again, truth = read_truth(tmp_path / "v.h5"), mined()
    assert again.region_of(0) is None and list(again.protocols) == [ALL]
    for one, other in ((again.query, truth.query), (again.database, truth.database), (again.place, truth.place)):
        np.testing.assert_array_equal(one, other)
    for one, other in zip(again.protocols[ALL], truth.protocols[ALL], strict=True):
        assert [rows.tolist() for rows in one] == [rows.tolist() for rows in other]


def test_what_is_missing_is_neither_query_nor_answer():
    """Places stay: queries 0 and 2 are of one place by photo 1, also where that cannot be decoded."""
    truth = mined(np.arange(3), [(1,), (0, 2), (1, 0)], side=np.full(8, 2)).without(np.arange(8) == 1)
    assert truth.query.tolist() == [2] and [rows.tolist() for rows in truth.protocols[ALL][0]] == [[0], [2]]
    arrays = {"place": [0, 0, 0, 0, 0, 2, -1, 3], "cluster": [0, 1, 0, 3, 3, 2, 0, -1], "side": np.full(8, 2)}
    whole = mined([0, 2, 5], [(1, 3), (1, 4), (7,)], **arrays)
    assert whole.place.tolist() == whole.without(np.arange(8) == 1).place.tolist() == [0, 0, 1]


def test_a_system_is_measured_on_the_validation_of_its_own_pairs(evaluated, tmp_path):
    """Its descriptors are of the photos that its pairs use, and of no others."""
    write_truth(tmp_path / "w.h5", mined([1], [(0, 2)]), {})
    plain = {"steps": [[]], "learned": {}}
    files = plain | {"descriptors": {"collection": tmp_path / "mine.c.h5", "bench": tmp_path / "mine.b.h5"}}
    shelf = plain | {"descriptors": {key: tmp_path / f"off-the-shelf:net.{key[0]}.h5" for key in ("collection", "bench")}}
    systems = {"off-the-shelf:net": shelf | {"validation": "validation"}, "mine": files | {"validation": "validation-words"}}
    out = evaluated(systems, {"validation-words": tmp_path / "w.h5"})
    with open(out["table.csv"], newline="") as file:
        found = {(row["system"], row["benchmark"]) for row in csv.DictReader(file)}
    assert {pair for pair in found if pair[0] != "bow"} == {
        ("off-the-shelf:net", "bench"), ("mine", "bench"), ("off-the-shelf:net", "validation"), ("mine", "validation-words"),
    }  # fmt: skip


def test_the_first_photos_are_kept_for_pictures(evaluated):
    out = evaluated()
    shown = artefact.read(out["bench.h5"], "ranking")
    assert shown["query"].tolist() == [4, 3]
    assert shown["mine/photo"].tolist() == [0, 1, 2, 2, 0, 1] and shown["mine/offset"].tolist() == [0, 3, 6]
    assert shown["mine/score"][0] == pytest.approx(0.8)
    assert shown["mine/ap/hard"].tolist() == [100.0, 100.0] and np.isnan(shown["mine/ap/easy"][1])
    for row in read_table(out["table.csv"], read_gains(out["gains.json"])):
        if row["benchmark"] == "bench" and row["metric"] == "mAP" and row["postprocessing"] and row["system"] != "bow":
            name = f"{row['system']}/after/{row['postprocessing']}/{row['protocol']}"
            assert np.nanmean(shown[name]) == pytest.approx(row["value"], abs=0.01)


def test_the_same_table_twice(evaluated):
    first = {name: path.read_bytes() for name, path in evaluated().items()}
    assert first == {name: path.read_bytes() for name, path in evaluated().items()}
