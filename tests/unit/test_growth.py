"""Growth: matches against brute force, epipolar geometry of known scenes, a graph that joins the right photos in any order."""

from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from PIL import Image

from bow2cnn.clustering.common_neighbours import open_triangles
from bow2cnn.clustering.crops import crop_rows
from bow2cnn.clustering.growth import Grower, grow_graph
from bow2cnn.core import artefact
from bow2cnn.features import distances
from bow2cnn.features.extract import extract_features
from bow2cnn.features.store import FeatureStore
from bow2cnn.geometry.epipolar import scale_fundamental
from bow2cnn.geometry.matching import (
    count_evidence,
    deduplicate_matches,
    is_degenerate,
    match_descriptors,
    minor_axis_std,
    static_fraction,
    verify_epipolar,
)
from bow2cnn.index.build import build_index
from bow2cnn.index.engine import Engine
from bow2cnn.index.forward import read_words
from bow2cnn.photos.decode import read_rgb

K = np.array([[500.0, 0, 320], [0, 500, 240], [0, 0, 1]])
SIZE = (640, 480)


def rows(count):
    return np.repeat(np.arange(count, dtype=np.int32)[:, None], 2, 1)


def two_views(rng, count, outliers, noise=0.3):
    """Points of a deep scene in two photos, and the fundamental matrix of their cameras."""
    points = np.column_stack([rng.uniform(-2, 2, (count, 2)), rng.uniform(4, 9, count)])
    rotation = cv2.Rodrigues(np.array([0.05, -0.25, 0.02]))[0]
    translation = np.array([1.2, 0.1, 0.3])
    a, b = points @ K.T, (points @ rotation.T + translation) @ K.T
    a, b = (xyz[:, :2] / xyz[:, 2:] + rng.normal(0, noise, (count, 2)) for xyz in (a, b))
    b[:outliers] = rng.random((outliers, 2)) * SIZE
    x, y, z = translation
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return a.astype(np.float32), b.astype(np.float32), np.linalg.inv(K).T @ cross @ rotation @ np.linalg.inv(K)


def epipolar_error(fundamental, a, b):
    """Distance of b from the line of a, pixels."""
    lines = np.column_stack([a, np.ones(len(a))]) @ fundamental.T
    return np.abs((lines * np.column_stack([b, np.ones(len(b))])).sum(1)) / np.linalg.norm(lines[:, :2], axis=1)


@pytest.mark.parametrize("as_bytes", [True, False])
@pytest.mark.parametrize(("n", "m"), [(200, 150), (150, 200), (2, 2), (300, 3), (2 * distances.ROWS + 1, 300)])
def test_matches_are_the_mutual_nearest_that_pass_the_ratio_both_ways(n, m, as_bytes, monkeypatch):
    if as_bytes and not distances.multiplies_bytes():
        pytest.skip("NOT RUN: needs a processor that multiplies bytes (VNNI)")
    monkeypatch.setattr(distances, "_MANY", 0 if as_bytes else np.inf)
    rng = np.random.default_rng(n)
    a, b = (rng.integers(0, 256, (count, 128), dtype=np.uint8) for count in (n, m))
    same = min(n, m) // 2
    b[:same] = np.clip(a[:same] + rng.normal(0, np.linspace(1, 90, max(same, 1))[:, None], (same, 128)), 0, 255)
    distance = np.linalg.norm(a[:, None].astype(float) - b[None].astype(float), axis=2)
    expected = []
    for i in range(n):
        j = int(distance[i].argmin())
        row, column = np.sort(distance[i]), np.sort(distance[:, j])
        if distance[:, j].argmin() == i and row[0] < 0.85 * row[1] and column[0] < 0.85 * column[1]:
            expected.append((i, j))
    found = match_descriptors(a, b)
    assert list(map(tuple, found.tolist())) == expected and found.dtype == np.int32
    assert len(expected) > 40 or min(n, m) < 100


def test_a_repeated_pattern_matches_nothing():
    a = np.random.default_rng(0).integers(0, 256, (30, 128), dtype=np.uint8)
    assert len(match_descriptors(a, a)) == 30
    assert len(match_descriptors(a, np.concatenate([a, a]))) == 0
    assert len(match_descriptors(np.concatenate([a, a]), a)) == 0


