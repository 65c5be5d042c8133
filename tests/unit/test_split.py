"""The split: one place stays on one side, benchmarks' places are dropped, the seed decides."""

from itertools import combinations

import numpy as np
import pytest

from bow2cnn.core import artefact
from bow2cnn.pairs.exclusions import NegativeRule
from bow2cnn.split.choose_validation_models import choose_sides
from bow2cnn.split.sides import DROPPED, TRAIN, VALIDATION
from bow2cnn.split.split_models import find_doubt, find_places, split_models
from bow2cnn.training.hard_negatives import mine_negatives

PHOTOS = 200  # of the collection


def split(tmp_path, members, pairs=(), contamination=None, validation=0.2, seed=0, cut=()):
    """The split's arrays for models with these photos; `contamination`: benchmark -> (photo, inliers) pairs."""
    offset = artefact.offsets([len(photos) for photos in members])
    photo = np.array([p for photos in members for p in photos], np.int32)
    artefact.write(tmp_path / "m.h5", "models", {"model": np.zeros(PHOTOS, np.int32), "photo_offset": offset, "photo": photo})
    artefact.write(tmp_path / "g.h5", "graph", {"pair": np.array(pairs, np.int32).reshape(-1, 2)})
    artefact.write(tmp_path / "c.h5", "clusters", {"cut/pair": np.array(cut, np.int32).reshape(-1, 2)})
    paths = {}
    for name, hits in (contamination or {}).items():
        paths[name] = tmp_path / f"{name}.h5"
        columns = np.array(hits, np.int32).reshape(-1, 2).T
        artefact.write(paths[name], "ranking", {"verified/photo": columns[0], "verified/inliers": columns[1]})
    split_models(tmp_path / "m.h5", paths, tmp_path / "s.h5", validation, seed, tmp_path / "g.h5", tmp_path / "c.h5")
    return artefact.read(tmp_path / "s.h5", "split")


def separate(count, size=5):
    """Models that share nothing."""
    return [list(range(i * size, (i + 1) * size)) for i in range(count)]


def places(members, pairs=()):
    return find_places([np.array(photos) for photos in members], np.array(pairs, np.int32).reshape(-1, 2)).tolist()


def test_models_that_share_nothing_are_places_of_their_own():
    assert places(separate(4)) == [0, 1, 2, 3] and places([]) == []


def test_a_shared_photo_makes_one_place():
    assert places([[0, 1, 2], [3, 4], [2, 5], [6], [5, 7]]) == [0, 1, 0, 2, 0]


def test_a_verified_pair_makes_one_place():
    assert places(separate(4), [(3, 17), (0, 1)]) == [0, 1, 2, 0]


def test_a_pair_that_was_cut_joins_nothing(tmp_path):
    found = [split(tmp_path, separate(4), [(3, 17), (8, 12)], cut=cut)["place"].tolist() for cut in ([], [(17, 3)], [(3, 17), (8, 12)])]
    assert found == [[0, 1, 1, 0], [0, 1, 1, 2], [0, 1, 2, 3]]


def test_pairs_with_photos_outside_the_models_join_nothing():
    assert places(separate(3), [(2, 99), (99, 7), (50, 51)]) == [0, 1, 2]


@pytest.mark.parametrize("seed", range(4))
def test_both_sides_never_share_a_place(tmp_path, seed):
    rng = np.random.default_rng(seed)
    members = separate(30)
    pairs = rng.integers(0, 150, (12, 2))
    members[3].append(members[20][0])
    found = split(tmp_path, members, pairs, seed=seed)
    model_of = {photo: model for model, photos in enumerate(members) for photo in photos}
    side = found["side"]
    assert set(side.tolist()) == {TRAIN, VALIDATION}
    assert side[3] == side[20]
    assert all(side[model_of[a]] == side[model_of[b]] for a, b in pairs.tolist())
    for place in set(found["place"].tolist()):
        assert len(set(side[found["place"] == place].tolist())) == 1


