"""Pairs: evidence against numbers worked out by hand, limits, background photos, and what is refused."""

import importlib
import inspect
import re
from pathlib import Path

import numpy as np
import pytest

from bow2cnn.benchmarks.truth import ALL, read_truth
from bow2cnn.config.model import Config
from bow2cnn.core import artefact
from bow2cnn.core.empty_stage import EmptyStageError
from bow2cnn.index.invert import index_arrays
from bow2cnn.pairs.background import add_background, find_uncertain_pairs
from bow2cnn.pairs.covisibility import Covisibility
from bow2cnn.pairs.evidence import Evidence
from bow2cnn.pairs.exclusions import NegativeRule, read_negatives, write_negatives
from bow2cnn.pairs.found import write_pairs
from bow2cnn.pairs.from_models import assign_places, mine_pairs
from bow2cnn.pairs.from_words import BEST, pair_by_words
from bow2cnn.pairs.positives import matched, read_positives, write_positives
from bow2cnn.pairs.sources import SOURCES
from bow2cnn.split.sides import DROPPED, TRAIN, VALIDATION

ROOT = Path(__file__).parents[2]

# Model 0: cameras on a line at x = 0, 1, 2, 4.5 (photos 3, 1, 0, 2); the points that each sees, and its focal length in pixels.
CENTRES = [0.0, 1.0, 2.0, 4.5]
PHOTOS = [3, 1, 0, 2]
SEEN = [range(12), range(6), range(4, 16), range(14, 20)]
FOCAL = [400.0, 200.0, 800.0, 400.0]
DEPTH = 7.0  # of all points
ONE_PIXEL = np.ones((20, 2), int)  # sizes of photos that see nothing by geometry alone


def view(centre, seed):
    """Rotation and translation of a camera at (centre, 0, 0) that looks along z, turned about that anyhow."""
    angle = np.random.default_rng(seed).uniform(0, 2 * np.pi)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    return turn, -turn @ np.array([centre, 0.0, 0.0])


def models_arrays(models, photos):
    """`models` arrays of dicts with `photos`, `centres`, `seen`, and `focal` where it matters."""
    poses = [view(centre, i) for i, centre in enumerate(c for model in models for c in model["centres"])]
    seen, first, starts, belongs = [], 0, [0], np.full(photos, -1, np.int32)
    for number, model in enumerate(models):
        seen += [np.array(points, np.int64) + first for points in model["seen"]]
        first += 1 + max(max(points, default=0) for points in model["seen"])
        starts.append(first)
        belongs[model["photos"]] = number
    return {
        "model": belongs,
        "photo_offset": artefact.offsets([len(model["photos"]) for model in models]),
        "photo": np.array([photo for model in models for photo in model["photos"]], np.int32),
        "focal": np.array([focal for model in models for focal in model.get("focal", [400.0] * len(model["photos"]))]),
        "k1": np.zeros(len(poses)),
        "point_offset": np.array(starts),
        "point": np.column_stack([np.random.default_rng(0).random((first, 2)), np.full(first, DEPTH)]).astype(np.float32),
        "rotation": np.array([rotation for rotation, _ in poses]),
        "translation": np.array([translation for _, translation in poses]),
        "observation_offset": artefact.offsets([len(points) for points in seen]),
        "observation/point": np.concatenate(seen),
    }


@pytest.fixture
def evidence():
    built = models_arrays([{"photos": PHOTOS, "centres": CENTRES, "seen": SEEN, "focal": FOCAL}], 4)
    return Evidence(built, {"pair": np.array([[1, 3], [0, 3]]), "inliers": np.array([31, 42])}, ONE_PIXEL)


def table(pool):
    return list(zip(*(pool[name].tolist() for name in ("photo", "shared", "overlap", "scale", "distance", "inliers")), strict=True))


