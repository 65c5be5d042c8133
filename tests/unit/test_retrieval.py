"""Retrieval: geometry puts the true photo first, expansion finds what the query alone misses, a benchmark is ranked as it should be."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from bow2cnn import artefact
from bow2cnn.collection.benchmark import read_benchmark, read_benchmark_rows
from bow2cnn.evaluation.ground_truth import GroundTruthError
from bow2cnn.evaluation.systems import benchmark_task, bow_rankings
from bow2cnn.features.extract import extract_features
from bow2cnn.index.invert import index_arrays
from bow2cnn.retrieval.benchmark import rank_benchmark
from bow2cnn.retrieval.engine import Engine, Words
from bow2cnn.retrieval.search import Ranking, expand, search, sure_first
from bow2cnn.split.contamination import find_contamination

SIZE = (400, 300)
TURN = np.array([[0.8, -0.4, 60.0], [0.4, 0.8, 10.0]])  # the similarity from the query to the photos that show the same


def frames(xy, transform=None):
    """Upright frames of radius 5 at some places, seen under a transform."""
    transform = np.eye(2, 3) if transform is None else transform
    linear = 5 * transform[:, :2].ravel()
    return np.column_stack([xy @ transform[:, :2].T + transform[:, 2], np.tile(linear, (len(xy), 1))]).astype(np.float32)


def words(word, keypoint):
    order = np.argsort(word, kind="stable")
    word = np.asarray(word, np.uint32)[order]
    return Words(word, np.zeros(len(word), np.uint64), keypoint[order], order.astype(np.int32), SIZE)


def engine_of(photos, word_count=400):
    names = ("word", "signature", "keypoint", "feature")
    forward = {name: np.concatenate([getattr(photo, name) for photo in photos]) for name in names}
    forward["offset"] = artefact.offsets([len(photo) for photo in photos])
    return Engine(index_arrays(forward, np.tile(SIZE, (len(photos), 1)), word_count), 24)


@pytest.fixture
def chain():
    """A query of words 0 to 49, and photos: 0 noise; 1 a decoy with words 0 to 39 at random places; 2 the query's words 0 to 24 and
    words 100 to 139 of the same object, under a turn; 3 only words 100 to 139; 4 noise and 100 to 139 beyond the query's frame."""
    rng = np.random.default_rng(0)
    corner = np.array([[5, 5], [390, 290]])
    query_xy = np.concatenate([corner, rng.random((48, 2)) * (380, 280) + 5])
    more_xy = rng.random((40, 2)) * (300, 200) + 40
    noise = [(rng.integers(200, 400, 60), frames(rng.random((60, 2)) * SIZE)) for _ in range(3)]
    both = np.concatenate([np.arange(25), np.arange(100, 140)])
    photos = [
        words(*noise[0]),
        words(np.arange(40), frames(rng.random((40, 2)) * SIZE)),
        words(both, frames(np.concatenate([query_xy[:25], more_xy]), TURN)),
        words(np.arange(100, 140), frames(more_xy)),
        words(*noise[1]),
    ]
    return engine_of(photos), words(np.arange(50), frames(query_xy)), more_xy


def test_geometry_puts_the_true_photo_before_a_decoy(chain):
    engine, query, _ = chain
    found = search(engine, query, shortlist=10, min_inliers=8, expansion=5, expansion_inliers=15)
    assert found["plain"].photo.tolist() == [1, 2] and (found["plain"].inliers == 0).all()
    assert found["sv"].photo.tolist() == [2, 1]
    assert found["sv"].inliers[0] == 25 and found["sv"].inliers[1] < 8
    assert found["sv"].score.tolist() == found["plain"].score.tolist()[::-1]


def test_inliers_raise_the_score_by_words(chain):
    """The order is by score (1 + inliers / 8); inliers below the minimum count for nothing."""
    engine, query, _ = chain
    plain = search(engine, query, 10, 8, 5, 15)["plain"]
    decoy, true = plain.score.tolist()
    assert true < decoy < true * (1 + 25 / 8)
    assert search(engine, query, 10, 26, 5, 26)["sv"].photo.tolist() == [1, 2]