def test_contaminated_places_are_dropped_with_the_reason(tmp_path):
    """Model 1 shows a benchmark's place, model 4 is the same place as model 1."""
    hits = {"demo": [(5, 30), (6, 44), (5, 21), (99, 80)], "other": [(12, 25)]}
    found = split(tmp_path, separate(6), [(7, 21)], hits)
    assert np.flatnonzero(found["side"] == DROPPED).tolist() == [1, 2, 4]
    expected = "dropped: 2 photos match benchmark demo, with up to 44 inliers"
    assert found["reason"][1] == found["reason"][4] == expected
    assert found["reason"][2] == "dropped: 1 photos match benchmark other, with up to 25 inliers"
    assert np.flatnonzero(found["contaminated"]).tolist() == [5, 6, 12, 99], "one outside every model too"
    for model in (0, 3, 5):
        assert found["reason"][model] == {TRAIN: "training", VALIDATION: "validation"}[int(found["side"][model])]


@pytest.mark.parametrize(
    ("count", "validation", "expected"), [(20, 0.2, 4), (20, 0.5, 10), (3, 0.2, 1), (2, 0.2, 1), (2, 0.9, 1), (1, 0.5, 0)]
)
def test_the_number_of_places_for_validation(tmp_path, count, validation, expected):
    found = split(tmp_path, separate(count), validation=validation)
    assert (found["side"] == VALIDATION).sum() == expected
    assert (found["side"] == TRAIN).sum() == count - expected


def test_no_models_no_sides(tmp_path):
    found = split(tmp_path, [])
    assert len(found["side"]) == len(found["place"]) == len(found["reason"]) == 0


def test_when_all_is_dropped_nothing_is_left_to_choose(tmp_path):
    found = split(tmp_path, separate(2), contamination={"demo": [(0, 30), (5, 30)]})
    assert found["side"].tolist() == [DROPPED, DROPPED]


def test_both_sides_get_large_and_small_places():
    """Of the places by size, one of every five is drawn."""
    sizes = np.random.default_rng(0).permutation(np.arange(5, 45))
    members = [list(range(size)) for size in sizes]
    for seed in range(10):
        side = choose_sides(members, np.arange(40, dtype=np.int32), set(), 0.2, seed)
        ranks = np.sort(44 - sizes[side == VALIDATION])
        assert (ranks // 5).tolist() == list(range(8))


def test_the_size_of_a_place_is_that_of_all_its_models():
    """Three small models of one place are the largest place. It is the only one of the first run of places, so it validates."""
    members = [list(range(4))] * 3 + [list(range(10)), list(range(9)), list(range(8))]
    place = np.array([0, 0, 0, 1, 2, 3], np.int32)
    drawn = {tuple(choose_sides(members, place, set(), 0.5, seed).tolist()) for seed in range(20)}
    assert all(side[0] == side[1] == side[2] for side in drawn)
    assert all((side[0] == VALIDATION) != (side[3] == VALIDATION) for side in drawn), "one of the two largest"


def test_the_seed_decides(tmp_path):
    members = separate(20)
    written = []
    for seed in (1, 1, 2):
        split(tmp_path, members, seed=seed)
        written.append((tmp_path / "s.h5").read_bytes())
    assert written[0] == written[1]
    sides = {tuple(split(tmp_path, members, seed=seed)["side"].tolist()) for seed in range(5)}
    assert len(sides) > 1


def test_the_places_that_a_cut_pair_joins_are_in_doubt():
    members = [np.array(photos) for photos in ([0, 1], [2, 3], [3, 4], [5, 6])]
    cut = np.array([[6, 1], [0, 5], [2, 4], [4, 0], [9, 0]])
    assert find_doubt(members, np.array([0, 1, 1, 2]), cut).tolist() == [[0, 1], [0, 2]]
    assert find_doubt(members, np.array([0, 1, 1, 2]), cut[:0]).shape == (0, 2)


@pytest.mark.parametrize("seed", range(5))
def test_places_in_doubt_stay_on_one_side(tmp_path, seed):
    """A chain of three, and a pair. Place 6, which is dropped, links nothing."""
    cut = [(0, 50), (51, 23), (60, 70), (24, 30), (31, 40)]
    found = split(tmp_path, separate(20), cut=cut, contamination={"demo": [(32, 50)]}, seed=seed)
    side = found["side"]
    assert found["place"].tolist() == list(range(20)) and found["doubt"].tolist() == [[0, 10], [4, 6], [4, 10], [6, 8], [12, 14]]
    assert side[0] == side[10] == side[4] and side[12] == side[14] and np.flatnonzero(side == DROPPED).tolist() == [6]


def test_what_is_in_doubt_may_come_to_either_side(tmp_path):
    drawn = [split(tmp_path, separate(12), cut=[(0, 50), (51, 23), (30, 35)], seed=seed)["side"] for seed in range(20)]
    assert {int(side[0]) for side in drawn} == {int(side[6]) for side in drawn} == {TRAIN, VALIDATION}
    assert all(side[0] == side[10] == side[4] and side[6] == side[7] for side in drawn)
    assert {int(side[8] == side[6]) for side in drawn} == {int(side[4] == side[8]) for side in drawn} == {0, 1}


def chained(sizes, doubt):
    """The sides of places with these numbers of photos, by several seeds."""
    members, place = [list(range(size)) for size in sizes], np.arange(len(sizes), dtype=np.int32)
    return [choose_sides(members, place, set(), 0.3, seed, np.array(doubt)).tolist() for seed in range(20)]


def test_a_component_with_most_photos_trains():
    drawn = chained([9, 8, 7, 6, 5, 4, 3], [(0, 1), (1, 2), (2, 3)])
    assert {tuple(side) for side in drawn} == {(TRAIN,) * 4 + last for last in ((2, 1, 1), (1, 2, 1), (1, 1, 2))}


def test_a_single_component_gives_the_place_whose_doubt_costs_least():
    """At an end of the chain: 5 photos and the 6 in doubt of them, or 9 and 4."""
    chain = [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)]
    assert chained([5, 6, 9, 8, 4, 9], chain)[0] == [VALIDATION, DROPPED] + [TRAIN] * 4
    assert chained([5, 9, 9, 8, 4, 9], chain)[0] == [TRAIN] * 4 + [DROPPED, VALIDATION]