def test_evidence_is_what_the_hand_says(evidence):
    """View 0 (photo 3) shares points 0-5 with view 1, 4-11 with view 2, none with view 3; the cameras span 4.5."""
    found = table(evidence.pool(0, [0, 1, 2, 3], min_shared=1, nearest=9))
    expected = [(1, 6, 6 / 12, 2.0, 1 / 4.5, 31), (0, 8, 8 / 12, 2.0, 2 / 4.5, 42)]
    assert found == [pytest.approx(row) for row in expected]
    found = table(evidence.pool(2, [0, 1, 2, 3], min_shared=1, nearest=9))
    expected = [(1, 2, 2 / 12, 4.0, 1 / 4.5, 0), (3, 8, 8 / 12, 2.0, 2 / 4.5, 42), (2, 2, 2 / 12, 2.0, 2.5 / 4.5, 0)]
    assert found == [pytest.approx(row) for row in expected]


def test_common_points_are_counted_once(evidence):
    generator = np.random.default_rng(0)
    seen = [generator.integers(0, 300, generator.integers(0, 200)) for _ in range(30)]
    found = Covisibility(artefact.offsets(list(map(len, seen))), np.concatenate(seen))
    for view, own in enumerate(seen):
        assert found.points(view).tolist() == np.unique(own).tolist()
        assert found.shared(view).tolist() == [len(np.intersect1d(own, other)) for other in seen]
    assert Covisibility(np.zeros(3, int), np.zeros(0, int)).shared(1).tolist() == [0, 0]


def test_the_nearest_cameras_come_first_and_only_so_many_are_looked_at(evidence):
    assert evidence.pool(0, [0, 1, 2, 3], 1, nearest=1)["photo"].tolist() == [1]
    assert evidence.pool(0, [0, 1, 2, 3], 7, nearest=1)["photo"].tolist() == []
    assert evidence.pool(0, [0, 1, 2, 3], 7, nearest=2)["photo"].tolist() == [0]
    assert evidence.pool(3, [0, 1, 2, 3], 1, nearest=9)["photo"].tolist() == [0]


def test_only_the_listed_views_count(evidence):
    found = table(evidence.pool(0, [0, 2], 1, nearest=9))
    assert found == [pytest.approx((0, 8, 8 / 12, 2.0, 1.0, 42))]
    assert table(evidence.pool(0, [0], 1, nearest=9)) == []


def test_sharing_names_the_photos_with_enough_common_points(evidence):
    assert evidence.sharing(0, [0, 1, 2, 3], 6).tolist() == [0, 1]
    assert evidence.sharing(0, [0, 1, 2, 3], 7).tolist() == [0]
    assert evidence.sharing(0, [0, 1, 2, 3], 9).tolist() == []


def test_a_photo_from_nearer_shows_things_larger():
    """Three times as near, by one lens."""
    built = models_arrays([{"photos": [0, 1], "centres": [0, 1], "seen": [range(9), range(9)]}], 2)
    built["translation"][1] += (0, 0, -DEPTH * 2 / 3)
    assert Evidence(built, None, ONE_PIXEL).pool(0, [0, 1], 1, 9)["scale"] == pytest.approx([3])
    assert Evidence(built, None, ONE_PIXEL).pool(1, [0, 1], 1, 9)["scale"] == pytest.approx([3])


def test_a_point_seen_twice_by_one_photo_counts_once():
    built = models_arrays([{"photos": [0, 1], "centres": [0, 1], "seen": [[0, 1, 1, 2], [1, 2, 2, 3]]}], 2)
    found = Evidence(built, None, ONE_PIXEL).pool(0, [0, 1], 1, 9)
    assert found["shared"].tolist() == [2] and found["overlap"][0] == pytest.approx(2 / 3)


def test_photos_have_the_place_of_their_model_and_dropped_ones_are_not_used():
    model = np.array([0, 1, 2, -1, 1, 3])
    sides = {"place": np.array([0, 1, 0, 2]), "side": np.array([TRAIN, DROPPED, TRAIN, VALIDATION], np.int8)}
    place, side = assign_places(model, sides)
    assert place.tolist() == [0, -1, 0, -1, -1, 2]
    assert side.tolist() == [TRAIN, 0, TRAIN, 0, 0, VALIDATION]