@pytest.mark.parametrize(("n", "m"), [(0, 5), (5, 0), (1, 5), (5, 1)])
def test_without_a_second_neighbour_there_is_no_ratio(n, m):
    assert match_descriptors(np.ones((n, 128), np.uint8), np.ones((m, 128), np.uint8)).shape == (0, 2)


@pytest.mark.parametrize("outliers", [0, 40, 120])
def test_the_inliers_of_two_views_are_found(outliers):
    a, b, truth = two_views(np.random.default_rng(outliers), 240, outliers)
    fundamental, inliers = verify_epipolar(a, b, rows(240))
    found = set(inliers[:, 0].tolist())
    assert len(found & set(range(outliers, 240))) >= 0.97 * (240 - outliers)
    assert len(found & set(range(outliers))) <= 0.2 * outliers
    fresh_a, fresh_b, _ = two_views(np.random.default_rng(99), 100, 0, noise=0)
    assert np.median(epipolar_error(fundamental, fresh_a, fresh_b)) < 1.0
    assert np.median(epipolar_error(truth, fresh_a, fresh_b)) < 1e-3, "the test's own truth"


def test_random_matches_have_few_epipolar_inliers():
    rng = np.random.default_rng(0)
    counts = [len(verify_epipolar(*(np.float32(rng.random((2, 60, 2)) * SIZE)), rows(60))[1]) for _ in range(20)]
    assert max(counts) < 20


def test_matches_of_one_spot_count_once():
    """Spots in either photo may have several matches; a spot in both photos has one, the first."""
    rng = np.random.default_rng(0)
    a, b = np.float32(rng.random((2, 300, 6)) * 1000)
    repeated = np.tile(rows(300), (3, 1))
    match = np.column_stack([repeated[:, 0], 300 + np.arange(900)])
    places = np.concatenate([b, b + np.float32([1.5, -1.5, 0, 0, 0, 0]), b + np.float32([30, 0, 0, 0, 0, 0])])
    found = deduplicate_matches(a, np.concatenate([b, places]), match)
    assert found.dtype == match.dtype and set(map(tuple, found.tolist())) == {tuple(match[row]) for row in (*range(300), *range(600, 900))}
    np.testing.assert_array_equal(deduplicate_matches(a, b, rows(300)), rows(300))
    assert deduplicate_matches(a, b, rows(300)[:0]).shape == (0, 2)


class Unmarked:
    """As much of an `Engine` as the growth needs to verify pairs of photos of these sizes, none of whose features is masked."""

    def __init__(self, store, size):
        self.size, self._store = size, store

    def __len__(self):
        return len(self._store)

    def words(self, photo):
        return SimpleNamespace(feature=np.arange(len(self._store.keypoints(photo))))


def confirmed(features, size, pairs):
    """Arrays of the graph of these pairs."""
    store = FeatureStore([features])
    grower = Grower(Unmarked(store, size), store, 1, 8, 10)
    with ThreadPoolExecutor(2) as pool:
        grower.confirm(dict.fromkeys(pairs, 0), pool)
    return grower.arrays()


@pytest.mark.slow
def test_copies_of_other_sizes_verify_the_same_pairs(made, tmp_path):
    """The photos as they are, and 2.5 and 5 times as large, all shrunk to one size before they are searched."""
    own = np.flatnonzero(made.landmark >= 0)
    pairs = [(i, j) for i in range(len(own)) for j in range(i + 1, len(own)) if made.landmark[own[i]] == made.landmark[own[j]]]
    graphs = []
    for factor in (1, 2.5, 5):
        paths, sizes = [], np.empty((len(own), 2), np.int32)
        for number, row in enumerate(own):
            paths.append(str(tmp_path / f"{number}-{factor}.jpg"))
            picture = Image.fromarray(read_rgb(made.photos["path"][row]))
            sizes[number] = [round(side * factor) for side in picture.size]
            picture.resize(sizes[number].tolist(), Image.Resampling.LANCZOS).save(paths[-1], quality=95)
        photos = {"path": paths, "sha256": made.photos["sha256"][own], "width": sizes[:, 0], "height": sizes[:, 1]}
        artefact.write(tmp_path / "c.h5", "collection", photos)
        extract_features(tmp_path / "c.h5", tmp_path / f"f{factor}.h5", 2, 2000, side=1024)
        graphs.append(confirmed(tmp_path / f"f{factor}.h5", sizes, pairs))
    found = [dict(zip(map(tuple, graph["pair"].tolist()), graph["inliers"].tolist(), strict=True)) for graph in graphs]
    reference, *others = found
    assert len(reference) >= 50
    for other in others:
        assert abs(sum(other.values()) / sum(reference.values()) - 1) <= 0.02
        for pair in other.keys() ^ reference.keys():
            assert {**other, **reference}[pair] <= 25, "a weak pair: another JPEG of a photo gives a few inliers more or fewer"


