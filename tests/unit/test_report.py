"""The report: what it shows, that nothing in it is dangerous or comes from outside, and that a poor run still gets a page."""

import base64
import json
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from bow2cnn.benchmarks.truth import Truth, read_truth, write_truth
from bow2cnn.config.experiment import Experiment
from bow2cnn.core import artefact
from bow2cnn.pairs.exclusions import NegativeRule
from bow2cnn.pairs.found import Found, write_pairs
from bow2cnn.pairs.validation_truth import build_validation
from bow2cnn.report import charts, cloud
from bow2cnn.report.page import write_report
from bow2cnn.report.sections import unmatched
from bow2cnn.report.sections.provenance import flatten, read_timings
from bow2cnn.report.sections.rankings import pick
from bow2cnn.report.sections.rejections import masked_points
from bow2cnn.report.templates import duration
from bow2cnn.run.run import Run

PHOTOS, MODELS, FEATURES = 24, 3, 40
EVIL = "<script>alert('x')</script>.jpg"
SHELF = "off-the-shelf:tiny"
VOID = {"meta", "link", "img", "br"}


class Checker(HTMLParser):
    """Collects tags and attributes, and sees to it that every element is closed in order."""

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.links, self.scripts = [], set(), [], 0

    def handle_starttag(self, tag, attrs):
        self.scripts += tag == "script"
        for name, value in attrs:
            if name == "id":
                self.ids.add(value)
            if name in ("src", "href"):
                self.links.append(value)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def check(page):
    """Parse a page: well-formed, self-contained, with inner links that lead somewhere and the one script that is ours."""
    checker = Checker()
    checker.feed(page)
    assert checker.open == []
    assert checker.scripts == 1, "only the viewer is a script"
    assert all(link.startswith(("data:", "#")) for link in checker.links)
    assert {link[1:] for link in checker.links if link.startswith("#")} <= checker.ids
    return checker


def cameras(count, model):
    """Cameras in a row that look at a facade 5 away; y points down, as COLMAP has it."""
    rng = np.random.default_rng(model)
    center = np.stack([np.linspace(-1, 1, count), np.zeros(count), np.zeros(count)], 1)
    point = np.stack([rng.uniform(-2, 2, 200), rng.uniform(-1.5, 1.5, 200), 5 + rng.normal(0, 0.1, 200)], 1)
    rotation = np.tile(np.eye(3), (count, 1, 1))
    return {"rotation": rotation, "translation": -center, "point": point, "color": rng.integers(0, 255, (200, 3))}


def put_pairs(folder, source, found):
    """The paths of the pairs of a source."""
    paths = {name: folder / f"{source}-{name}.h5" for name in ("positives", "negatives", "validation")}
    write_pairs(found, source, folder / "collection.h5", **paths)
    return {source: paths}


