"""Pairs: evidence against numbers worked out by hand, limits, outsiders, and what is refused."""

import numpy as np
import pytest

from bow2cnn import artefact
from bow2cnn.index.invert import index_arrays
from bow2cnn.nothing import NothingFound
from bow2cnn.pairs.covisibility import Covisibility
from bow2cnn.pairs.doubt import related
from bow2cnn.pairs.evidence import Evidence
from bow2cnn.pairs.mine import add_outsiders, assign_groups, mine_pairs
from bow2cnn.pairs.outsiders import find_weak_matches
from bow2cnn.split.split import DROPPED, TRAIN, VALIDATION

# Model 0: cameras on a line at x = 0, 1, 2, 4.5 (photos 3, 1, 0, 2); what points each sees, and in how many pixels of focal length.
CENTRES = [0.0, 1.0, 2.0, 4.5]
PHOTOS = [3, 1, 0, 2]
SEEN = [range(12), range(6), range(4, 16), range(14, 20)]
FOCAL = [400.0, 200.0, 800.0, 400.0]
DEPTH = 7.0  # of all points


def view(centre, seed):
    """Rotation and translation of a camera at (centre, 0, 0) that looks along z, turned about that anyhow."""
    angle = np.random.default_rng(seed).uniform(0, 2 * np.pi)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    return turn, -turn @ np.array([centre, 0.0, 0.0])


def models_arrays(models, photos):
    """`models` arrays of dicts with `photos`, `centres`, `seen`, and `focal` where it matters."""
    poses = [view(centre, i) for i, centre in enumerate(c for model in models for c in model["centres"])]
    seen, first, belongs = [], 0, np.full(photos, -1, np.int32)
    for number, model in enumerate(models):
        seen += [np.array(points, np.int64) + first for points in model["seen"]]
        first += 1 + max(max(points, default=0) for points in model["seen"])
        belongs[model["photos"]] = number
    return {
        "model": belongs,
        "photo_offset": artefact.offsets([len(model["photos"]) for model in models]),
        "photo": np.array([photo for model in models for photo in model["photos"]], np.int32),
        "focal": np.array([focal for model in models for focal in model.get("focal", [400.0] * len(model["photos"]))]),
        "point": np.column_stack([np.random.default_rng(0).random((first, 2)), np.full(first, DEPTH)]).astype(np.float32),
        "rotation": np.array([rotation for rotation, _ in poses]),
        "translation": np.array([translation for _, translation in poses]),
        "observation_offset": artefact.offsets([len(points) for points in seen]),
        "observation/point": np.concatenate(seen),
    }


@pytest.fixture
def evidence():
    built = models_arrays([{"photos": PHOTOS, "centres": CENTRES, "seen": SEEN, "focal": FOCAL}], 4)
    return Evidence(built, {"pair": np.array([[1, 3], [0, 3]]), "inliers": np.array([31, 42])})


def table(pool):
    return list(zip(*(pool[name].tolist() for name in ("photo", "shared", "overlap", "scale", "distance", "inliers")), strict=True))


def test_evidence_is_what_the_hand_says(evidence):
    """View 0 (photo 3) shares points 0-5 with view 1, 4-11 with view 2, none with view 3; the cameras span 4.5."""
    found = table(evidence.pool(0, [0, 1, 2, 3], min_shared=1, size=9))
    expected = [(1, 6, 6 / 12, 2.0, 1 / 4.5, 31), (0, 8, 8 / 12, 2.0, 2 / 4.5, 42)]
    assert found == [pytest.approx(row) for row in expected]
    found = table(evidence.pool(2, [0, 1, 2, 3], min_shared=1, size=9))
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
    assert evidence.pool(0, [0, 1, 2, 3], 1, size=1)["photo"].tolist() == [1]
    assert evidence.pool(0, [0, 1, 2, 3], 7, size=1)["photo"].tolist() == []
    assert evidence.pool(0, [0, 1, 2, 3], 7, size=2)["photo"].tolist() == [0]
    assert evidence.pool(3, [0, 1, 2, 3], 1, size=9)["photo"].tolist() == [0]


def test_only_the_given_views_count(evidence):
    found = table(evidence.pool(0, [0, 2], 1, size=9))
    assert found == [pytest.approx((0, 8, 8 / 12, 2.0, 1.0, 42))]
    assert table(evidence.pool(0, [0], 1, size=9)) == []


def test_sharing_names_the_photos_with_enough_common_points(evidence):
    assert evidence.sharing(0, [0, 1, 2, 3], 6).tolist() == [0, 1]
    assert evidence.sharing(0, [0, 1, 2, 3], 7).tolist() == [0]
    assert evidence.sharing(0, [0, 1, 2, 3], 9).tolist() == []