@pytest.mark.parametrize("scale", [(1, 1), (4, 4), (2.5, 2.496), (0.6, 0.6)])
def test_tolerances_are_those_of_the_raster_in_which_features_were_found(scale, tmp_path):
    """A scene in files of other sizes than those that were searched, in which every other spot has two features: the same matches count."""
    a, b, truth = two_views(np.random.default_rng(0), 120, 20, noise=0.8)
    twice = np.repeat(np.arange(110), 2)
    a, b = (xy[twice] + np.float32([[1.5 * (row % 2), 0] for row in range(220)]) for xy in (a, b))
    descriptors = np.random.default_rng(1).integers(0, 256, (220, 128), dtype=np.uint8)
    frames = [np.column_stack([xy * np.float32(factor), np.ones((220, 4))]) for xy, factor in ((a, scale), (b, (1, 1)))]
    arrays = {"offset": [0, 220, 440], "keypoint": np.float32(np.concatenate(frames)), "descriptor": np.tile(descriptors, (2, 1))}
    artefact.write(tmp_path / "features.h5", "features", {**arrays, "scale": np.float32([scale, (1, 1)])})
    sizes = np.int32([np.round(np.array(SIZE) * scale), SIZE])
    graph = confirmed(tmp_path / "features.h5", sizes, [(0, 1)])
    plain = deduplicate_matches(a, b, rows(220))
    _, inliers = verify_epipolar(a, b, plain)
    assert 80 < len(inliers) < len(plain) == 110
    assert len(set(graph["match"][:, 0].tolist()) ^ set(inliers[:, 0].tolist())) <= 2
    fresh_a, fresh_b, _ = two_views(np.random.default_rng(99), 100, 0, noise=0)
    assert np.median(epipolar_error(graph["fundamental"][0], fresh_a * scale, fresh_b)) < 1.5
    assert np.median(epipolar_error(scale_fundamental(truth, scale, 1), fresh_a * scale, fresh_b)) < 1e-3


@pytest.mark.parametrize("count", [0, 7])
def test_fewer_than_eight_matches_are_no_geometry(count):
    a, b, _ = two_views(np.random.default_rng(0), 20, 0)
    fundamental, inliers = verify_epipolar(a, b, rows(20)[:count])
    assert inliers.shape == (0, 2) and not fundamental.any()


def test_degenerate_points_are_no_error():
    for a in (np.zeros((30, 2), np.float32), np.float32(np.arange(30)[:, None] * (3.0, 1.0))):
        _, inliers = verify_epipolar(a, a, rows(30))
        assert len(inliers) == 0 or is_degenerate(a, a, inliers, SIZE, SIZE)


def test_compact_refuses_points_on_a_line_in_either_photo():
    rng = np.random.default_rng(0)
    wide = rng.random((40, 2)) * SIZE
    line = np.outer(rng.random(40), (600, 300)) + rng.normal(0, 2, (40, 2))
    spot = rng.normal(100, 3, (40, 2))
    assert not is_degenerate(wide, wide, rows(40), SIZE, SIZE)
    for narrow in (line, spot):
        assert is_degenerate(narrow, wide, rows(40), SIZE, SIZE) and is_degenerate(wide, narrow, rows(40), SIZE, SIZE)
    assert is_degenerate(np.concatenate([line, wide]), wide, rows(40), SIZE, SIZE), "only the inliers count"
    words = np.column_stack([rng.random(40) * SIZE[0], SIZE[1] - rng.random(40) * 8])
    some = np.concatenate([words[:33], wide[33:]]), np.concatenate([words[:30], wide[30:]])
    assert is_degenerate(some[0], wide, rows(40), SIZE, SIZE), "a few that agree by chance make no geometry"
    assert not is_degenerate(some[1], wide, rows(40), SIZE, SIZE)
    assert minor_axis_std(wide[:2]) == 0