def test_expansion_finds_what_the_query_alone_misses(chain):
    engine, query, _ = chain
    found = search(engine, query, shortlist=10, min_inliers=8, expansion=5, expansion_inliers=15)
    assert 3 not in found["plain"].photo and 3 not in found["sv"].photo
    assert found["sv+qe"].photo[:2].tolist() == [2, 3] and len(np.unique(found["sv+qe"].photo)) == len(found["sv+qe"].photo)
    assert found["sv+qe"].inliers[0] == 25 and found["sv+qe"].inliers[1] >= 30


@pytest.mark.parametrize(("sure", "first"), [(15, 2), (26, 3)])
def test_what_the_query_is_sure_of_stays_first(sure, first):
    verified = Ranking(np.array([2, 1]), np.array([0.5, 0.6], np.float32), np.array([25, 3], np.int32))
    again = Ranking(np.array([3, 1, 2]), np.array([0.9, 0.8, 0.7], np.float32), np.array([65, 9, 8], np.int32))
    joined = sure_first(verified, again, sure)
    assert joined.photo[0] == first and sorted(joined.photo.tolist()) == [1, 2, 3]
    assert dict(zip(joined.photo.tolist(), joined.inliers.tolist(), strict=True)) == {3: 65, 1: 9, 2: 25 if first == 2 else 8}


def test_expansion_projects_back_what_falls_into_the_query(chain):
    engine, query, more_xy = chain
    ranking = search(engine, query, 10, 8, 5, 15)["sv"]
    transform, _ = engine.verify(query, 2)
    np.testing.assert_allclose(transform, TURN, atol=1e-3)
    expanded = expand(engine, query, ranking, {2: transform}, 5, 15)
    assert (np.diff(expanded.word.astype(int)) >= 0).all()
    new = expanded.word >= 100
    assert sorted(expanded.word[new].tolist()) == list(range(100, 140))
    assert 73 <= (~new).sum() <= 75, "the query's own and the result's, but perhaps the two that span its frame"
    np.testing.assert_allclose(expanded.keypoint[new], frames(more_xy), atol=0.05)


def test_expansion_leaves_out_what_lies_outside_the_query(chain):
    engine, query, _ = chain
    part = query.select(query.keypoint[:, 0] < 250)
    low, high = part.keypoint[:, :2].min(0), part.keypoint[:, :2].max(0)
    ranking = search(engine, part, 10, 8, 5, 8)["sv"]
    expanded = expand(engine, part, ranking, {2: engine.verify(part, 2)[0]}, 1, 8)
    assert len(part) < len(expanded) < len(part) + 65
    assert ((expanded.keypoint[:, :2] >= low - 1e-3) & (expanded.keypoint[:, :2] <= high + 1e-3)).all()


def test_nothing_verified_means_nothing_expanded(chain):
    engine, query, _ = chain
    found = search(engine, query, shortlist=10, min_inliers=60, expansion=5, expansion_inliers=60)
    assert found["sv+qe"] is found["sv"]
    assert found["sv"].photo.tolist() == found["plain"].photo.tolist()


@pytest.mark.parametrize(("inliers", "expands"), [(25, True), (26, False)])
def test_expansion_asks_for_its_own_number_of_inliers(chain, inliers, expands):
    engine, query, _ = chain
    found = search(engine, query, 10, 8, expansion=5, expansion_inliers=inliers)
    assert (3 in found["sv+qe"].photo) == expands


def test_only_the_shortlist_is_verified(chain):
    engine, query, _ = chain
    found = search(engine, query, shortlist=1, min_inliers=8, expansion=5, expansion_inliers=15)
    assert found["sv"].photo.tolist() == [1, 2] and found["sv"].inliers[1] == 0


def test_a_query_without_words_finds_nothing(chain):
    engine, query, _ = chain
    found = search(engine, query.select(np.zeros(0, int)), 10, 8, 5, 15)
    assert all(len(ranking.photo) == 0 for ranking in found.values())


