"""Min-hash: the law of collisions, uniform hashes, exact overlaps, seeds that are right."""

import math
from itertools import combinations

import numpy as np
import pytest
from seeding import write_seeds

from bow2cnn.clustering import minhash
from bow2cnn.clustering.minhash import BagOfWords, Hasher, _chance, _start, collide, overlap
from bow2cnn.core import artefact


def pack(sets, idf):
    """`BagOfWords` of sets (or lists) of words."""
    offset = artefact.offsets([len(s) for s in sets])
    word = np.concatenate([np.zeros(0, np.uint32), *(np.array(sorted(s), np.uint32) for s in sets)])
    photo = np.repeat(np.arange(len(sets), dtype=np.int32), np.diff(offset))[np.argsort(word, kind="stable")]
    return BagOfWords(offset, word, artefact.offsets(np.bincount(word, minlength=len(idf))), photo, np.asarray(idf, np.float32))


def pairs_with_overlap(count, common, own, first=0):
    """`count` pairs of sets with `common` words in both sets and `own` words in one set; no word is in two pairs."""
    sets, word = [], first
    for _ in range(count):
        shared = range(word, word + common)
        sets += [{*shared, *range(word + common + i * own, word + common + (i + 1) * own)} for i in range(2)]
        word += common + 2 * own
    return sets, word


def collided(sets, idf, sketch_size, sketches, threads=1, min_similarity=0.0):
    """Pairs that share a sketch."""
    return collide(pack(sets, idf), sketch_size, range(sketches), min_similarity, seed=0, threads=threads)[0]


def weighted_overlap(a, b, idf):
    union = sum(float(idf[w]) for w in a | b)
    return sum(float(idf[w]) for w in a & b) / union if union else 0.0


@pytest.mark.parametrize(("common", "own"), [(4, 28), (6, 27), (9, 25), (2, 29)])
def test_photos_collide_as_often_as_the_law_says(common, own):
    """1 - (1 - x^3)^512 at overlap x, over 300 independent pairs: within 3.5 standard deviations."""
    sets, words = pairs_with_overlap(300, common, own)
    x = common / (common + 2 * own)
    expected = 1 - (1 - x**3) ** 512
    found = collided(sets, np.ones(words, np.float32), 3, 512, threads=2)
    assert set(map(tuple, found.tolist())) <= {(2 * i, 2 * i + 1) for i in range(300)}
    assert abs(len(found) - 300 * expected) <= 3.5 * math.sqrt(300 * expected * (1 - expected)) + 0.5


def test_the_law_holds_for_overlaps_weighted_by_idf():
    """Rare words count more: with one hash a sketch, a pair collides in a share of the sketches that is its weighted overlap."""
    rng = np.random.default_rng(0)
    sets, words = pairs_with_overlap(40, 8, 6)
    idf = rng.uniform(0.2, 8, words).astype(np.float32)
    hasher = Hasher(pack(sets, idf), 0)
    hashes = np.stack([hasher.hashes(n) for n in range(1500)])
    agree = (hashes[:, ::2] == hashes[:, 1::2]).mean(0)
    expected = np.array([weighted_overlap(sets[2 * i], sets[2 * i + 1], idf) for i in range(40)])
    assert np.abs(agree - expected).max() < 4 * math.sqrt(0.25 / 1500)
    assert np.ptp(expected) > 0.15, "the weights matter"


def test_the_hash_of_a_photo_is_its_word_of_the_smallest_value():
    """By looking at every word: of photos with hundreds of words, with one, with none, and with words that are in every photo."""
    rng = np.random.default_rng(0)
    sizes = [*rng.integers(100, 400, 60), *[1] * 20, *[0] * 3]
    sets = [set(rng.choice(5000, size, replace=False).tolist()) | ({7} if size else set()) for size in sizes]
    idf = rng.uniform(0.1, 8, 5000).astype(np.float32)
    idf[7] = 0
    hasher = Hasher(pack(sets, idf), 3)
    for number in range(20):
        u = np.array([_chance(np.uint64(_start(3, number)), word) for word in range(5000)])
        values = -np.log(u) / np.maximum(idf.astype(float), 1e-6)
        expected = [min(words, key=values.__getitem__) if words else 2**32 - 1 for words in sets]
        assert hasher.hashes(number).tolist() == expected


def test_a_sketch_needs_all_its_hashes():
    sets, words = pairs_with_overlap(200, 10, 10)
    counts = [len(collided(sets, np.ones(words, np.float32), size, 4)) for size in (1, 2, 3)]
    expected = [200 * (1 - (1 - (1 / 3) ** size) ** 4) for size in (1, 2, 3)]
    np.testing.assert_allclose(counts, expected, atol=25)