def test_unmoved_are_the_inliers_at_the_same_place_of_both_photos():
    """Whatever the sizes of the photos; places are within a fiftieth of the sides."""
    rng = np.random.default_rng(0)
    there = rng.random((40, 2))
    here = there + np.repeat([[0.0, 0.0], [0.019, -0.019], [0.021, 0.0], [0.0, 0.3]], 10, axis=0)
    pair = here * SIZE, there * (2000, 500)
    assert static_fraction(*pair, rows(40), SIZE, (2000, 500)) == 0.5
    assert static_fraction(*pair, rows(40)[:20], SIZE, (2000, 500)) == 1 and static_fraction(*pair, rows(40)[20:], SIZE, (2000, 500)) == 0


def test_spread_is_the_deviation_across_the_main_direction():
    rng = np.random.default_rng(0)
    points = np.column_stack([rng.normal(0, 50, 4000), rng.normal(0, 7, 4000)])
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    assert minor_axis_std(points @ turn.T + 100) == pytest.approx(7, rel=0.05)
    stray = np.concatenate([points[:3500], rng.uniform(-400, 400, (500, 2))]) @ turn.T + 100
    assert minor_axis_std(stray) > 50 and minor_axis_std(stray, 0.8) < 7


def grow(made, seeds, out, threads=1, **changed):
    options = {"shortlist": 100, "max_hamming": made.max_hamming, "min_word_inliers": 8, "min_inliers": 20} | changed
    grow_graph(made.index, seeds, made.features, out, threads=threads, **options)
    return artefact.read(out, "graph")


def write_seeds(path, pairs, params=None):
    artefact.write(path, "seeds", {"pair": np.array(pairs, np.int32).reshape(-1, 2)}, params)
    return path


def test_the_graph_joins_photos_of_one_landmark_only(grown):
    graph = artefact.read(grown.graph, "graph")
    a, b = graph["pair"].T
    assert len(graph["unmoved"]) == len(a) and (graph["unmoved"] < 0.5).mean() > 0.9
    assert (a < b).all() and len(np.unique(graph["pair"], axis=0)) == len(a)
    assert (grown.landmark[a] == grown.landmark[b]).all() and (grown.landmark[a] >= 0).all()
    assert [len(set(graph["pair"][grown.landmark[a] == landmark].ravel().tolist())) for landmark in (0, 1)] == [9, 9]
    assert (graph["queried"] == (grown.landmark >= 0)).all()


def test_matches_are_feature_rows_that_fit_the_fundamental_matrix(grown):
    graph = artefact.read(grown.graph, "graph")
    store = FeatureStore(grown.features)
    np.testing.assert_array_equal(np.diff(graph["match_offset"]), graph["inliers"])
    assert graph["inliers"].min() >= 20
    for edge, (a, b) in enumerate(graph["pair"]):
        match = graph["match"][graph["match_offset"][edge] : graph["match_offset"][edge + 1]]
        assert len(set(match[:, 0])) == len(set(match[:, 1])) == len(match)
        points = store[a][0][match[:, 0], :2], store[b][0][match[:, 1], :2]
        to_b = epipolar_error(graph["fundamental"][edge], *points)
        to_a = epipolar_error(graph["fundamental"][edge].T, *points[::-1])
        sampson = 1 / np.sqrt(1 / np.maximum(to_a, 1e-9) ** 2 + 1 / np.maximum(to_b, 1e-9) ** 2)
        assert np.median(sampson) < 1 and sampson.max() < 4.5