def test_verification_in_a_batch_is_that_of_single_pairs(made):
    engine = Engine.load(made.index, made.max_hamming)
    query = engine.words(2)
    inliers, transforms = engine.verify_all(query, np.arange(len(engine)))
    for photo in range(len(engine)):
        transform, pairs = engine.verify(query, photo)
        assert len(pairs) == inliers[photo]
        np.testing.assert_array_equal(transform, transforms[photo])
    assert inliers.argmax() == 2


def test_rendered_views_find_their_landmark(made):
    """Every photo of a landmark as a query: itself first, and its landmark's photos before the others."""
    engine = Engine.load(made.index, made.max_hamming)
    precision = {"plain": [], "sv": [], "sv+qe": []}
    for photo in np.flatnonzero(made.landmark >= 0):
        found = search(engine, engine.words(photo), 20, 8, 5, 15)
        for name, ranking in found.items():
            assert ranking.photo[0] == photo or name == "sv+qe"
            others = ranking.photo[ranking.photo != photo]
            precision[name].append(np.mean(made.landmark[others[:4]] == made.landmark[photo]))
    assert np.mean(precision["sv"]) > 0.95
    assert np.mean(precision["sv"]) >= np.mean(precision["plain"])
    assert np.mean(precision["sv+qe"]) > 0.95


@pytest.fixture(scope="module")
def benchmark(made, tmp_path_factory):
    """Six rendered photos as a benchmark's database, four of landmark 0; a query of landmark 0 by its middle, one of none."""
    folder = tmp_path_factory.mktemp("benchmark")
    (folder / "photos").mkdir()
    rows = [*np.flatnonzero(made.landmark == 0)[:5], *np.flatnonzero(made.landmark == 1)[:2], *np.flatnonzero(made.landmark < 0)[:1]]
    names = []
    for number, row in enumerate(rows):
        names.append(f"{9 - number}.jpg")
        shutil.copy(made.photos["path"][row], folder / "photos" / names[-1])
    width, height = int(made.photos["width"][rows[0]]), int(made.photos["height"][rows[0]])
    truth = {
        "imlist": names[1:7],
        "qimlist": [names[0], names[7]],
        "gnd": [{"ok": [0, 1, 2, 3], "junk": [], "bbx": [width * 0.2, height * 0.1, width * 0.8, height * 0.9]}, {"ok": [5], "junk": []}],
    }
    (folder / "gnd.json").write_text(json.dumps(truth))
    read_benchmark(folder / "photos", folder / "gnd.json", folder / "collection.h5", [], 32, 10**7)
    extract_features(folder / "collection.h5", folder / "features.h5", workers=2, max_features=1500)
    return SimpleNamespace(folder=folder, truth=truth, rows=dict(zip(names, rows, strict=True)))


def test_a_benchmarks_rows_are_its_sorted_names(benchmark):
    found = artefact.read(benchmark.folder / "collection.h5", "collection")
    assert found["name"] == sorted({*benchmark.truth["imlist"], *benchmark.truth["qimlist"]})
    assert (found["shard"] == 0).all()


def test_a_benchmark_with_an_unusable_photo_is_refused(benchmark, tmp_path):
    for name, text in (("bad.jpg", b"text"), ("good.jpg", None)):
        (tmp_path / name).write_bytes(text or (benchmark.folder / "photos/9.jpg").read_bytes())
    for imlist, error in ((["good.jpg", "bad.jpg"], artefact.ArtefactError), (["gone.jpg"], GroundTruthError)):
        truth = {"imlist": imlist, "qimlist": ["good.jpg"], "gnd": [{"ok": [0], "junk": []}]}
        (tmp_path / "gnd.json").write_text(json.dumps(truth))
        with pytest.raises(error, match=imlist[-1]):
            read_benchmark(tmp_path, tmp_path / "gnd.json", tmp_path / "c.h5", [], 32, 10**7)