def test_hashes_are_uniform_and_independent():
    starts = [np.uint64(_start(seed, number)) for seed in (0, 1) for number in (0, 1, 2)]
    values = np.array([[_chance(start, word) for word in range(20_000)] for start in starts])
    for u in values:
        assert np.abs(np.sort(u) - (np.arange(20_000) + 0.5) / 20_000).max() < 1.95 / math.sqrt(20_000)  # Kolmogorov at 0.1 %
    correlation = np.corrcoef(values) - np.eye(6)
    assert np.abs(correlation).max() < 4 / math.sqrt(20_000)
    serial = [np.corrcoef(u[:-lag], u[lag:])[0, 1] for u in values for lag in (1, 2)]
    assert np.abs(serial).max() < 4 / math.sqrt(20_000)


def test_overlaps_are_those_of_sets():
    rng = np.random.default_rng(0)
    sets = [set(rng.integers(0, 60, rng.integers(0, 40)).tolist()) for _ in range(20)] + [set(), set()]
    idf = rng.random(60).astype(np.float32)
    pairs = np.array(list(combinations(range(22), 2)), np.int32)
    words = pack(sets, idf)
    found = overlap(pairs, words.offset, words.word, words.idf)
    np.testing.assert_allclose(found, [weighted_overlap(sets[a], sets[b], idf) for a, b in pairs], atol=1e-5)


def test_equal_photos_always_collide_and_empty_ones_never():
    sets = [{1, 2, 3}, set(), {1, 2, 3}, set(), {7, 8}]
    assert collided(sets, np.ones(10, np.float32), 3, 20).tolist() == [[0, 2]]


def test_words_of_every_photo_decide_nothing():
    """Their idf is zero."""
    sets = [{0, 1 + i, 10 + i} for i in range(5)]
    idf = np.array([0.0] + [1.0] * 20, np.float32)
    assert len(collided(sets, idf, 1, 50)) == 0


def test_a_crowd_with_one_sketch_is_left_out():
    sets = [{1, 2}] * 201 + [{3, 4}] * 2
    assert collided(sets, np.ones(10, np.float32), 1, 5).tolist() == [[201, 202]]


def test_no_photos_no_pairs():
    assert collided([], np.ones(10, np.float32), 3, 5).shape == (0, 2)


def test_most_seeds_join_photos_of_one_landmark(grown):
    seeds = artefact.read(grown.seeds, "seeds")
    a, b = seeds["pair"].T
    assert len(a) >= 4 and (a < b).all()
    assert np.mean((grown.landmark[a] == grown.landmark[b]) & (grown.landmark[a] >= 0)) > 0.8
    assert {0, 1} <= set(grown.landmark[a].tolist())
    assert seeds["inliers"].min() >= 8 and seeds["similarity"].min() >= 0.045 and seeds["collisions"] >= len(a)


@pytest.mark.parametrize(("threads", "parts"), [(1, 1), (2, 1), (1, 3), (2, 7)])
def test_seeds_depend_on_neither_threads_nor_parts(grown, tmp_path, threads, parts):
    write_seeds(grown.index, tmp_path / "seeds.h5", grown.max_hamming, parts=parts, threads=threads)
    assert (tmp_path / "seeds.h5").read_bytes() == grown.seeds.read_bytes()


def test_words_that_are_there_twice_count_once():
    rng = np.random.default_rng(0)
    sets = [sorted(rng.choice(60, 12, replace=False).tolist()) for _ in range(12)]
    twice = [sorted(words + words[:5]) for words in sets]
    idf = rng.random(60).astype(np.float32)
    pairs, similarity = collide(pack(twice, idf), 2, range(30), 0.0, seed=0, threads=1)
    expected, expected_similarity = collide(pack(sets, idf), 2, range(30), 0.0, seed=0, threads=1)
    assert len(pairs) > 10 and pairs.tolist() == expected.tolist()
    np.testing.assert_array_equal(similarity, expected_similarity)


@pytest.mark.parametrize("at_once", [1, 3, 16])
def test_pairs_of_little_overlap_are_dropped(monkeypatch, at_once):
    monkeypatch.setattr(minhash, "_AT_ONCE", at_once)
    sets = pairs_with_overlap(20, 10, 10)[0] + pairs_with_overlap(20, 2, 18, first=1000)[0]
    pairs, similarity = collide(pack(sets, np.ones(2000)), 1, range(40), 0.2, seed=0, threads=2)
    assert pairs.tolist() == [[2 * i, 2 * i + 1] for i in range(20)]
    np.testing.assert_allclose(similarity, 1 / 3, atol=1e-6)
    assert len(collided(sets, np.ones(2000, np.float32), 1, 40)) > 30


def test_no_candidates_no_seeds(made, tmp_path):
    found = write_seeds(made.index, tmp_path / "seeds.h5", made.max_hamming, min_similarity=1.0)
    assert found["pair"].shape == (0, 2) and len(found["inliers"]) == 0


def test_seeds_follow_the_seed(grown, tmp_path):
    """Other hashes, other collisions."""
    found = [write_seeds(grown.index, tmp_path / "seeds.h5", grown.max_hamming, 64, 0.0, seed=seed) for seed in range(3)]
    collisions = [int(seeds["collisions"]) for seeds in found]
    assert len(set(collisions)) > 1