def test_features_of_marks_match_nothing(grown, tmp_path):
    """With a third of the features masked, matches are still rows of all features, and none is masked."""
    forward = read_words(grown.words)
    masked = np.random.default_rng(0).random(len(forward["word"])) < 0.33
    artefact.write(tmp_path / "watermarks.h5", "watermarks", {"offset": forward["offset"], "masked": masked})
    build_index(grown.collection, grown.words, tmp_path / "watermarks.h5", grown.vocabulary, tmp_path / "index.h5")
    best = artefact.read(grown.graph, "graph", ["pair", "inliers"])
    seed = best["pair"][best["inliers"].argmax()]
    seeds = write_seeds(tmp_path / "s.h5", [seed])
    grow_graph(tmp_path / "index.h5", seeds, grown.features, tmp_path / "g.h5", 100, grown.max_hamming, 8, 20, threads=1)
    graph, store = artefact.read(tmp_path / "g.h5", "graph"), FeatureStore(grown.features)
    edge = graph["pair"].tolist().index(seed.tolist())
    match = graph["match"][graph["match_offset"][edge] : graph["match_offset"][edge + 1]]
    for photo, rows_of_photo in zip(seed, match.T, strict=True):
        own = slice(*forward["offset"][photo : photo + 2])
        assert not set(rows_of_photo.tolist()) & set(forward["feature"][own][masked[own]].tolist())
    points = (store[photo][0][own, :2] for photo, own in zip(seed, match.T, strict=True))
    assert np.median(epipolar_error(graph["fundamental"][edge], *points)) < 1


def test_matches_fit_the_true_cameras(grown):
    graph = artefact.read(grown.graph, "graph")
    store = FeatureStore(grown.features)
    shares = []
    for edge, (a, b) in enumerate(graph["pair"]):
        match = graph["match"][graph["match_offset"][edge] : graph["match_offset"][edge + 1]]
        first, second = grown.records[a].shot.camera, grown.records[b].shot.camera
        rotation = second.rotation @ first.rotation.T
        x, y, z = second.translation - rotation @ first.translation
        cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
        truth = np.linalg.inv(second.matrix).T @ cross @ rotation @ np.linalg.inv(first.matrix)
        shares.append(np.mean(epipolar_error(truth, store[a][0][match[:, 0], :2], store[b][0][match[:, 1], :2]) < 3))
    assert np.median(shares) > 0.95 and np.quantile(shares, 0.1) > 0.8


def test_the_graph_depends_on_neither_threads_nor_the_order_of_seeds(grown, tmp_path):
    with artefact.Reader(grown.seeds, "seeds") as reader:
        backwards = write_seeds(tmp_path / "backwards.h5", reader["pair"][::-1], reader.params)
    for name, seeds, threads in (("one", grown.seeds, 1), ("turned", backwards, 2)):
        grow(grown, seeds, tmp_path / name, threads)
        assert (tmp_path / name).read_bytes() == grown.graph.read_bytes()


def test_one_seed_grows_to_its_landmark(grown, tmp_path):
    graph = artefact.read(grown.graph, "graph")
    best = graph["pair"][graph["inliers"].argmax()]
    found = grow(grown, write_seeds(tmp_path / "s.h5", [best]), tmp_path / "g.h5", 2)
    own = np.flatnonzero(grown.landmark == grown.landmark[best[0]])
    assert set(found["pair"].ravel().tolist()) == set(own.tolist()) == set(np.flatnonzero(found["queried"]).tolist())
    expected = graph["inliers"][np.isin(graph["pair"][:, 0], own)]
    assert len(found["inliers"]) >= 0.8 * len(expected)


def test_a_false_seed_is_refused_and_nothing_grows_from_it(grown, tmp_path):
    a, b = np.flatnonzero(grown.landmark == 0)[0], np.flatnonzero(grown.landmark == 1)[0]
    found = grow(grown, write_seeds(tmp_path / "s.h5", [(min(a, b), max(a, b))]), tmp_path / "g.h5")
    assert found["pair"].shape == (0, 2) and len(found["refused"]) == 1 and not found["queried"].any()
    assert found["fundamental"].shape == (0, 3, 3)


def test_no_seeds_no_graph(grown, tmp_path):
    found = grow(grown, write_seeds(tmp_path / "s.h5", []), tmp_path / "g.h5")
    assert len(found["pair"]) == 0 and found["match_offset"].tolist() == [0]


def test_what_no_seed_joins_looks_at_its_best_results(grown, tmp_path):
    """Both landmarks are found without a seed; background photos are verified with no more photos than the limit."""
    graph = artefact.read(grown.graph, "graph")
    found = grow(grown, write_seeds(tmp_path / "s.h5", []), tmp_path / "g.h5", 2, orphan_shortlist=3)
    assert set(found["pair"].ravel().tolist()) == set(graph["pair"].ravel().tolist())
    assert len(found["pair"]) >= 0.9 * len(graph["pair"])
    background = grown.landmark < 0
    assert 1 <= found["verified"][background].max() <= 3 and not found["queried"][background].any()
    assert (graph["verified"][background] == 0).all()