def test_a_photo_from_nearer_shows_things_larger():
    """Three times as near, by one lens."""
    built = models_arrays([{"photos": [0, 1], "centres": [0, 1], "seen": [range(9), range(9)]}], 2)
    built["translation"][1] += (0, 0, -DEPTH * 2 / 3)
    assert Evidence(built, None).pool(0, [0, 1], 1, 9)["scale"] == pytest.approx([3])
    assert Evidence(built, None).pool(1, [0, 1], 1, 9)["scale"] == pytest.approx([3])


def test_a_point_seen_twice_by_one_photo_counts_once():
    built = models_arrays([{"photos": [0, 1], "centres": [0, 1], "seen": [[0, 1, 1, 2], [1, 2, 2, 3]]}], 2)
    found = Evidence(built, None).pool(0, [0, 1], 1, 9)
    assert found["shared"].tolist() == [2] and found["overlap"][0] == pytest.approx(2 / 3)


def test_groups_are_places_and_what_is_dropped_is_not_used():
    model = np.array([0, 1, 2, -1, 1, 3])
    sides = {"place": np.array([0, 1, 0, 2]), "side": np.array([TRAIN, DROPPED, TRAIN, VALIDATION], np.int8)}
    group, side, cluster = assign_groups(model, sides, np.array([0, 1, 2, 2, 1, 3]))
    assert group.tolist() == [0, -1, 0, -1, -1, 2]
    assert side.tolist() == [TRAIN, 0, TRAIN, 0, 0, VALIDATION]
    assert cluster.tolist() == [0, 1, 2, 2, 1, 3]


def test_outsiders_get_groups_of_their_own_and_a_drawn_side():
    group, side = np.full(1000, -1, np.int32), np.zeros(1000, np.int8)
    group[:3], side[:3] = (0, 4, 4), TRAIN
    add_outsiders(group, side, np.arange(100, 900), 0.3, seed=0)
    assert group[:3].tolist() == [0, 4, 4] and group[100:900].tolist() == list(range(5, 805))
    assert 0.24 < (side[100:900] == VALIDATION).mean() < 0.36 and set(side[100:900]) == {TRAIN, VALIDATION}
    assert (group[900:] == -1).all() and (side[900:] == 0).all()


def word_index(path, photos):
    """An index of photos given as lists of (words, offset of their places)."""
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