def test_background_photos_get_places_of_their_own_and_a_drawn_side():
    place, side = np.full(1000, -1, np.int32), np.zeros(1000, np.int8)
    place[:3], side[:3] = (0, 4, 4), TRAIN
    add_background(place, side, np.arange(100, 900), 0.3, seed=0)
    assert place[:3].tolist() == [0, 4, 4] and place[100:900].tolist() == list(range(5, 805))
    assert 0.24 < (side[100:900] == VALIDATION).mean() < 0.36 and set(side[100:900]) == {TRAIN, VALIDATION}
    assert (place[900:] == -1).all() and (side[900:] == 0).all()


def word_index(path, photos):
    """An index of photos, which are (words, offset of their places)."""
    rng = np.random.default_rng(0)
    place = rng.random((400, 2)) * 300
    words = [np.array(sorted(own), int) for own, _ in photos]
    keypoint = [np.tile([0.0, 0, 5, 0, 0, 5], (len(own), 1)) for own in words]
    for own, frames, (_, shift) in zip(words, keypoint, photos, strict=True):
        frames[:, :2] = place[own] + shift
    forward = {
        "offset": artefact.offsets([len(own) for own in words]),
        "word": np.concatenate(words).astype(np.uint32),
        "signature": np.zeros(sum(map(len, words)), np.uint64),
        "feature": np.concatenate([np.arange(len(own)) for own in words]).astype(np.int32),
        "keypoint": np.concatenate(keypoint).astype(np.float32),
    }
    artefact.write(path, "index", index_arrays(forward, np.full((len(photos), 2), 400), 400))
    return path


def test_uncertain_pairs(tmp_path):
    """0 and 1 share ten words at their places, 2 and 3 share three, 4 shares nothing, 5 has no words."""
    photos = [(range(30), 0), ([*range(10), *range(40, 60)], 20), (range(100, 130), 0), ([*range(100, 103), *range(140, 160)], 9)]
    index = word_index(tmp_path / "i.h5", [*photos, (range(200, 230), 0), ([], 0)])
    assert find_uncertain_pairs(index, np.arange(6), 10, 2, 24, threads=2).tolist() == [[0, 1], [1, 0], [2, 3], [3, 2]]
    assert find_uncertain_pairs(index, np.arange(6), 10, 3, 24, threads=1).tolist() == [[0, 1], [1, 0]]
    assert find_uncertain_pairs(index, np.arange(6), 10, 10, 24, threads=2).tolist() == []
    assert find_uncertain_pairs(index, np.array([4, 0]), 10, 3, 24, threads=2).tolist() == [[0, 1]]
    assert find_uncertain_pairs(index, np.zeros(0, int), 10, 3, 24, threads=1).shape == (0, 2)


OPTIONS = {
    "min_shared": 5,
    "nearest_cameras": 10,
    "max_queries": 100,
    "query_fraction": 1.0,
    "background_max_inliers": 3,
    "max_background": 100,
    "validation": 0.5,
    "shortlist": 10,
    "max_hamming": 24,
    "seed": 0,
    "threads": 1,
}


@pytest.fixture
def inputs(tmp_path):
    """Three models of photos 0-3, 4-8, 9-11 (train, train, validation); 12 to 15 outside every cluster: 12 and 13 are alike, 14
    is joined to another by a verified pair, nothing matches 15; 16 is in a cluster but in no model. Photo 4 is also seen by model 2."""
    models = [
        {"photos": PHOTOS, "centres": CENTRES, "seen": SEEN},
        {"photos": [4, 5, 6, 7, 8], "centres": [0, 1, 2.1, 3, 9], "seen": [range(20)] * 4 + [range(100, 110)]},
        {"photos": [9, 10, 11, 4], "centres": [0, 1, 2.1, 3], "seen": [range(8)] * 4},
    ]
    built = models_arrays(models, 17)
    built["model"][4] = 1
    artefact.write(tmp_path / "models.h5", "models", built)
    artefact.write(tmp_path / "collection.h5", "collection", {"width": ONE_PIXEL[:17, 0], "height": ONE_PIXEL[:17, 1]})
    graph = {"pair": np.array([[0, 3], [1, 3], [5, 6], [14, 16]], np.int32), "inliers": np.array([42, 31, 50, 25], np.int32)}
    artefact.write(tmp_path / "graph.h5", "graph", graph)
    cluster = np.array([0] * 4 + [1] * 5 + [2] * 3 + [-1] * 4 + [3], np.int32)
    artefact.write(tmp_path / "clusters.h5", "clusters", {"cluster": cluster, "cut/pair": np.array([[16, 3]], np.int32)})
    words = [(range(10 * i, 10 * i + 10), 0) for i in range(17)]
    words[13] = (range(120, 130), 30)
    word_index(tmp_path / "index.h5", words)
    return tmp_path