def test_parts_of_a_photo_find_what_all_of_it_ranks_low(grown, tmp_path):
    """With a shortlist of two photos, growth from one seed stops early. Crops go on, only outside the component, and join no other one."""
    graph = artefact.read(grown.graph, "graph")
    seeds = write_seeds(tmp_path / "s.h5", [graph["pair"][graph["inliers"].argmax()]])
    short = grow(grown, seeds, tmp_path / "short.h5", 2, shortlist=2)
    found = grow(grown, seeds, tmp_path / "g.h5", 2, shortlist=2, view_shortlist=2)
    before, after = (set(arrays["pair"].ravel().tolist()) for arrays in (short, found))
    assert before < after and len({grown.landmark[photo] for photo in after}) == 1
    assert not short["verified_beyond"].any() and found["verified_beyond"].max() == 2
    assert not found["verified_beyond"][~found["queried"]].any()


def random_pairs(rng, photos, count):
    pairs = np.sort(rng.integers(0, photos, (count, 2)), 1)
    return np.unique(pairs[pairs[:, 0] < pairs[:, 1]], axis=0)


@pytest.mark.parametrize("limit", [1, 3, 100])
def test_open_triangles_are_those_of_a_double_loop(limit, monkeypatch):
    """Two common neighbours at least, neither joined nor refused, the largest shares of common neighbours first."""
    monkeypatch.setattr("bow2cnn.clustering.common_neighbours._BLOCK", 7)
    pairs = random_pairs(np.random.default_rng(1), 40, 130)
    pairs, refused = pairs[::2], pairs[1::2]
    neighbours = {photo: {*pairs[pairs[:, 0] == photo, 1], *pairs[pairs[:, 1] == photo, 0]} for photo in range(40)}
    known, expected = {tuple(pair) for pair in np.concatenate([pairs, refused]).tolist()}, set()
    for a in range(40):
        share = {}
        for b in set(range(40)) - {a}:
            common = neighbours[a] & neighbours[b]
            if len(common) >= 2 and (min(a, b), max(a, b)) not in known:
                share[b] = len(common) / len(neighbours[a] | neighbours[b])
        expected |= {(min(a, b), max(a, b)) for b in sorted(share, key=lambda b: (-share[b], b))[:limit]}
    assert open_triangles(pairs, refused, 40, limit) == sorted(expected) and expected


def test_without_pairs_there_are_no_open_triangles():
    nothing = np.zeros((0, 2), np.int32)
    assert open_triangles(nothing, nothing, 5, 10) == []


def test_photos_that_match_the_same_photos_are_compared(grown, tmp_path):
    """Half of the pairs are seeds and the shortlist has one photo, so many pairs are never compared. Those of common neighbours are."""
    pairs = artefact.read(grown.graph, "graph", ["pair"])["pair"]
    seeds = write_seeds(tmp_path / "s.h5", pairs[::2])
    short = grow(grown, seeds, tmp_path / "short.h5", 2, shortlist=1)
    found = grow(grown, seeds, tmp_path / "g.h5", 1, shortlist=1, neighbour_shortlist=10)
    before, after, every = ({tuple(pair) for pair in edges.tolist()} for edges in (short["pair"], found["pair"], pairs))
    assert len(before) < 0.8 * len(every) and before < after and len(after & every) >= 0.9 * len(every)
    assert all(grown.landmark[a] == grown.landmark[b] for a, b in after)
    again = grow(grown, seeds, tmp_path / "other.h5", 2, shortlist=1, neighbour_shortlist=10)
    assert (again["pair"] == found["pair"]).all() and (again["match"] == found["match"]).all()