def test_weak_matches(tmp_path):
    """0 and 1 share ten words at their places, 2 and 3 share three, 4 shares nothing, 5 has no words."""
    photos = [(range(30), 0), ([*range(10), *range(40, 60)], 20), (range(100, 130), 0), ([*range(100, 103), *range(140, 160)], 9)]
    index = word_index(tmp_path / "i.h5", [*photos, (range(200, 230), 0), ([], 0)])
    assert find_weak_matches(index, np.arange(6), 10, 2, 24, threads=2).tolist() == [[0, 1], [1, 0], [2, 3], [3, 2]]
    assert find_weak_matches(index, np.arange(6), 10, 3, 24, threads=1).tolist() == [[0, 1], [1, 0]]
    assert find_weak_matches(index, np.arange(6), 10, 10, 24, threads=2).tolist() == []
    assert find_weak_matches(index, np.array([4, 0]), 10, 3, 24, threads=2).tolist() == [[0, 1]]
    assert find_weak_matches(index, np.zeros(0, int), 10, 3, 24, threads=1).shape == (0, 2)


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
    is joined to another by a verified pair, 15 stands alone; 16 is in a cluster but in no model. Photo 4 is also seen by model 2."""
    models = [
        {"photos": PHOTOS, "centres": CENTRES, "seen": SEEN},
        {"photos": [4, 5, 6, 7, 8], "centres": [0, 1, 2.1, 3, 9], "seen": [range(20)] * 4 + [range(100, 110)]},
        {"photos": [9, 10, 11, 4], "centres": [0, 1, 2.1, 3], "seen": [range(8)] * 4},
    ]
    built = models_arrays(models, 17)
    built["model"][4] = 1
    artefact.write(tmp_path / "models.h5", "models", built)
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
    paths = {name: folder / f"{name}.h5" for name in ("models", "split", "graph", "clusters", "index")}
    mine_pairs(**paths, out=folder / "pairs.h5", **(OPTIONS | changed))
    return artefact.read(folder / "pairs.h5", "pairs")


def pools(found):
    """Query -> photos of its pool."""
    parts = zip(found["query"].tolist(), found["pool_offset"][:-1], found["pool_offset"][1:], strict=True)
    return {query: found["pool/photo"][a:b].tolist() for query, a, b in parts}


def test_every_photo_with_a_positive_is_a_query(inputs):
    found = mined(inputs)
    first, second = {3: [1, 0], 1: [3], 0: [3]}, {4: [5, 6, 7], 5: [4, 6, 7], 6: [7, 5, 4], 7: [6, 5, 4]}
    assert pools(found) == first | second | {9: [10, 11], 10: [9, 11], 11: [10, 9]}
    rows = slice(*found["pool_offset"][:2])
    assert found["pool/shared"][rows].tolist() == [6, 8] and found["pool/inliers"][rows].tolist() == [31, 42]
    assert found["pool/distance"][rows] == pytest.approx([1 / 4.5, 2 / 4.5]) and found["pool/overlap"][rows] == pytest.approx([0.5, 8 / 12])


def test_a_pool_stays_within_its_group_and_side(inputs):
    found = mined(inputs)
    for query, photos in pools(found).items():
        assert (found["group"][photos] == found["group"][query]).all() and (found["side"][photos] == found["side"][query]).all()
        assert query not in photos


def test_validation_positives_are_all_photos_with_enough_common_points(inputs):
    found = mined(inputs, nearest_cameras=1)
    parts = zip(found["query"].tolist(), found["positive_offset"][:-1], found["positive_offset"][1:], strict=True)
    positives = {query: found["positive"][a:b].tolist() for query, a, b in parts}
    assert positives[4] == [5, 6, 7] and positives[10] == [9, 11] and positives[3] == [0, 1]
    assert all(len(photos) <= 1 for photos in pools(found).values())


def test_sides_and_groups_of_photos_inside_and_outside_of_models(inputs):
    found = mined(inputs)
    assert found["group"][:12].tolist() == [0] * 4 + [1] * 5 + [2] * 3
    assert found["side"][:12].tolist() == [TRAIN] * 9 + [VALIDATION] * 3
    assert found["group"][[12, 13, 15]].tolist() == [3, 4, 5] and set(found["side"][[12, 13, 15]]) <= {TRAIN, VALIDATION}
    assert found["weak"].tolist() == [[12, 13], [13, 12]]
    assert (found["group"][[14, 16]] == -1).all() and (found["side"][[14, 16]] == 0).all()


def test_cut_pairs_are_handed_on_as_doubt(inputs):
    """Those of a photo without a group too: its cluster has places."""
    assert mined(inputs)["doubt"].tolist() == [[16, 3]]


def test_doubt_joins_groups_and_clusters_but_is_not_passed_on():
    """Clusters: 0 with the places 0 and 1 and the photo 4 of none, 1 with place 2, 2 with place 3; 8 is outside, 9 has nothing."""
    group, cluster = np.array([0, 0, 1, 1, -1, 2, 2, 3, 4, -1]), np.array([0, 0, 0, 0, 0, 1, 1, 2, -1, -1])
    doubt = np.array([[4, 5], [6, 7], [8, 7], [9, 0]])
    found = [np.flatnonzero(related(photo, np.arange(10), group, cluster, doubt)).tolist() for photo in range(9)]
    first, second = [0, 1, 2, 3, 4, 5, 6], [0, 1, 2, 3, 4, 5, 6, 7]
    assert found == [first] * 5 + [second, second, [5, 6, 7, 8], [7, 8]]
    alone = np.zeros((0, 2), int)
    assert np.flatnonzero(related(5, np.arange(10), group, cluster, alone)).tolist() == [5, 6]
    assert related(5, np.array([7, 5, 0]), group, cluster, doubt).tolist() == [True, True, True]


def test_a_photo_without_words_is_no_outsider(inputs):
    """It may be one that cannot be read, which neither training nor another program would get far with."""
    words = [(range(10 * i, 10 * i + 10), 0) for i in range(17)]
    words[15] = ([], 0)
    word_index(inputs / "index.h5", words)
    found = mined(inputs)
    assert (found["group"][[12, 13]] >= 0).all() and found["group"][15] == -1 and found["side"][15] == 0


def test_an_outsider_that_shows_a_benchmark_is_not_trained_on(inputs):
    found = mined(inputs, contaminated=[13])
    assert found["group"][[12, 15]].tolist() == [3, 4] and found["group"][13] == -1 and found["side"][13] == 0


@pytest.mark.parametrize("limit", [0, 1, 2])
def test_outsiders_are_limited(inputs, limit):
    """Whoever is not drawn is neither asked for nor used."""
    asked = {}
    for seed in range(8):
        found = mined(inputs, max_background=limit, seed=seed)
        drawn = [row for row in (12, 13, 15) if found["group"][row] >= 0]
        assert len(drawn) == limit and found["group"][drawn].tolist() == list(range(3, 3 + limit))
        assert all(found["side"][row] == 0 for row in (12, 13, 15) if row not in drawn)
        assert set(found["weak"][:, 0].tolist()) == set(drawn) & {12, 13}
        asked[tuple(drawn)] = seed
    assert len(asked) > 1 or not limit


def test_a_dropped_model_gives_no_query_and_no_negative(inputs):
    found = mined(inputs, sides=(TRAIN, DROPPED, TRAIN))
    assert set(pools(found)) == {3, 1, 0, 9, 10, 11}
    assert (found["group"][4:9] == -1).all() and (found["side"][4:9] == 0).all()


@pytest.mark.parametrize(
    ("limits", "counts"),
    [({"max_queries": 2}, [2, 2, 2]), ({"query_fraction": 0.4}, [2, 2, 1]), ({"query_fraction": 0.01}, [1, 1, 1])],
)
def test_queries_per_model_are_limited(inputs, limits, counts):
    found = mined(inputs, **limits)
    assert np.bincount(found["group"][found["query"]], minlength=3).tolist() == counts
    assert set(found["query"].tolist()) <= set(mined(inputs)["query"].tolist())
    assert len(found["pool_offset"]) == len(found["positive_offset"]) == len(found["query"]) + 1


def test_models_of_a_user_need_no_teacher(inputs):
    """The same queries and positives, no inliers, and nothing of the photos outside the models."""
    with_teacher = mined(inputs)
    mine_pairs(models=inputs / "models.h5", split=inputs / "split.h5", out=inputs / "own.h5", **OPTIONS)
    found = artefact.read(inputs / "own.h5", "pairs")
    assert pools(found) == pools(with_teacher) and found["pool/scale"].tolist() == with_teacher["pool/scale"].tolist()
    assert not found["pool/inliers"].any() and (found["group"][12:] == -1).all() and found["weak"].shape == found["doubt"].shape == (0, 2)


def test_fewer_than_two_training_places_are_one_clear_line(inputs):
    for sides, place, found in (
        ((TRAIN, DROPPED, VALIDATION), (0, 1, 2), "1 can train and 1 validate, 1 were dropped because a benchmark shows them"),
        ((TRAIN, TRAIN, TRAIN), (0, 0, 0), "1 can train and 0 validate; training needs at least two different places"),
    ):
        with pytest.raises(NothingFound, match=found) as caught:
            mined(inputs, sides, place)
        assert str(caught.value).startswith("pairs: ") and "\n" not in str(caught.value)
    assert not (inputs / "pairs.h5").exists()


def test_no_positive_is_one_clear_line(inputs):
    with pytest.raises(NothingFound, match=r"share 1000 3D points \(pairs\.min_shared\), so there is no positive"):
        mined(inputs, min_shared=1000)


def test_the_same_bytes_from_any_number_of_threads(inputs):
    written = []
    for threads in (1, 2, 1):
        mined(inputs, threads=threads, max_queries=2, seed=len(written) // 2)
        written.append((inputs / "pairs.h5").read_bytes())
    assert written[0] == written[1] != written[2]


def test_rendered_pairs_show_one_landmark_and_share_what_they_say(modelled, tmp_path):
    """From the real models: pools hold photos of the query's landmark, nearer cameras first, with overlaps that are true."""
    count = len(artefact.read(modelled.models, "models", ["cluster"])["cluster"])
    split = {"side": np.full(count, TRAIN, np.int8), "place": np.arange(count, dtype=np.int32)}
    artefact.write(tmp_path / "split.h5", "split", {**split, "contaminated": np.zeros(len(modelled.photos["name"]), bool)})
    mine_pairs(
        models=modelled.models, split=tmp_path / "split.h5", graph=modelled.graph, clusters=modelled.clusters, index=modelled.index,
        out=tmp_path / "pairs.h5", **(OPTIONS | {"background_max_inliers": 8}),
    )  # fmt: skip
    found = artefact.read(tmp_path / "pairs.h5", "pairs")
    assert len(found["query"]) >= 14
    for number, query in enumerate(found["query"]):
        rows = slice(*found["pool_offset"][number : number + 2])
        photos = found["pool/photo"][rows]
        assert (modelled.landmark[photos] == modelled.landmark[query]).all()
        assert (np.diff(found["pool/distance"][rows]) >= 0).all() and found["pool/shared"][rows].min() >= 5
        assert found["pool/overlap"][rows].max() <= 1 and found["pool/scale"][rows].min() >= 1
        centre = modelled.records[query].shot.camera.centre
        true = [np.linalg.norm(modelled.records[photo].shot.camera.centre - centre) for photo in photos]
        assert len(photos) < 3 or np.corrcoef(true, found["pool/distance"][rows])[0, 1] > 0.99
    outsiders = np.flatnonzero(found["group"] >= count)
    assert set(outsiders.tolist()) <= set(np.flatnonzero(modelled.landmark < 0).tolist())