def mined(folder, sides=(TRAIN, TRAIN, VALIDATION), place=(0, 1, 2), contaminated=(), **changed):
    split = {"side": np.array(sides, np.int8), "place": np.array(place, np.int32), "contaminated": np.isin(np.arange(17), contaminated)}
    artefact.write(folder / "split.h5", "split", split)
    paths = {name: folder / f"{name}.h5" for name in ("models", "split", "collection", "graph", "clusters", "index")}
    return mine_pairs(**paths, **(OPTIONS | changed))


def pools(found):
    """Query -> photos of its pool."""
    return {query: pool["photo"].tolist() for query, pool in zip(found.query.tolist(), found.pools, strict=True)}


def test_every_photo_with_a_positive_is_a_query(inputs):
    found = mined(inputs)
    first, second = {3: [1, 0], 1: [3], 0: [3]}, {4: [5, 6, 7], 5: [4, 6, 7], 6: [7, 5, 4], 7: [6, 5, 4]}
    assert pools(found) == first | second | {9: [10, 11], 10: [9, 11], 11: [10, 9]}
    pool = found.pools[0]
    assert pool["shared"].tolist() == [6, 8] and pool["inliers"].tolist() == [31, 42]
    assert pool["distance"] == pytest.approx([1 / 4.5, 2 / 4.5]) and pool["overlap"] == pytest.approx([0.5, 8 / 12])


def test_a_pool_stays_within_its_place_and_side(inputs):
    found = mined(inputs)
    rule = found.negatives
    for query, photos in pools(found).items():
        assert (rule.place[photos] == rule.place[query]).all() and (rule.side[photos] == rule.side[query]).all()
        assert query not in photos


def test_validation_positives_are_all_photos_with_enough_common_points(inputs):
    found = mined(inputs, nearest_cameras=1)
    truth = found.validation
    positives = {query: right.tolist() for query, (right, _) in zip(truth.query.tolist(), truth.protocols[ALL], strict=True)}
    assert positives == {9: [10, 11], 10: [9, 11], 11: [9, 10]}
    assert truth.database.tolist() == found.negatives.rows().tolist() and set(truth.place.tolist()) == {0}
    assert all(len(photos) <= 1 for photos in pools(found).values())
    other = mined(inputs, nearest_cameras=1, sides=(VALIDATION, TRAIN, TRAIN)).validation
    positives = {query: right.tolist() for query, (right, _) in zip(other.query.tolist(), other.protocols[ALL], strict=True)}
    assert positives == {1: [3], 3: [0, 1]}, "0 has no near camera with enough points, so it is not a query"


def test_sides_and_places_of_photos_inside_and_outside_of_models(inputs):
    rule = mined(inputs).negatives
    assert rule.place[:12].tolist() == [0] * 4 + [1] * 5 + [2] * 3
    assert rule.side[:12].tolist() == [TRAIN] * 9 + [VALIDATION] * 3
    assert rule.place[[12, 13, 15]].tolist() == [3, 4, 5] and set(rule.side[[12, 13, 15]]) <= {TRAIN, VALIDATION}
    assert np.flatnonzero(rule.background).tolist() == [12, 13, 15]
    assert rule.weak.tolist() == [[12, 13], [13, 12]]
    assert (rule.place[[14, 16]] == -1).all() and (rule.side[[14, 16]] == 0).all() and not rule.used[[14, 16]].any()


