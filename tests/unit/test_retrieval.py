"""Retrieval: geometry puts the true photo first, expansion finds photos that the query alone misses, a benchmark is ranked correctly."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from bow2cnn.benchmarks.ground_truth import GroundTruthError
from bow2cnn.benchmarks.read import named_rows, read_benchmark
from bow2cnn.benchmarks.truth import read_truth
from bow2cnn.core import artefact
from bow2cnn.evaluation.systems import bow_rankings
from bow2cnn.features.extract import extract_features
from bow2cnn.index.engine import Engine, QuantisedFeatures
from bow2cnn.index.invert import index_arrays
from bow2cnn.retrieval.rank_benchmark import rank_benchmark
from bow2cnn.retrieval.verified_search import Ranking, confirmed_first, expand, join, search
from bow2cnn.split.contamination import find_contamination

SIZE = (400, 300)
TURN = np.array([[0.8, -0.4, 60.0], [0.4, 0.8, 10.0]])  # the similarity from the query to the photos that show the same


def frames(xy, transform=None):
    """Upright frames of radius 5 at some places, mapped by a transform."""
    transform = np.eye(2, 3) if transform is None else transform
    linear = 5 * transform[:, :2].ravel()
    return np.column_stack([xy @ transform[:, :2].T + transform[:, 2], np.tile(linear, (len(xy), 1))]).astype(np.float32)


def words(word, keypoint):
    order = np.argsort(word, kind="stable")
    word = np.asarray(word, np.uint32)[order]
    return QuantisedFeatures(word, np.zeros(len(word), np.uint64), keypoint[order], order.astype(np.int32), SIZE)


def engine_of(photos, word_count=400):
    names = ("word", "signature", "keypoint", "feature")
    forward = {name: np.concatenate([getattr(photo, name) for photo in photos]) for name in names}
    forward["offset"] = artefact.offsets([len(photo) for photo in photos])
    return Engine(index_arrays(forward, np.tile(SIZE, (len(photos), 1)), word_count), 24)


BRICK = 0


def wall(bricks):
    """A photo with a number of equal features of the word `BRICK`, and one feature of each word from 1 to 5."""
    return words([BRICK] * bricks + [1, 2, 3, 4, 5], np.zeros((bricks + 5, 6), np.float32))


@pytest.mark.parametrize(("asked", "other"), [(9, 1), (1, 9), (3, 2), (40, 20)])
def test_a_twin_scores_highest_however_often_its_features_repeat(asked, other):
    """A former score of a photo with one brick instead of nine was 1.5, that of an identical photo 1."""
    engine = engine_of([wall(other), wall(asked), *(words([word], np.zeros((1, 6), np.float32)) for word in range(10, 16))])
    scores = engine.score(wall(asked))
    assert scores[1] == pytest.approx(1, abs=1e-5)
    one, idf = (5 * engine.idf[1] ** 2, engine.idf[BRICK] ** 2)
    assert scores[0] == pytest.approx((one + idf * np.sqrt(min(asked, other) / max(asked, other))) / (one + idf), rel=1e-5)
    assert engine.score(wall(other))[1] == pytest.approx(scores[0], rel=1e-5)
    assert engine.rank(wall(asked), 10)[0].tolist() == [1, 0]


def repetitive(rng, features, word_count=12):
    """A photo with few words, and signatures that differ in few bits, in any order within a word."""
    word = np.sort(rng.integers(0, word_count, features)).astype(np.uint32)
    bits = rng.random((features, 64)) < rng.choice([0, 0.05, 0.2])
    signature = np.packbits(bits, axis=1, bitorder="little").view(np.uint64).ravel()
    return QuantisedFeatures(word, signature, np.zeros((features, 6), np.float32), np.arange(features, dtype=np.int32), SIZE)


def softened(rng, photo, word_count=12):
    """The photo as a query with two more words for each of its features, whose signatures differ in few bits from the others."""
    more = 1 + rng.integers(0, word_count // 2 - 1, (2, len(photo))) + [[0], [word_count // 2]]
    word = np.concatenate([photo.word, *((photo.word + step) % word_count for step in more)]).astype(np.uint32)
    signature = np.concatenate([photo.signature, *(photo.signature[rng.permutation(len(photo))] for _ in range(2))])
    order = np.argsort(word, kind="stable")
    nearest, feature = np.arange(len(word)) < len(photo), np.tile(photo.feature, 3)
    return QuantisedFeatures(word[order], signature[order], np.zeros((len(word), 6), np.float32), feature[order], SIZE, nearest[order])


def hardened(query):
    """A photo with a feature for every row of a soft query."""
    return QuantisedFeatures(query.word, query.signature, query.keypoint, np.arange(len(query), dtype=np.int32), SIZE)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("soft", [False, True])
def test_no_photo_outscores_the_querys_twin(seed, soft):
    """Among them are photos that repeat features of the query, have few of them, or have all of its soft words."""
    rng = np.random.default_rng([seed, 7])
    photo = repetitive(rng, int(rng.integers(1, 40)))
    query = softened(rng, photo) if soft else photo
    shuffled = rng.permutation(len(photo))
    twin = photo.select(shuffled[np.argsort(photo.word[shuffled], kind="stable")])
    once = photo.select(np.unique(photo.word, return_index=True)[1])
    thrice = photo.select(np.repeat(np.arange(len(photo)), 3))
    others = [repetitive(rng, int(rng.integers(1, 60))).select(slice(None)) for _ in range(20)]
    empty = [photo.select(np.zeros(0, int))] * 10  # so that no word is in every photo
    engine = engine_of([once, thrice, hardened(query), twin, hardened(softened(rng, photo)), *others, *empty], 12)
    scores = engine.score(query)
    assert scores[3] == pytest.approx(1, abs=1e-5)
    assert scores.max() <= scores[3] + 1e-5
    expanded = engine.score(query, others[0])
    assert expanded.max() <= 1 + 1e-5


def test_scores_of_photos_are_symmetric():
    rng = np.random.default_rng(0)
    photos = [repetitive(rng, int(rng.integers(1, 60))) for _ in range(30)]
    engine = engine_of(photos + [photos[0].select(np.zeros(0, int))] * 10, 12)
    scores = np.array([engine.score(photo)[:30] for photo in photos])
    assert (scores[np.triu_indices(30, 1)] > 0).any()
    np.testing.assert_allclose(scores, scores.T, rtol=1e-4, atol=1e-6)


def test_a_feature_counts_once_for_a_photo_whatever_its_words_are():
    """A query of one feature with two words, and photos with features of one of them, of the other, and of both."""
    frame = np.zeros((1, 6), np.float32)
    both = words([3, 4], np.repeat(frame, 2, 0))
    engine = engine_of([words([3], frame), words([4], frame), both, words([5], frame)])
    query = QuantisedFeatures(both.word, both.signature, both.keypoint, np.zeros(2, np.int32), SIZE, np.array([False, True]))
    idf = np.log(2)
    np.testing.assert_allclose(engine.idf[[3, 4]], idf, rtol=1e-6)
    np.testing.assert_allclose(engine.score(query), [1, 1, 1 / np.sqrt(2), 0], rtol=1e-5)


def test_the_score_of_an_expanded_query_adds_up_the_votes():
    rng = np.random.default_rng(3)
    photos = [repetitive(rng, 30) for _ in range(10)]
    engine = engine_of(photos + [photos[0].select(np.zeros(0, int))] * 10, 12)
    norms = engine.norm[:2].astype(float)
    expected = (norms[0] * engine.score(photos[0]) + norms[1] * engine.score(photos[1])) / norms.sum()
    np.testing.assert_allclose(engine.score(photos[0], photos[1]), expected, rtol=1e-5)
    assert engine.rank(photos[0], 1, [photos[1]])[1] == pytest.approx(expected.max(), rel=1e-5)


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
    found = search(engine, query, shortlist=10, min_inliers=8, max_expansion=5, expansion_inliers=15)
    assert found["plain"].photo.tolist() == [1, 2] and (found["plain"].inliers == 0).all()
    assert found["sv"].photo.tolist() == [2, 1]
    assert found["sv"].inliers[0] == 25 and found["sv"].inliers[1] < 8
    decoy, true = found["plain"].score
    np.testing.assert_allclose(found["sv"].score, [true * (1 + 25 / 8), decoy], rtol=1e-6)


def test_inliers_raise_the_score(chain):
    """Photos are ordered by score (1 + inliers / 8); numbers of inliers below the minimum do not count."""
    engine, query, _ = chain
    plain = search(engine, query, 10, 8, 5, 15)["plain"]
    decoy, true = plain.score.tolist()
    assert true < decoy < true * (1 + 25 / 8)
    assert search(engine, query, 10, 26, 5, 26)["sv"].photo.tolist() == [1, 2]


def test_expansion_finds_what_the_query_alone_misses(chain):
    engine, query, _ = chain
    found = search(engine, query, shortlist=10, min_inliers=8, max_expansion=5, expansion_inliers=15)
    assert 3 not in found["plain"].photo and 3 not in found["sv"].photo
    assert found["sv+qe"].photo[:2].tolist() == [2, 3] and len(np.unique(found["sv+qe"].photo)) == len(found["sv+qe"].photo)
    assert found["sv+qe"].inliers[0] == 25 and found["sv+qe"].inliers[1] >= 30


@pytest.mark.parametrize(("sure", "first"), [(15, 2), (26, 3)])
def test_photos_that_the_query_confirms_stay_first(sure, first):
    verified = Ranking(np.array([2, 1]), np.array([0.5, 0.6], np.float32), np.array([25, 3], np.int32))
    again = Ranking(np.array([3, 1, 2]), np.array([0.9, 0.8, 0.7], np.float32), np.array([65, 9, 8], np.int32))
    joined = confirmed_first(verified, again, sure)
    assert joined.photo[0] == first and sorted(joined.photo.tolist()) == [1, 2, 3]
    assert dict(zip(joined.photo.tolist(), joined.inliers.tolist(), strict=True)) == {3: 65, 1: 9, 2: 25 if first == 2 else 8}
    np.testing.assert_allclose(joined.score, [0.5, 0.5, 0.5 * 8 / 9] if first == 2 else [0.9, 0.8, 0.7], rtol=1e-6)


def test_the_score_of_a_ranking_orders_it(chain):
    engine, query, _ = chain
    found = search(engine, query, shortlist=10, min_inliers=8, max_expansion=5, expansion_inliers=15)
    assert len(found["sv+qe"].photo) == 3 and found["sv+qe"].inliers[1] > found["sv+qe"].inliers[0], "its scores are of two queries"
    for ranking in (*found.values(), search(engine, query, 1, 8, 5, 15)["sv"]):
        assert (np.diff(ranking.score) <= 0).all() and ranking.score.dtype == np.float32


def test_scores_of_an_expansion_below_those_of_the_query_are_kept():
    verified = Ranking(np.array([2, 1]), np.array([5, 0.1], np.float32), np.array([25, 3], np.int32))
    again = Ranking(np.array([2, 3, 1]), np.array([9, 4, 1], np.float32), np.array([70, 65, 3], np.int32))
    assert confirmed_first(verified, again, 15).score.tolist() == [5, 4, 1]


def test_expansion_projects_back_what_falls_into_the_query(chain):
    engine, query, more_xy = chain
    ranking = search(engine, query, 10, 8, 5, 15)["sv"]
    transform, _ = engine.verify(query, 2)
    np.testing.assert_allclose(transform, TURN, atol=1e-3)
    expanded = join(expand(engine, query, ranking, {2: transform}, 5, 15))
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
    expanded = join(expand(engine, part, ranking, {2: engine.verify(part, 2)[0]}, 1, 8))
    assert len(part) < len(expanded) < len(part) + 65
    assert ((expanded.keypoint[:, :2] >= low - 1e-3) & (expanded.keypoint[:, :2] <= high + 1e-3)).all()


def test_nothing_verified_means_nothing_expanded(chain):
    engine, query, _ = chain
    found = search(engine, query, shortlist=10, min_inliers=60, max_expansion=5, expansion_inliers=60)
    assert found["sv+qe"] is found["sv"]
    assert found["sv"].photo.tolist() == found["plain"].photo.tolist()


@pytest.mark.parametrize(("inliers", "expands"), [(25, True), (26, False)])
def test_expansion_asks_for_its_own_number_of_inliers(chain, inliers, expands):
    engine, query, _ = chain
    found = search(engine, query, 10, 8, max_expansion=5, expansion_inliers=inliers)
    assert (3 in found["sv+qe"].photo) == expands


def test_only_the_shortlist_is_verified(chain):
    engine, query, _ = chain
    found = search(engine, query, shortlist=1, min_inliers=8, max_expansion=5, expansion_inliers=15)
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
    """With every photo of a landmark as a query, it is first itself, and the photos of its landmark are before the others."""
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
    """Six rendered photos as the database of a benchmark, four of landmark 0; a query with the middle of landmark 0, one without any."""
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
    read_benchmark(folder / "photos", folder / "gnd.json", folder / "collection.h5", folder / "truth.h5", [], 32, 10**7)
    extract_features(folder / "collection.h5", folder / "features.h5", workers=2, max_features=1500)
    return SimpleNamespace(folder=folder, truth=truth, rows=dict(zip(names, rows, strict=True)))


def test_a_benchmarks_rows_are_its_sorted_names(benchmark):
    found = artefact.read(benchmark.folder / "collection.h5", "collection")
    assert found["name"] == sorted({*benchmark.truth["imlist"], *benchmark.truth["qimlist"]})
    assert (found["shard"] == 0).all()


def test_a_benchmark_with_an_unusable_photo_is_refused(benchmark, tmp_path):
    for name, text in (("bad.jpg", b"text"), ("good.jpg", None)):
        (tmp_path / name).write_bytes(text or (benchmark.folder / "photos/9.jpg").read_bytes())
    for imlist in (["good.jpg", "bad.jpg"], ["gone.jpg"]):
        truth = {"imlist": imlist, "qimlist": ["good.jpg"], "gnd": [{"ok": [0], "junk": []}]}
        (tmp_path / "gnd.json").write_text(json.dumps(truth))
        with pytest.raises(GroundTruthError, match=imlist[-1]):
            read_benchmark(tmp_path, tmp_path / "gnd.json", tmp_path / "c.h5", tmp_path / "t.h5", [], 32, 10**7)


def test_a_benchmark_with_a_region_in_shares_of_its_photo_is_refused(benchmark, tmp_path):
    truth = {**benchmark.truth, "gnd": [dict(entry) for entry in benchmark.truth["gnd"]]}
    truth["gnd"][0]["bbx"] = [0.1, 0.1, 0.9, 0.9]
    (tmp_path / "gnd.json").write_text(json.dumps(truth))
    said = rf"gnd\.json: gnd\[0\] \({truth['qimlist'][0]}\): bbx 0\.1 0\.1 0\.9 0\.9 is too small"
    with pytest.raises(GroundTruthError, match=said):
        read_benchmark(benchmark.folder / "photos", tmp_path / "gnd.json", tmp_path / "c.h5", tmp_path / "t.h5", [], 32, 10**7)


def test_distractors_make_the_database_larger_and_nothing_else(made, benchmark, tmp_path):
    """A folder with photos of other places, one photo of the benchmark, and a file that is not a photo."""
    others = [made.photos["path"][row] for row in np.flatnonzero(made.landmark == 1)[2:5]]
    for path in (*others, benchmark.folder / "photos/9.jpg"):
        (tmp_path / "more/deep").mkdir(parents=True, exist_ok=True)
        shutil.copy(path, tmp_path / "more/deep" / Path(path).name)
    (tmp_path / "more/text.jpg").write_text("text")
    folder, collection, features = benchmark.folder, tmp_path / "collection.h5", tmp_path / "features.h5"
    truth = tmp_path / "truth.h5"
    read_benchmark(folder / "photos", folder / "gnd.json", collection, truth, [str(tmp_path / "more")], 32, 10**7)
    photos, named = artefact.read(collection, "collection", ["path", "name"]), named_rows(collection)
    row_of = {photos["name"][row]: row for row in named}
    assert list(row_of) == sorted({*benchmark.truth["imlist"], *benchmark.truth["qimlist"]})
    distractors = np.arange(len(named), len(photos["name"]))
    assert {Path(photos["path"][row]).name for row in distractors} == {Path(path).name for path in others} and len(distractors) == 3
    extract_features(collection, features, workers=2, max_features=1500)
    arguments = (made.vocabulary, collection, features, truth, tmp_path / "ranking.h5", 3, 10, 24, 12, 5, 15)
    rank_benchmark(*arguments, min_photos=8, seed=0, threads=1)
    known = read_truth(truth)
    assert len(known.database) == 6 + 3 and known.database[6:].tolist() == distractors.tolist()
    rankings = bow_rankings(known, tmp_path / "ranking.h5", "mine")["sv"]
    assert all(sorted(ranking) == sorted(known.database) for ranking in rankings)
    assert set(rankings[0][:4].tolist()) == {row_of[name] for name in benchmark.truth["imlist"][:4]}
    find_contamination(made.index, made.vocabulary, collection, features, tmp_path / "c.h5", 50, 24, 20, threads=1)
    assert artefact.read(tmp_path / "c.h5", "ranking", ["query"])["query"].tolist() == list(range(8)), "distractors are no evidence"


def test_a_benchmark_is_ranked_within_its_own_database(made, benchmark, tmp_path):
    arguments = (made.vocabulary, benchmark.folder / "collection.h5", benchmark.folder / "features.h5", benchmark.folder / "truth.h5")
    for out in ("a", "b"):
        rank_benchmark(*arguments, tmp_path / out, 3, 10, 24, 0, 5, 15, min_photos=8, seed=0, threads=1)
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
    """Photos of the collection that are in the benchmark or show its landmarks, and their numbers of inliers."""
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