def test_the_reason_of_a_place_that_is_dropped_for_doubt(tmp_path):
    found = split(tmp_path, separate(5), cut=[(0, 5), (6, 10), (11, 15), (16, 20)])
    assert found["side"].tolist() == [VALIDATION, DROPPED, TRAIN, TRAIN, TRAIN]
    assert found["reason"][1] == "dropped: a cut pair leaves it in doubt whether it shows the same as a place that validates"


ALL_OF_FOUR = [(0, 5), (0, 10), (0, 15), (5, 10), (5, 15), (10, 15)]


@pytest.mark.parametrize(("count", "cut"), [(2, [(0, 5)]), (3, [(0, 5), (5, 10)]), (4, ALL_OF_FOUR)])
def test_where_all_is_in_doubt_of_all_everything_trains(tmp_path, caplog, count, cut):
    assert split(tmp_path, separate(count), cut=cut)["side"].tolist() == [TRAIN] * count
    assert "so none of them is for validation" in caplog.text


@pytest.mark.parametrize("others", [0, 2])
def test_a_photo_that_four_weak_pairs_join_to_another_cluster(tmp_path, others):
    """A wide photo (0) was verified with four photos of another cluster, each time by a little less than what joins clusters. The two
    models were on two sides, and the hardest negative of the wide photo was one that it was verified with.
    """
    members = separate(2 + others)
    cut = [(0, b) for b in range(5, 9)]
    pair = [*combinations(members[0], 2), *combinations(members[1], 2), *cut]
    for seed in range(10):
        arrays = split(tmp_path, members, pair, cut=cut, seed=seed, validation=0.5)
        assert arrays["side"][0] == arrays["side"][1] and arrays["place"][0] != arrays["place"][1]
    rows = np.arange(5 * len(members))
    descriptors = np.eye(len(rows), dtype=np.float32)
    descriptors[0, 5:9] = 0.5  # nothing is as similar to the wide photo
    group, cluster = arrays["place"][rows // 5], rows // 5
    rule = NegativeRule(group, cluster, np.ones(len(rows)), doubt=cut)
    photo, _ = mine_negatives(descriptors, np.array([0, 7]), rows, rule, 5, "diverse")
    assert [line[line >= 0].tolist() for line in photo] == [[10, 15][:others]] * 2