def test_cut_pairs_are_handed_on_as_doubt(inputs):
    """Those of a photo without a place too: its cluster has places."""
    assert mined(inputs).negatives.doubt.tolist() == [[16, 3]]


def test_doubt_joins_places_and_clusters_but_is_not_passed_on():
    """Clusters: 0 with the places 0 and 1 and the photo 4 of none, 1 with place 2, 2 with place 3; 8 is outside, 9 has nothing."""
    place, cluster = np.array([0, 0, 1, 1, -1, 2, 2, 3, 4, -1]), np.array([0, 0, 0, 0, 0, 1, 1, 2, -1, -1])
    doubt = np.array([[4, 5], [6, 7], [8, 7], [9, 0]])
    rule = NegativeRule(place, cluster, np.ones(10), doubt=doubt)
    found = [np.flatnonzero(rule.related(photo, np.arange(10))).tolist() for photo in range(9)]
    first, second = [0, 1, 2, 3, 4, 5, 6], [0, 1, 2, 3, 4, 5, 6, 7]
    assert found == [first] * 5 + [second, second, [5, 6, 7, 8], [7, 8]]
    assert np.flatnonzero(NegativeRule(place, cluster, np.ones(10)).related(5, np.arange(10))).tolist() == [5, 6]
    assert rule.related(5, np.array([7, 5, 0])).tolist() == [True, True, True]
    assert rule.by_doubt(5).tolist() == [0, 1, 2, 3, 7] and rule.by_doubt(7).tolist() == [5, 6, 8]


def test_a_photo_without_words_is_no_background_photo(inputs):
    """It may be one that cannot be read, which neither training nor another program would get far with."""
    words = [(range(10 * i, 10 * i + 10), 0) for i in range(17)]
    words[15] = ([], 0)
    word_index(inputs / "index.h5", words)
    rule = mined(inputs).negatives
    assert (rule.place[[12, 13]] >= 0).all() and rule.place[15] == -1 and rule.side[15] == 0


def test_a_background_photo_that_shows_a_benchmark_is_not_trained_on(inputs):
    rule = mined(inputs, contaminated=[13]).negatives
    assert rule.place[[12, 15]].tolist() == [3, 4] and rule.place[13] == -1 and rule.side[13] == 0


@pytest.mark.parametrize("limit", [0, 1, 2])
def test_background_photos_are_limited(inputs, limit):
    """Whoever is not drawn is neither asked for nor used."""
    asked = {}
    for seed in range(8):
        rule = mined(inputs, max_background=limit, seed=seed).negatives
        drawn = [row for row in (12, 13, 15) if rule.place[row] >= 0]
        assert len(drawn) == limit and rule.place[drawn].tolist() == list(range(3, 3 + limit))
        assert all(rule.side[row] == 0 for row in (12, 13, 15) if row not in drawn)
        assert set(rule.weak[:, 0].tolist()) == set(drawn) & {12, 13}
        asked[tuple(drawn)] = seed
    assert len(asked) > 1 or not limit


def test_a_dropped_model_gives_no_query_and_no_negative(inputs):
    found = mined(inputs, sides=(TRAIN, DROPPED, TRAIN))
    assert set(pools(found)) == {3, 1, 0, 9, 10, 11}
    assert (found.negatives.place[4:9] == -1).all() and (found.negatives.side[4:9] == 0).all()


@pytest.mark.parametrize(
    ("limits", "counts"),
    [({"max_queries": 2}, [2, 2, 2]), ({"query_fraction": 0.4}, [2, 2, 1]), ({"query_fraction": 0.01}, [1, 1, 1])],
)
def test_queries_per_model_are_limited(inputs, limits, counts):
    found = mined(inputs, **limits)
    assert np.bincount(found.negatives.place[found.query], minlength=3).tolist() == counts
    assert set(found.query.tolist()) <= set(mined(inputs).query.tolist())
    assert len(found.pools) == len(found.query)