@pytest.fixture
def files(tmp_path):
    """A small run with everything in it: 24 photos, 3 models of 6, one experiment, one benchmark."""
    rng = np.random.default_rng(0)
    for row in range(PHOTOS):
        Image.fromarray(rng.integers(0, 255, (60, 90, 3), np.uint8)).save(tmp_path / f"{row}.jpg")
    paths = [str(tmp_path / f"{row}.jpg") for row in range(PHOTOS)]
    (tmp_path / "5.jpg").unlink()
    names = [EVIL, "caf\udce9.jpg", *(f"{row}.jpg" for row in range(2, PHOTOS))]
    made = SimpleNamespace(folder=tmp_path, arguments={})

    def put(name, kind, arrays):
        artefact.write(tmp_path / f"{name}.h5", kind, arrays)
        return tmp_path / f"{name}.h5"

    given = made.arguments
    given["collection"] = put(
        "collection", "collection",
        {
            "path": paths, "name": names, "width": np.full(PHOTOS, 90, np.int32), "height": np.full(PHOTOS, 60, np.int32),
            "rejected/path": ["<b>bad.png", "a.png", "b.png"],
            "rejected/reason": ["not a photo", "too large (9 x 9 pixels)", "too large (8 x 8 pixels)"],
        },
    )  # fmt: skip
    offset = np.arange(PHOTOS + 1, dtype=np.int64) * FEATURES
    masked = np.zeros(offset[-1], bool)
    masked[offset[20] : offset[20] + 15] = True
    given["watermarks"] = put("watermarks", "watermarks", {"offset": offset, "masked": masked, "evidence/photos": np.array([5], np.int32)})
    keypoint = rng.uniform(0, 60, (offset[-1], 6)).astype(np.float32)
    half = int(offset[PHOTOS // 2])
    given["words"] = [put("words-0", "words", {"keypoint": keypoint[:half]}), put("words-1", "words", {"keypoint": keypoint[half:]})]
    made.keypoint = keypoint
    counts, errors = np.full(PHOTOS, 30), [""] * PHOTOS
    counts[[1, 5]], errors[5] = (3, 0), "cannot be decoded (<b>)"
    features = {"offset": artefact.offsets(counts.tolist()), "error": errors}
    given["features"] = [put("features", "features", features)]
    members = np.arange(18, dtype=np.int32)
    pair = np.array([(a, a + 1) for a in range(17)], np.int32)
    given["graph"] = put("graph", "graph", {"pair": pair, "inliers": np.full(17, 50, np.int32), "refused": np.zeros((7, 2), np.int32)})
    given["clusters"] = put(
        "clusters", "clusters",
        {
            "offset": np.array([0, 6, 12, 18]), "photo": members, "cut/pair": np.array([[3, 9]], np.int32),
            "cut/inliers": np.array([16], np.int32), "cut/parts": np.array([[6, 12]], np.int32), "cut/reason": ["a single pair"],
        },
    )  # fmt: skip
    models = [cameras(6, model) for model in range(MODELS)]
    joined = {name: np.concatenate([model[name] for model in models]) for name in models[0]}
    given["models"] = put(
        "models", "models",
        {
            **joined, "color": joined["color"].astype(np.uint8), "photo": members, "photo_offset": np.arange(4) * 6,
            "point_offset": np.arange(4) * 200, "cluster": np.arange(3, dtype=np.int32), "error": np.full(3, 0.5, np.float32),
            "model": np.where(np.arange(PHOTOS) < 18, np.arange(PHOTOS) // 6, -1).astype(np.int32),
            "rejected/cluster": np.array([2], np.int32), "rejected/photos": np.array([9], np.int32), "rejected/reason": ["<i>odd</i>"],
        },
    )  # fmt: skip
    given["split"] = put("split", "split", {"side": np.array([1, 2, 0], np.int8), "reason": ["training", "validation", "dropped: seen"]})
    group = np.where(np.arange(PHOTOS) < 12, np.arange(PHOTOS) // 6, -1)
    group[18:] = 2 + np.arange(6)
    query = np.arange(12, dtype=np.int32)
    partner = (query // 6 * 6 + (query + 1) % 6).astype(np.int32)
    cluster = np.where(np.arange(PHOTOS) < 18, np.arange(PHOTOS) // 6, -1)
    rule = NegativeRule(group, cluster, np.where(group == 1, 2, group >= 0))
    columns = {"overlap": np.float32([0.4]), "shared": np.int32([33]), "matched": np.ones(1, bool), "visible": np.float32([0.6])}
    columns |= {"scale": np.ones(1, np.float32), "distance": np.float32([0.1]), "inliers": np.int32([20])}
    pools = [{"photo": photos, **columns} for photos in partner[:, None]]
    pools[3] = {name: np.repeat(values, 2) for name, values in pools[3].items()}
    pools[3] |= {"photo": np.array([4, 0]), "matched": np.array([True, False])}
    pools[3] |= {"shared": np.int32([33, 2]), "overlap": np.float32([0.4, 0.03])}
    given["pairs"] = put_pairs(tmp_path, "models", Found(query, pools, rule, build_validation(rule, query, partner[:, None]), {}))
    given["sources"], given["validations"] = {"gem": "models"}, {"validation": "models"}
    made.history = {
        "epoch": np.arange(3), "loss": np.array([0.3, 0.2]), "validation_map": np.array([50.0, 56.0, 55.0]), "chosen": np.int32(1),
        "diverged": np.int32(0),
        "tried/share": np.array([0.0, 0.5, 1.0]), "tried/validation_map": np.array([50.0, 56.0, 54.0]), "tried/chosen": np.int32(1),
        "negatives/query": np.array([[0, 1], [1, 0]], np.int32), "negatives/positive": np.array([[1, 2], [2, 1]], np.int32),
        "negatives/photo": np.array([[[18, 19], [20, -1]], [[21, 5], [22, 23]]], np.int32),
        "negatives/similarity": np.array([[[0.9, 0.8], [0.7, np.nan]], [[0.6, 0.5], [0.4, 0.3]]], np.float32),
    }  # fmt: skip
    given["histories"] = {"gem": put("history", "history", made.history)}
    given["pairings"] = {"gem": SHELF}
    bench = [str(tmp_path / f"{row}.jpg") for row in range(4)]
    answers = [(np.array([1]), np.array([3]))]
    known = Truth(np.array([0]), np.array([1, 2, 3]), {"easy": answers, "medium": answers}, np.zeros(1, int), np.full((1, 4), np.nan))
    write_truth(tmp_path / "truth.h5", known, {})
    collection = put("benchmark", "collection", {"path": bench, "name": ["b0", "b1", "b2", "b3"]})
    given["benchmarks"] = {"places": {"collection": collection, "truth": tmp_path / "truth.h5"}}
    given["rankings"] = {
        "validation": put("rankings-validation", "ranking", rankings(query[6:], np.tile(np.arange(6, 16), (6, 1)), "all", 60.0)),
        "places": put("rankings-places", "ranking", rankings(np.array([0]), np.array([[1, 2, 3]]), "medium", 80.0)),
    }
    table = ["system,benchmark,protocol,postprocessing,metric,value,low,high,details", "bow,places,medium,sv,mAP,40.00,30.00,50.00,"]
    table += [
        f"{name},places,medium,,{metric},{value}," for name, value in ((SHELF, "50,,"), ("gem", "60,55,65")) for metric in ("mAP", "mP@5")
    ]
    (tmp_path / "evaluation.csv").write_text("\n".join(table) + "\n")
    given["table"], given["gains"] = tmp_path / "evaluation.csv", tmp_path / "gains.json"
    row = {"benchmark": "places", "protocol": "medium", "postprocessing": "", "before": 50.0, "after": 60.0, "queries": 1}
    row |= {"gain": 10.0, "low": 4.0, "high": 16.0, "width": 5.0, "clear": "gain", "places": 9, "chosen_on": False}
    given["gains"].write_text(json.dumps({"gem": {"against": SHELF, "chosen_epoch": 1, "diverged": 0, "rows": [row]}}))
    given["config"] = {"seed": 0, "experiments": {"gem": {"network": "tiny", "weights": None}}}
    return made


def rankings(query, photo, protocol, ap):
    arrays = {"query": query.astype(np.int32)}
    for system, gain in ((SHELF, 0.0), ("gem", 5.0)):
        arrays[f"{system}/offset"] = artefact.offsets([photo.shape[1]] * len(photo))
        arrays[f"{system}/photo"] = photo.ravel().astype(np.int32)
        arrays[f"{system}/score"] = np.linspace(1, 0, photo.size).astype(np.float32)
        arrays[f"{system}/ap/{protocol}"] = ap + gain * (np.arange(len(query)) % 3 - (len(query) > 1))
    return arrays


def write(files, **others):
    """The page as text."""
    out, given = files.folder / "out" / "report.html", {**files.arguments, **others}
    named = {"history": given["histories"], "benchmark_photos": {}, "truth": {}}
    for name, paths in given["benchmarks"].items():
        named["benchmark_photos"][name], named["truth"][name] = paths["collection"], paths["truth"]
    for name in ("positives", "negatives", "validation"):
        named[name] = {source: paths[name] for source, paths in given["pairs"].items()}
    plan = {name: given[name] for name in ("sources", "validations", "pairings", "config")}
    write_report(out, {**given, **named}, **plan)
    return out.read_text(encoding="utf-8")


def test_shows_everything_and_nothing_from_outside(files):
    page = write(files)
    checker = check(page)
    assert {"top", "all_systems", "clusters", "models", "tuples", "rankings", "curves", "rejections", "provenance"} <= checker.ids
    assert {f"model-{number}" for number in range(MODELS)} <= checker.ids
    assert "gem: +10.0 mAP on places" in page
    for text in (
        "drag to turn",
        "33 points, overlap 0.40",
        "epoch 2",
        "most improved",
        "dropped: seen",
        "16 inliers joined 6 photos with 12",
        "1 of the verified pairs is in doubt",
        "not used as negatives of each other, the models of both are on the same side",
    ):
        assert text in page
    assert '<td>too large (`collection.max_pixels` is the limit)</td><td class="num">2</td>' in page
    assert f"left out of features: 1 of {PHOTOS} photos cannot be used: 1 cannot be decoded" in page
    assert f"left out of features: 1 of {PHOTOS} photos have fewer than 20 features" in page
    assert "7 were refused" in page and "not a photo" in page and "15 features" in page
    assert "experiments.gem.network" in page
    assert len(page) < 1_000_000


def test_names_and_reasons_cannot_smuggle_in_markup(files):
    page = write(files, config={"<img src=x>": "</script>"}, pairings={"gem": SHELF})
    check(page)
    assert "alert(&#39;x&#39;)" in page
    assert "<script>alert" not in page and "<b>bad" not in page and "<i>odd" not in page and "<img src=x" not in page
    assert "caf?.jpg" in page


def test_same_input_gives_the_same_bytes(files):
    assert write(files) == write(files)


def test_a_photo_that_is_gone_leaves_a_placeholder(files):
    assert "not readable" in write(files)


def test_positives_junk_and_negatives_are_told_apart(files):
    page = write(files)
    part = page[page.index("<h3>places") : page.index('id="curves"')]
    # b1 is the positive, b2 a negative, b3 junk: once before and once after.
    assert [part.count(f'class="shot {kind}"') for kind in ("positive", "negative", "junk")] == [2, 2, 2]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "Clear gains: <b"),
        ({"clear": ""}, "No gain is larger than chance can explain"),
        (
            {"clear": "", "low": None, "high": None, "width": None},
            "at least 10 queries of at least 3 places, on which the network was not chosen",
        ),
        ({"benchmark": "validation", "protocol": "all", "clear": "", "chosen_on": True}, "mAP on validation (used to choose it)"),
    ],
)
def test_what_the_opening_claims(files, changes, said):
    gains = json.loads(files.arguments["gains"].read_text())
    gains["gem"]["rows"][0] |= changes
    files.arguments["gains"].write_text(json.dumps(gains))
    if "protocol" in changes:
        table = files.arguments["table"].read_text().replace(",places,medium,", ",validation,all,")
        files.arguments["table"].write_text(table)
    page = write(files)
    check(page)
    opening = page[page.index('<section id="top"') :].split("</section>")[0]
    assert said in opening and ("Clear gains" in opening) == (not changes) and "nan" not in opening


def test_gains_after_steps_are_in_words(files):
    gains = json.loads(files.arguments["gains"].read_text())
    gains["gem"]["rows"] += [{**gains["gem"]["rows"][0], "postprocessing": "pca+qe"}]
    files.arguments["gains"].write_text(json.dumps(gains))
    table = files.arguments["table"].read_text()
    files.arguments["table"].write_text(table + table.split("\n", 2)[2].replace(",medium,,", ",medium,pca+qe,"))
    assert "places, medium, whitened by PCA, expanded" in write(files)


def test_says_that_a_run_learned_nothing(files):
    artefact.write(files.arguments["histories"]["gem"], "history", {**files.history, "chosen": np.int32(0)})
    page = write(files)
    check(page)
    assert "gem learned nothing" in page and "none of its 2 epochs reached a better validation mAP" in page


def test_says_that_a_training_diverged(files):
    curve = np.array([50.0, np.nan, np.nan])
    history = {**files.history, "validation_map": curve, "loss": np.array([0.3, np.nan]), "chosen": np.int32(0), "diverged": np.int32(2)}
    tried = {"tried/share": np.zeros(1), "tried/validation_map": curve[:1], "tried/chosen": np.int32(0)}
    artefact.write(files.arguments["histories"]["gem"], "history", history | tried)
    page = write(files)
    check(page)
    assert "gem diverged" in page and "Diverged in epoch 2:" in page and "learned nothing" not in page.lower()
    assert all("nan" not in page[page.index(f'<section id="{part}"') :].split("</section>")[0] for part in ("top", "curves"))


def test_a_run_without_validation_says_so(files):
    history = {**files.history, "validation_map": np.full(3, np.nan), "chosen": np.int32(2)}
    artefact.write(files.arguments["histories"]["gem"], "history", history)
    page = write(files)
    check(page)
    assert "no validation queries, so the last of its 2 epochs was kept" in page


def test_rankings_in_which_a_network_is_missing_still_get_their_page(files):
    page = write(files, pairings={"gem": "off-the-shelf:other"})
    check(page)
    assert page.count("There is no query with positives that both networks ranked.") == 2


def test_exemplars_are_shown_with_a_changed_copy(files):
    assert "changed copy" not in write(files)
    history = {**files.history, "negatives/query": np.array([[18, 1], [1, 19]], np.int32)}
    history["negatives/positive"] = np.array([[18, 2], [2, 19]], np.int32)
    artefact.write(files.arguments["histories"]["gem"], "history", history)
    page = write(files)
    check(page)
    assert "In 1 tuples of every epoch the query is a background photo (outside every model)" in page
    matched, exemplar = (part.split("</section>")[0] for part in page.split('<section id="tuples">')[1].split('class="tuple"')[1:])
    assert "changed copy of the query" in exemplar and "changed copy of the query" not in matched
    query, copy = (figure.split('src="')[1].split('"')[0] for figure in exemplar.split("<figure")[1:3])
    assert query.startswith("data:image/jpeg") and copy.startswith("data:image/jpeg") and query != copy


def test_positives_that_no_feature_matched_are_shown(files):
    defaults = [Experiment.model_fields[key].default for key in ("positives_visible", "positives_scale")]
    assert defaults == [unmatched.VISIBLE, unmatched.SCALE]
    page = write(files)
    section = page[page.index('<section id="unmatched"') :].split("</section>")[0]
    assert "1 of 12 queries have photos that see most of the same 3D points" in section
    assert "1 candidate pairs come from the cameras" in section
    assert section.count("<figure") == 2 and "2 points, overlap 0.03, sees 0.60" in section
    assert "12 candidate pairs" not in page and "6 candidate pairs" in page


def test_drawn_negatives_have_no_similarity(files):
    history = {**files.history, "negatives/similarity": np.full((2, 2, 2), np.nan, np.float32)}
    artefact.write(files.arguments["histories"]["gem"], "history", history)
    page = write(files)
    check(page)
    section = page[page.index('<section id="tuples"') :].split("</section>")[0]
    assert section.count('class="shot negative"') == 7 and "nan" not in section.lower() and "similarity" not in section


def test_an_experiment_without_epochs_still_gets_its_page(files):
    history = {**files.history, "epoch": np.arange(1), "loss": np.zeros(0), "validation_map": np.array([50.0]), "chosen": np.int32(0)}
    history |= {name: value[:0] for name, value in files.history.items() if name.startswith("negatives/")}
    artefact.write(files.arguments["histories"]["gem"], "history", history)
    page = write(files)
    check(page)
    assert "it has 0 epochs" in page


def test_a_run_that_found_nothing_still_gets_its_page(files):
    given = files.arguments
    none = np.zeros(0, np.int32)
    artefact.write(given["graph"], "graph", {"pair": none.reshape(0, 2), "inliers": none})
    cut = {"cut/pair": none.reshape(0, 2), "cut/inliers": none, "cut/parts": none.reshape(0, 2), "cut/reason": []}
    artefact.write(given["clusters"], "clusters", {"offset": np.zeros(1, np.int64), "photo": none, **cut})
    empty = dict.fromkeys(("photo", "cluster", "rejected/cluster", "rejected/photos"), none)
    empty |= {"photo_offset": np.zeros(1, np.int64), "point_offset": np.zeros(1, np.int64), "rejected/reason": []}
    empty |= {"rotation": np.zeros((0, 3, 3)), "translation": np.zeros((0, 3)), "point": np.zeros((0, 3)), "error": np.zeros(0)}
    empty |= {"color": np.zeros((0, 3), np.uint8), "model": np.full(PHOTOS, -1)}
    artefact.write(given["models"], "models", empty)
    artefact.write(given["split"], "split", {"side": np.zeros(0, np.int8), "reason": []})
    rule = NegativeRule(*(np.full(PHOTOS, -1),) * 2, np.zeros(PHOTOS))
    put_pairs(files.folder, "models", Found(none, [], rule, build_validation(rule, none, []), {}))
    masked = np.zeros(PHOTOS * FEATURES, bool)
    artefact.write(
        given["watermarks"], "watermarks", {"offset": np.arange(PHOTOS + 1) * FEATURES, "masked": masked, "evidence/photos": none}
    )
    artefact.write(given["rankings"]["validation"], "ranking", {"query": none})
    given["table"].write_text("system,benchmark,protocol,postprocessing,metric,value,low,high,details\n")
    given["gains"].write_text("{}")
    nothing = {
        "histories": {},
        "pairings": {},
        "sources": {},
        "benchmarks": {},
        "rankings": {"validation": given["rankings"]["validation"]},
    }
    page = write(files, **nothing, config=None)
    check(page)
    for text in (
        "No clusters",
        "No 3D model",
        "No experiment was configured",
        "Nothing was evaluated",
        "No watermark",
        "nothing to compare",
    ):
        assert text in page


TEACHER = dict.fromkeys(("watermarks", "graph", "clusters")) | {"words": (), "features": ()}


def test_a_run_that_began_with_models_shows_these_and_no_clusters(files):
    page = write(files, **TEACHER)
    checker = check(page)
    assert {
        "top",
        "all_systems",
        "models",
        "tuples",
        "rankings",
        "curves",
        "rejections",
        "provenance",
    } <= checker.ids and "clusters" not in checker.ids
    assert {f"model-{number}" for number in range(MODELS)} <= checker.ids
    for text in ("33 points, overlap 0.40", "dropped: seen", "&lt;i&gt;odd&lt;/i&gt;", "nothing says what photos outside the models"):
        assert text in page
    for text in ("cluster 0", "reconstruction/pages", "verified pairs", "watermarks", "were verified", "are used as negatives"):
        assert text not in page


def test_a_run_that_began_with_a_database_shows_what_was_learned_of_it(files):
    rows, rule = np.arange(12), NegativeRule(np.arange(PHOTOS) // 6 - (np.arange(PHOTOS) > 17) * 9, *(np.arange(PHOTOS) // 6,) * 2)
    pools = [{"photo": np.array([row // 6 * 6 + (row + 1) % 6])} for row in rows.tolist()]
    found = Found(rows, pools, rule, read_truth(files.arguments["pairs"]["models"]["validation"]), {})
    own = {"pairs": put_pairs(files.folder, "database", found), "sources": {"gem": "database"}, "validations": {"validation": "database"}}
    page = write(files, **TEACHER, models=None, split=None, **own)
    checker = check(page)
    assert {"top", "all_systems", "tuples", "rankings", "curves", "rejections", "provenance"} <= checker.ids
    assert not {"clusters", "models"} & checker.ids
    assert "gem: +10.0 mAP on places" in page and "the database does not have them" in page
    assert not any(text in page for text in ("33 points", "3D points that both see", "watermarks"))


def test_a_run_with_pairs_of_two_sources_names_both(files):
    """An experiment of each; each is shown on the validation of its own pairs."""
    given = files.arguments
    rule = NegativeRule(np.arange(PHOTOS) // 8, np.arange(PHOTOS) // 8, np.ones(PHOTOS))
    pools = [{"photo": np.array([row + 1])} for row in range(5)]
    words = put_pairs(files.folder, "words", Found(np.arange(5), pools, rule, build_validation(rule, [], []), {}))
    others = {
        "histories": {**given["histories"], "plain": given["histories"]["gem"]}, "pairs": given["pairs"] | words,
        "pairings": {"gem": SHELF, "plain": f"{SHELF}-words"}, "sources": {"gem": "models", "plain": "words"},
        "validations": {"validation": "models", "validation-words": "words"},
    }  # fmt: skip
    artefact.write(files.folder / "rankings-words.h5", "ranking", {"query": np.zeros(0, np.int32)})
    page = write(files, **others, rankings=given["rankings"] | {"validation-words": files.folder / "rankings-words.h5"})
    check(page)
    for text in ("training queries by models", "training queries by words", "Pairs of words: 0 of 24 photos", "Pairs of models: 6 of 24"):
        assert text in page
    assert page.count("33 points, overlap 0.40") == 2, "of the experiment with evidence alone"


def test_masked_features_are_found_in_their_shard(files):
    given = files.arguments
    run = Run({name: given[name] for name in ("collection", "watermarks", "words")})
    start = 20 * FEATURES
    np.testing.assert_array_equal(masked_points(run, 20), files.keypoint[start : start + 15, :2])
    assert masked_points(run, 3).shape == (0, 2)


def test_a_model_is_seen_upright_from_where_its_cameras_stand():
    model = cameras(6, 0)
    model["point"][0] = [0, -1.5, 5]  # y points down: this is the top of the facade
    model["point"][1] = [0, 1.5, 5]
    scene = cloud.arrange(**model)
    top, bottom = scene.point[0], scene.point[1]
    assert top[1] < bottom[1]
    eyes = scene.camera[:, 0]
    assert eyes[:, 2].max() < scene.point[:, 2].min()
    assert eyes[0, 0] < eyes[-1, 0], "left is left"
    ahead = scene.camera[:, 1:].mean(1) - eyes
    assert (ahead[:, 2] > 0).all()


@pytest.mark.parametrize("turn", range(3))
def test_the_view_does_not_depend_on_the_frame_of_the_model(turn):
    model, rng = cameras(6, 1), np.random.default_rng(turn)
    spin, scale, move = np.linalg.qr(rng.normal(size=(3, 3)))[0], rng.uniform(0.1, 10), rng.normal(size=3)
    spin *= np.sign(np.linalg.det(spin))
    moved = {
        "point": scale * model["point"] @ spin.T + move,
        "color": model["color"],
        "rotation": model["rotation"] @ spin.T,
        "translation": scale * model["translation"] - model["rotation"] @ spin.T @ move,
    }
    one, other = cloud.arrange(**model), cloud.arrange(**moved)
    np.testing.assert_allclose(one.point, other.point, atol=1e-6)
    np.testing.assert_allclose(one.camera, other.camera, atol=1e-6)


def test_picture_has_points_and_cameras_in_it():
    picture = cloud.draw(cloud.arrange(**cameras(6, 2)))
    assert picture.dtype == np.uint8 and picture.shape[2] == 3
    assert (picture.max(2) > 120).mean() > 0.01
    orange = (picture[..., 0] > 130) & (picture[..., 2] < 90)
    assert orange.sum() > 50


def test_cameras_all_around_and_a_single_point_have_a_picture():
    around = cameras(8, 3)
    angle = np.arange(8) * np.pi / 4
    zero, one = np.zeros(8), np.ones(8)
    around["rotation"] = np.stack([np.cos(angle), zero, -np.sin(angle), zero, one, zero, np.sin(angle), zero, np.cos(angle)], 1).reshape(
        8, 3, 3
    )
    assert cloud.draw(cloud.arrange(**around)).std() > 1
    single = {**cameras(1, 0), "point": np.array([[0.0, 0.0, 5.0]]), "color": np.full((1, 3), 255)}
    assert np.isfinite(cloud.arrange(**single).point).all()


def test_packed_points_are_those_of_the_picture():
    scene = cloud.arrange(**cameras(6, 4))
    packed = cloud.pack(scene, 50)
    points = np.frombuffer(base64.b64decode(packed["points"]), "<u2").reshape(-1, 3)
    assert 40 <= len(points) <= 50
    step = -(-len(scene.point) // 50)
    np.testing.assert_allclose((points / 65535 * 2 - 1) * 4, scene.point[::step], atol=2e-4)
    assert len(base64.b64decode(packed["colors"])) == 3 * len(points)


def test_charts_escape_labels_and_mark_what_is_certain():
    svg = charts.bars([("<b>", 50.0, 40.0, 60.0, "tuned"), ("plain", 10.0, float("nan"), float("nan"), "shelf")])
    assert "&lt;b&gt;" in svg and svg.count('class="whisker"') == 1
    assert 'class="span worse"' in charts.forest([("here", -2.0, -3.0, -1.0, "worse")])
    assert [charts.signed(value) for value in (1.24, -1.25, -0.01)] == ["+1.2", "−1.2", "0.0"]
    assert charts.curve([1, 2], [float("nan")] * 2, 1, 1) is None
    assert 'class="chosen"' in charts.curve([0, 1, 2], [1.0, 3.0, 2.0], 1, 1)
    assert charts.curve([0], [0.0], 0, 1)


def test_queries_are_picked_once_and_for_a_reason():
    groups = dict(pick(np.array([5.0, -3.0, 0.0, np.nan, 9.0, -8.0, 0.0, 1.0, 2.0])))
    assert groups["most improved"] == [4, 0, 8] and groups["most hurt"] == [5, 1]
    assert set(groups["picked at random"]) <= {2, 6, 7}
    assert pick(np.array([np.nan])) == []
    assert dict(pick(np.array([1.0]))) == {"most improved": [0]}


def test_timings_are_summed_by_rule(tmp_path):
    header = "s\th:m:s\tmax_rss\tcpu_time\n"
    (tmp_path / "features").mkdir()
    (tmp_path / "features/000.tsv").write_text(f"{header}10.5\t0:00:10\t100.0\t20.0\n")
    (tmp_path / "features/001.tsv").write_text(f"{header}4.5\t0:00:04\tNA\tNA\n")
    (stage,) = read_timings(tmp_path)
    assert (stage["rule"], stage["jobs"], stage["seconds"], stage["cpu"], stage["memory"]) == ("features", 2, 15.0, 20.0, 100.0)
    assert read_timings(tmp_path / "none") == [] and read_timings(None) == []


def test_small_texts():
    assert [duration(seconds) for seconds in (3.21, 75, 3725)] == ["3.2 s", "1 min 15 s", "1 h 02 min"]
    assert list(flatten({"a": {"b": None, "c": {}}, "d": True})) == [("a.b", "null"), ("a.c", "{}"), ("d", "true")]