def test_views_are_the_margins_the_details_and_the_coarse_of_a_photo():
    rng = np.random.default_rng(0)
    xy, size = rng.random((400, 2)) * SIZE, rng.uniform(1, 9, 400)
    frames = np.column_stack([xy, size, 0 * size, 0 * size, size]).astype(np.float32)
    left, right, top, bottom, *closer, away = crop_rows(frames, SIZE)
    for rows, expected in (
        (left, xy[:, 0] < 256), (right, xy[:, 0] > 384), (top, xy[:, 1] < 192), (bottom, xy[:, 1] > 288),
        (closer[0], (xy < (320, 240)).all(1)), (closer[2], ((xy >= (160, 120)) & (xy < (480, 360))).all(1)),
        (closer[4], (xy >= (320, 240)).all(1)),
    ):  # fmt: skip
        assert rows.tolist() == np.flatnonzero(expected).tolist()
    assert len(closer) == 5 and len(away) == 160 and size[away].min() > np.delete(size, away).max()
    assert len(crop_rows(frames[:60], SIZE)) < 10 and crop_rows(frames[:0], SIZE) == []


def test_a_query_ends_where_nothing_agrees_and_knows_what_it_knows(grown):
    """In blocks of three: fewer verifications for nearly the same pairs, and none for pairs that were looked at."""
    engine, store = Engine.load(grown.index, grown.max_hamming), FeatureStore(grown.features)
    results = []
    with ThreadPoolExecutor(1) as pool:
        for block in (100, 3):
            grower = Grower(engine, store, 100, 8, 20, block)
            grower.confirm(grower.ask(range(len(engine)), pool), pool)
            results.append(grower.arrays())
        whole, short = results
        assert short["verified"].sum() < 0.7 * whole["verified"].sum()
        assert len(short["pair"]) >= 0.9 * len(whole["pair"])
        again = grower.ask(range(len(engine)), pool)
    known = {tuple(pair) for pair in [*short["pair"].tolist(), *short["refused"].tolist()]}
    assert not known & set(again)


def test_stricter_limits_keep_fewer_edges(grown, tmp_path):
    loose = artefact.read(grown.graph, "graph")
    strict = grow(grown, grown.seeds, tmp_path / "g.h5", 2, min_inliers=100)
    assert strict["inliers"].min() >= 100
    known = {tuple(pair) for pair, n in zip(loose["pair"].tolist(), loose["inliers"], strict=True) if n >= 100}
    assert {tuple(pair) for pair in strict["pair"].tolist()} <= known and len(strict["pair"]) > 5


def frames_at(xy, turn, scale):
    return np.float32(np.column_stack([xy, scale * np.cos(turn), -scale * np.sin(turn), scale * np.sin(turn), scale * np.cos(turn)]))


def test_matches_agree_in_size_and_direction():
    rng = np.random.default_rng(3)
    xy = np.stack(np.meshgrid(np.arange(10, 410, 50), np.arange(10, 260, 50)), -1).reshape(-1, 2)  # 40 places
    turn, scale = rng.uniform(0, 2 * np.pi, 40), rng.uniform(2, 20, 40)
    turn_b, scale_b = turn + 3.0 + rng.uniform(-0.2, 0.2, 40), scale * 3 * rng.uniform(0.8, 1.25, 40)
    a, sizes = frames_at(xy, turn, scale), ((500, 400), (500, 400))
    assert count_evidence(a, frames_at(xy, turn_b, scale_b), *sizes) == 40, "turned by half a circle nearly, where angles jump"
    turn_b[:10] += np.pi / 2
    scale_b[10:15] *= 4
    assert count_evidence(a, frames_at(xy, turn_b, scale_b), *sizes) == 25
    assert count_evidence(a[:0], a[:0], *sizes) == 0


def test_matches_in_one_place_of_either_photo_are_one_piece_of_evidence():
    """As of the letters of an agency's name: 60 matches in a spot of two hundredths of the longer side, and 10 all over the photo."""
    rng = np.random.default_rng(4)
    letters = 300 + rng.random((60, 2)) * 9.9
    photo = np.stack([np.arange(50, 450, 40), rng.uniform(50, 350, 10)], 1)
    one = np.ones(70)
    together, around = np.concatenate([letters, photo]), np.concatenate([rng.random((60, 2)) * (500, 400), photo])
    a, b = frames_at(together, 0 * one, 5 * one), frames_at(around, 0 * one, 5 * one)
    for pair in ((a, a), (a, b), (b, a)):
        assert count_evidence(*pair, (500, 400), (500, 400)) == 11