def test_models_of_a_user_need_no_teacher(inputs):
    """The same queries and positives, no inliers, and nothing of the photos outside the models."""
    with_teacher = mined(inputs)
    paths = {name: inputs / f"{name}.h5" for name in ("models", "split", "collection")}
    found = mine_pairs(**paths, **OPTIONS)
    rule = found.negatives
    assert pools(found) == pools(with_teacher)
    for own, other in zip(found.pools, with_teacher.pools, strict=True):
        assert own["scale"].tolist() == other["scale"].tolist() and other.keys() - own.keys() == {"inliers"}
    assert (rule.place[12:] == -1).all() and rule.weak.shape == rule.doubt.shape == (0, 2)


def test_fewer_than_two_training_places_are_one_clear_line(inputs):
    for sides, place, found in (
        ((TRAIN, DROPPED, VALIDATION), (0, 1, 2), "1 can train and 1 validate, 1 were dropped because a benchmark shows them"),
        ((TRAIN, TRAIN, TRAIN), (0, 0, 0), "1 can train and 0 validate; training needs at least two different places"),
    ):
        with pytest.raises(EmptyStageError, match=found) as caught:
            mined(inputs, sides, place)
        assert str(caught.value).startswith("pairs: ") and "\n" not in str(caught.value)


def test_no_positive_is_one_clear_line(inputs):
    with pytest.raises(EmptyStageError, match=r"share 1000 3D points \(pairs\.min_shared\), so there is no positive"):
        mined(inputs, min_shared=1000)