def test_distractors_make_the_database_larger_and_nothing_else(made, benchmark, tmp_path):
    """A folder of photos of other places, one that the benchmark has itself, and a file that is no photo."""
    others = [made.photos["path"][row] for row in np.flatnonzero(made.landmark == 1)[2:5]]
    for path in (*others, benchmark.folder / "photos/9.jpg"):
        (tmp_path / "more/deep").mkdir(parents=True, exist_ok=True)
        shutil.copy(path, tmp_path / "more/deep" / Path(path).name)
    (tmp_path / "more/text.jpg").write_text("text")
    folder, collection, features = benchmark.folder, tmp_path / "collection.h5", tmp_path / "features.h5"
    read_benchmark(folder / "photos", folder / "gnd.json", collection, [str(tmp_path / "more")], 32, 10**7)
    rows = read_benchmark_rows(collection)
    assert list(rows.named) == sorted({*benchmark.truth["imlist"], *benchmark.truth["qimlist"]})
    paths = artefact.read(collection, "collection", ["path"])["path"]
    assert {Path(paths[row]).name for row in rows.distractors} == {Path(path).name for path in others} and len(rows.distractors) == 3
    extract_features(collection, features, workers=2, max_features=1500)
    arguments = (made.vocabulary, collection, features, folder / "gnd.json", tmp_path / "ranking.h5", 3, 10, 24, 12, 5, 15)
    rank_benchmark(*arguments, min_photos=8, seed=0, threads=1)
    task = benchmark_task("mine", folder / "gnd.json", folder / "photos", collection)
    assert len(task.database) == 6 + 3 and task.database[6:].tolist() == rows.distractors.tolist()
    rankings = bow_rankings(task, tmp_path / "ranking.h5")["sv"]
    assert all(sorted(ranking) == sorted(task.database) for ranking in rankings)
    assert set(rankings[0][:4].tolist()) == {rows.named[name] for name in benchmark.truth["imlist"][:4]}
    find_contamination(made.index, made.vocabulary, collection, features, tmp_path / "c.h5", 50, 24, 20, threads=1)
    assert artefact.read(tmp_path / "c.h5", "ranking", ["query"])["query"].tolist() == list(range(8)), "distractors are no evidence"


def test_a_benchmark_is_ranked_within_its_own_database(made, benchmark, tmp_path):
    arguments = (made.vocabulary, benchmark.folder / "collection.h5", benchmark.folder / "features.h5", benchmark.folder / "gnd.json")
    for out in ("a", "b"):
        rank_benchmark(*arguments, tmp_path / out, 3, 10, 24, 12, 5, 15, min_photos=8, seed=0, threads=1)
    found = artefact.read(tmp_path / "a", "ranking")
    names = artefact.read(benchmark.folder / "collection.h5", "collection", ["name"])["name"]
    assert [names[row] for row in found["query"]] == benchmark.truth["qimlist"]
    for name in ("plain", "sv", "sv+qe"):
        first, last = found[f"{name}/offset"][:2]
        best = [names[row] for row in found[f"{name}/photo"][first:last]]
        assert set(best) <= set(benchmark.truth["imlist"]) and len(set(best)) == len(best)
        assert set(best[:4]) == set(benchmark.truth["imlist"][:4]) or name == "plain"
    assert found["sv/inliers"][found["sv/offset"][1] :].max(initial=0) < 12, "the second query shows nothing of the database"
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_contamination_is_what_the_benchmark_shows_too(made, benchmark, tmp_path):
    """Photos of the heap that are the benchmark's own or show its landmarks, with the inliers that say so."""
    folder = benchmark.folder
    find_contamination(
        made.index, made.vocabulary, folder / "collection.h5", folder / "features.h5", tmp_path / "c.h5", 50, 24, 20, threads=1
    )
    found = artefact.read(tmp_path / "c.h5", "ranking")
    names = artefact.read(folder / "collection.h5", "collection", ["name"])["name"]
    assert found["query"].tolist() == list(range(8)) and found["verified/inliers"].min() >= 20
    for query, (start, stop) in enumerate(zip(found["verified/offset"][:-1], found["verified/offset"][1:], strict=True)):
        same = benchmark.rows[names[query]]
        photos = found["verified/photo"][start:stop]
        assert same in photos
        assert (made.landmark[photos] == made.landmark[same]).all()