def test_the_same_bytes_from_any_number_of_threads(inputs):
    written, paths = [], [inputs / f"{name}-out.h5" for name in ("positives", "negatives", "validation")]
    for threads in (1, 2, 1):
        write_pairs(mined(inputs, threads=threads, max_queries=2, seed=len(written) // 2), "models", inputs / "models.h5", *paths)
        written.append([path.read_bytes() for path in paths])
    assert written[0] == written[1] and all(a != b for a, b in zip(written[0], written[2], strict=True))


def test_what_is_written_is_read(inputs):
    found, paths = mined(inputs), [inputs / f"{name}-out.h5" for name in ("positives", "negatives", "validation")]
    write_pairs(found, "models", inputs / "models.h5", *paths)
    positives, rule, truth = read_positives(paths[0]), read_negatives(paths[1]), read_truth(paths[2])
    assert positives.source == "models" and positives.query.tolist() == found.query.tolist()
    for own, other in zip(positives.pools, found.pools, strict=True):
        assert own.keys() == other.keys()
        for name, values in other.items():
            np.testing.assert_array_equal(own[name], values)
    for name in ("place", "cluster", "side", "weak", "doubt", "used", "background"):
        np.testing.assert_array_equal(getattr(rule, name), getattr(found.negatives, name))
    assert truth.query.tolist() == [9, 10, 11] and truth.database.tolist() == found.validation.database.tolist()
    for own, other in zip(truth.protocols[ALL], found.validation.protocols[ALL], strict=True):
        assert [rows.tolist() for rows in own] == [rows.tolist() for rows in other]


def test_a_source_may_lack_evidence(tmp_path):
    pools = [{"photo": np.array([4, 2]), "shared": np.array([7, 9])}, {"photo": np.array([1]), "shared": np.array([5])}]
    write_positives(tmp_path / "p.h5", [1, 4], pools, {}, {"source": "some"})
    found = read_positives(tmp_path / "p.h5")
    assert [pool.keys() for pool in found.pools] == [{"photo", "shared"}] * 2
    assert found.pool_of(4)["photo"].tolist() == [1] and found.pool_of(2) is None
    write_positives(tmp_path / "p.h5", [], [], {}, {"source": "some"})
    assert read_positives(tmp_path / "p.h5").pools == []


def test_only_photos_of_a_list_are_negatives_of_its_query(tmp_path):
    """And of these none that may show the query's place all the same."""
    place, rows = np.array([0, 0, 1, 1, 2, 3, -1]), np.arange(7)
    lists = {0: [4, 3, 1, 6], 2: []}
    rule = NegativeRule(place, place, np.ones(7), lists=lists)
    write_negatives(tmp_path / "n.h5", rule, {}, {})
    for some in (rule, read_negatives(tmp_path / "n.h5")):
        assert rows[some.allowed(0, rows)].tolist() == [3, 4] and not some.allowed(2, rows).any()
        assert rows[some.allowed(1, rows)].tolist() == [2, 3, 4, 5]
        assert some.without(rows == 3).allowed(0, np.array([4, 3])).tolist() == [True, False]


def test_a_weak_match_is_no_negative_even_without_a_network():
    """Photo 3 matches one of place 0, photo 4 matches 3."""
    rule = NegativeRule([0, 0, 1, 2, 3], [0, 0, 1, -1, -1], np.ones(5), weak=[[3, 1], [4, 3]])
    found = [np.flatnonzero(rule.allowed(row, np.arange(5))).tolist() for row in range(5)]
    assert found == [[2, 4], [2, 4], [0, 1, 3, 4], [2], [0, 1, 2]]
    assert rule.weak_places(3).tolist() == [0] and rule.weak_places(0).tolist() == []
    assert np.flatnonzero(rule.may_show(0, np.arange(5))).tolist() == [0, 1, 3]


def test_what_cannot_be_decoded_still_says_what_others_show():
    """Photo 1 of place 0 was cut from photo 2 of place 1, and is gone: the doubt between the two places stays."""
    rule = NegativeRule([0, 0, 1, 1, 2], [0, 5, 1, 1, 2], np.ones(5), doubt=[[1, 2]]).without(np.arange(5) == 1)
    assert rule.rows().tolist() == [0, 2, 3, 4] and rule.allowed(3, np.arange(5)).tolist() == [False, False, False, False, True]


# pairs by words


def shared_words(*groups):
    """Photos for `word_index`. `groups` are numbers of photos that have ten words in common and five words of their own."""
    photos, next_word = [], 0
    for group in groups:
        common, next_word = range(next_word, next_word + 10), next_word + 10
        for _ in range(group):
            photos.append(([*common, *range(next_word, next_word + 5)], 0))
            next_word += 5
    return photos


WORDS = {"validation": 0.3, "max_hamming": 24, "max_background": 100, "seed": 0, "threads": 1}


def by_words(folder, photos, contaminated=None, **changed):
    """The pairs by words; `contaminated`: rows that match a benchmark."""
    index, paths = word_index(folder / "words.h5", photos), []
    if contaminated is not None:
        paths = [folder / "contamination.h5"]
        artefact.write(paths[0], "ranking", {"verified/photo": np.array(contaminated, np.int32)})
    return pair_by_words(index, paths, **(WORDS | changed))


def test_photos_that_rank_each_other_high_are_pairs(tmp_path):
    """Places of 3, 4, 2 and 3 photos (0-2, 3-6, 7-8, 9-11), 12 that shares nothing, and 13 without words."""
    found = by_words(tmp_path, [*shared_words(3, 4, 2, 3, 1), ([], 0)])
    rule = found.negatives
    places = [[0, 1, 2], [3, 4, 5, 6], [7, 8], [9, 10, 11]]
    assert {query: sorted(photos) for query, photos in pools(found).items()} == {
        row: [other for other in place if other != row] for place in places for row in place
    }
    assert all(pool.keys() == {"photo"} for pool in found.pools)
    assert [np.unique(rule.place[place]).tolist() for place in places] == [[0], [1], [2], [3]]
    assert np.flatnonzero(rule.background).tolist() == [12] and not rule.used[13]
    for place in places:
        assert len(set(rule.side[place].tolist())) == 1
    assert rule.allowed(0, np.arange(14)).nonzero()[0].tolist() == list(range(3, 13))
    held_back = [place for place in places if rule.side[place[0]] == VALIDATION]
    assert held_back and found.validation.query.tolist() == sorted(row for place in held_back for row in place)
    assert found.validation.database.tolist() == list(range(13))


def test_only_the_best_results_of_both_are_pairs(tmp_path):
    """Of nine photos alike each has the five of lowest rows for its best, so that the last ones are nobody's."""
    found = by_words(tmp_path, shared_words(9, 2, 2))
    assert all(len(photos) <= BEST for photos in pools(found).values())
    for query, photos in pools(found).items():
        assert all(query in pools(found)[photo] for photo in photos)


def test_a_place_that_a_benchmark_shows_gives_no_pairs_by_words(tmp_path):
    found = by_words(tmp_path, shared_words(3, 3, 3, 3, 1, 1), contaminated=[4, 12])
    assert (found.negatives.place[[3, 4, 5, 12]] == -1).all() and found.negatives.used[13]
    assert set(pools(found)) == {0, 1, 2, 6, 7, 8, 9, 10, 11}
    with pytest.raises(EmptyStageError, match=r"pairs: .* 1 can train and 1 validate, 1 were dropped because a benchmark shows them"):
        by_words(tmp_path, shared_words(3, 3, 3), contaminated=[4])


def test_pairs_by_words_are_the_same_from_any_number_of_threads(tmp_path):
    first, second = (by_words(tmp_path, shared_words(3, 4, 2, 3, 1, 1, 1), threads=threads) for threads in (1, 2))
    assert pools(first) == pools(second)
    np.testing.assert_array_equal(first.negatives.place, second.negatives.place)
    np.testing.assert_array_equal(first.negatives.side, second.negatives.side)


def test_every_source_is_a_function_that_takes_what_it_is_said_to_need():
    """The workflow makes the rule from the registry."""
    artefacts = re.findall(r'^    "(\w+)": \[?f?"<results>', (ROOT / "workflow/rules/common.smk").read_text(), re.M)
    for source in SOURCES.values():
        module, _, name = source.function.rpartition(".")
        parameters = inspect.signature(getattr(importlib.import_module(module), name)).parameters
        given = {*source.needs, *source.needs_of_teacher, *filter(None, [source.needs_of_user])}
        assert set(source.needs) | set(source.needs_of_teacher) <= set(artefacts) and set(source.times) <= given
        for section, keys in source.settings.items():
            given |= set(keys or (Config.model_fields[section].annotation.model_fields if section else ()))
        needed = {key for key, parameter in parameters.items() if parameter.default is parameter.empty}
        assert needed <= given <= set(parameters)


def test_rendered_pairs_show_one_landmark_and_share_what_they_say(modelled, tmp_path):
    """From the real models: pools hold photos of the query's landmark, nearer cameras first, with overlaps that are true."""
    count = len(artefact.read(modelled.models, "models", ["cluster"])["cluster"])
    split = {"side": np.full(count, TRAIN, np.int8), "place": np.arange(count, dtype=np.int32)}
    artefact.write(tmp_path / "split.h5", "split", {**split, "contaminated": np.zeros(len(modelled.photos["name"]), bool)})
    found = mine_pairs(
        models=modelled.models, split=tmp_path / "split.h5", collection=modelled.collection, graph=modelled.graph,
        clusters=modelled.clusters, index=modelled.index,
        **(OPTIONS | {"background_max_inliers": 8}),
    )  # fmt: skip
    assert len(found.query) >= 14
    for query, pool in zip(found.query, found.pools, strict=True):
        photos = pool["photo"]
        assert (modelled.landmark[photos] == modelled.landmark[query]).all()
        assert (np.diff(pool["distance"]) >= 0).all() and matched(pool)["shared"].min() >= 5
        assert pool["overlap"].max() <= 1 and pool["scale"].min() >= 1
        centre = modelled.records[query].shot.camera.centre
        true = [np.linalg.norm(modelled.records[photo].shot.camera.centre - centre) for photo in photos]
        assert len(photos) < 3 or np.corrcoef(true, pool["distance"])[0, 1] > 0.99
    background = np.flatnonzero(found.negatives.place >= count)
    assert set(background.tolist()) <= set(np.flatnonzero(modelled.landmark < 0).tolist())
