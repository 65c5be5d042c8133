"""The index: order of words, idf, weights and norms compared with a computation with dicts, scores compared with their formula."""

import errno
import functools
import math
import os
from collections import Counter

import numpy as np
import pytest

from bow2cnn.core import artefact
from bow2cnn.core.atomic_files import WriteError
from bow2cnn.features.store import FeatureStore
from bow2cnn.geometry.verify import hamming
from bow2cnn.index import invert
from bow2cnn.index.build import build_index
from bow2cnn.index.engine import Engine, QuantisedFeatures, word_weights
from bow2cnn.index.forward import drop_features, read_words
from bow2cnn.index.invert import index_arrays
from bow2cnn.index.words import quantise_features
from bow2cnn.vocabulary.vocabulary import Vocabulary

WORDS = 30


def signatures(rng, count):
    """Signatures around four patterns, so that many differ in a few bits only."""
    patterns = np.array([0, 2**64 - 1, 0x0F0F0F0F0F0F0F0F, 0xFFFFFFFF], np.uint64)
    flips = [sum(1 << int(bit) for bit in rng.choice(64, rng.integers(20), replace=False)) for _ in range(count)]
    return patterns[rng.integers(4, size=count)] ^ np.array(flips, np.uint64)


def forward_file(seed, counts):
    """Random words of photos with these numbers of features. Word 0 is in all photos but the empty ones, word `WORDS` - 1 in none."""
    rng = np.random.default_rng(seed)
    words = [np.sort(rng.integers(1, WORDS - 1, count)) for count in counts]
    for word in words:
        word[:1] = 0
    total = sum(counts)
    return {
        "offset": artefact.offsets(counts),
        "word": np.concatenate(words).astype(np.uint32),
        "signature": signatures(rng, total),
        "feature": np.concatenate([rng.permutation(count) for count in counts]).astype(np.int32),
        "keypoint": rng.random((total, 6)).astype(np.float32),
    }


def bags(forward):
    """The (word, signature) pairs of each photo."""
    rows = list(zip(forward["word"].tolist(), forward["signature"].tolist(), strict=True))
    return [rows[a:b] for a, b in zip(forward["offset"][:-1], forward["offset"][1:], strict=True)]


@pytest.fixture
def forward():
    return forward_file(0, [40, 0, 25, 60, 1, 33])


@pytest.fixture
def index(forward):
    return index_arrays(forward, np.full((6, 2), 100), WORDS)


def expected_idf(forward):
    frequency = Counter(word for bag in bags(forward) for word in {word for word, _ in bag})
    return [math.log(6 / max(frequency[word], 1)) for word in range(WORDS)]


def expected_weights(forward):
    """idf / sqrt(features of the word in the photo) of each feature of each photo."""
    idf = expected_idf(forward)
    return [[idf[w] / math.sqrt(Counter(word for word, _ in bag)[w]) for w, _ in bag] for bag in bags(forward)]


def test_hamming_counts_different_bits():
    rng = np.random.default_rng(0)
    for a, b in rng.integers(0, 2**64, (200, 2), np.uint64):
        assert hamming(a, b) == (int(a) ^ int(b)).bit_count()
    assert hamming(np.uint64(0), np.uint64(2**64 - 1)) == 64


def test_idf_is_the_logarithm_of_photos_over_photos_with_the_word(forward, index):
    np.testing.assert_allclose(index["idf"], expected_idf(forward), rtol=1e-6)
    assert index["idf"].max() == pytest.approx(math.log(6))


def test_norms_are_the_lengths_of_the_weights(forward, index):
    expected = [max(math.sqrt(sum(w * w for w in weights)), 1e-6) for weights in expected_weights(forward)]
    np.testing.assert_allclose(index["norm"], expected, rtol=1e-5)


def test_the_inverted_file_has_every_feature_once_by_word_then_photo(forward, index):
    weights = expected_weights(forward)
    expected = sorted(
        (word, photo, signature, round(weights[photo][i], 4))
        for photo, bag in enumerate(bags(forward))
        for i, (word, signature) in enumerate(bag)
    )
    word = np.repeat(np.arange(WORDS), np.diff(index["word_offset"])).tolist()
    found = list(
        zip(word, index["photo"].tolist(), index["posting_signature"].tolist(), [round(float(w), 4) for w in index["weight"]], strict=True)
    )
    assert sorted(found) == expected
    assert [row[:2] for row in found] == [row[:2] for row in expected]


@pytest.mark.parametrize("max_hamming", [0, 12, 24, 64])
def test_scores_are_their_formula(forward, index, max_hamming):
    """Matches of a word are one-to-one in every photo; those of the most similar signatures are chosen first."""
    engine = Engine(index, max_hamming)
    asked = forward_file(1, [50])
    query = bags(asked)[0]
    idf = expected_idf(forward)
    count = Counter(word for word, _ in query)
    query_weights = [idf[word] / math.sqrt(count[word]) for word, _ in query]
    norms = [math.sqrt(sum(w * w for w in weights)) for weights in expected_weights(forward)]
    expected = []
    for bag, weights, norm in zip(bags(forward), expected_weights(forward), norms, strict=True):
        pairs = sorted(
            ((signature ^ other_signature).bit_count(), i + k, i, k)
            for i, (word, signature) in enumerate(query)
            for k, (other, other_signature) in enumerate(bag)
            if word == other
        )
        total, used, taken = 0.0, set(), set()
        for h, _, i, k in pairs:
            if h <= max_hamming and i not in used and k not in taken:
                used.add(i)
                taken.add(k)
                total += query_weights[i] * weights[k] * math.exp(-(h**2) / 16**2)
        expected.append(total / max(norm, 1e-6) / math.sqrt(sum(w * w for w in query_weights)))
    found = engine.score(QuantisedFeatures(asked["word"], asked["signature"], asked["keypoint"], asked["feature"], (100, 100)))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    assert found.max() > 0.05 or max_hamming == 0


def test_a_photo_scores_one_with_itself(index):
    engine = Engine(index, 24)
    for photo in (0, 2, 3, 5):
        scores = engine.score(engine.words(photo))
        assert scores[photo] == pytest.approx(1, abs=1e-4) == scores.max()


def test_the_ranking_breaks_ties_by_row_and_ends_with_the_score(forward):
    twice = {name: np.concatenate([array[: forward["offset"][1]]] * 2) for name, array in forward.items() if name != "offset"}
    other = {name: array[forward["offset"][2] : forward["offset"][3]] for name, array in forward.items() if name != "offset"}
    joined = {name: np.concatenate([other[name], twice[name]]) for name in twice}
    engine = Engine(index_arrays({"offset": artefact.offsets([25, 0, 40, 40]), **joined}, np.full((4, 2), 100), WORDS), 24)
    photos, scores = engine.rank(engine.words(3), 10)
    assert photos.tolist()[:2] == [2, 3] and 1 not in photos
    assert (np.diff(scores) <= 0).all() and (scores > 0).all()
    assert engine.rank(engine.words(3), 1)[0].tolist() == [2]
    assert len(engine.rank(engine.words(1), 10)[0]) == 0


@pytest.mark.parametrize("count", [0, 1, 7, 60, 199, 200, 500])
def test_the_best_photos_are_the_first_of_all(index, monkeypatch, count):
    scores = np.random.default_rng(0).integers(0, 12, 200).astype(np.float32)
    engine = Engine(index, 24)
    monkeypatch.setattr(engine, "score", lambda query: scores)
    expected = [row for row in sorted(range(200), key=lambda row: (-scores[row], row)) if scores[row] > 0][:count]
    photos, found = engine.rank(None, count)
    assert photos.tolist() == expected
    assert found.tolist() == scores[expected].tolist()


@pytest.mark.parametrize("block", [1, 30, 70])
def test_an_index_is_the_same_from_shards_and_on_disk(forward, index, tmp_path, monkeypatch, block):
    monkeypatch.setattr(invert, "_BLOCK", block)
    cuts = [(0, 2), (2, 2), (2, 3), (3, 6)]
    offset = forward["offset"]
    shards = [
        {"offset": offset[a : b + 1] - offset[a]}
        | {name: array[offset[a] : offset[b]] for name, array in forward.items() if name != "offset"}
        for a, b in cuts
    ]
    allocate = functools.partial(invert.allocate_on_disk, tmp_path)
    found = invert.assemble(shards, len(forward["word"]), np.full((6, 2), 100), WORDS, allocate)
    assert found.keys() == index.keys()
    for name, array in index.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)
    assert list(tmp_path.iterdir()) == [], "files without a name"


def test_no_room_for_an_index_is_one_line(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(WriteError, match=r"cannot be written \(No space left on device\)"):
        invert.allocate_on_disk(tmp_path, (10,), np.int32)


def test_weights_of_no_words():
    assert len(word_weights(np.zeros(0, np.uint32), np.ones(5, np.float32))) == 0


def test_dropped_features_leave_the_others_of_their_photo(forward):
    keep = np.random.default_rng(2).random(len(forward["word"])) < 0.6
    found = drop_features(forward, keep)
    rows = np.flatnonzero(keep)
    photo = np.searchsorted(forward["offset"], rows, side="right") - 1
    assert np.diff(found["offset"]).tolist() == [(photo == i).sum() for i in range(6)]
    for name in ("word", "signature", "feature", "keypoint"):
        np.testing.assert_array_equal(found[name], forward[name][rows])


def test_words_point_to_their_features_and_are_sorted(made):
    """The words of both shards together, compared with the features and the vocabulary, photo by photo."""
    forward, store, vocabulary = read_words(made.words), FeatureStore(made.features), Vocabulary.load(made.vocabulary)
    assert len(forward["offset"]) - 1 == len(store) == len(made.landmark)
    for photo in (0, 7, len(store) - 1):
        rows = slice(*forward["offset"][photo : photo + 2])
        keypoint, descriptor = store[photo]
        feature, word = forward["feature"][rows], forward["word"][rows]
        assert sorted(feature.tolist()) == list(range(len(keypoint)))
        order = list(zip(word.tolist(), feature.tolist(), strict=True))
        assert order == sorted(order)
        np.testing.assert_array_equal(forward["keypoint"][rows], keypoint[feature])
        own = vocabulary.assign(descriptor)[feature]
        assert (word == own).mean() > 0.999
        differing = forward["signature"][rows] ^ vocabulary.sign(descriptor[feature], word)
        assert np.bitwise_count(differing).mean() < 0.2, "except for rounding at the medians"


def test_soft_words_are_the_nearest_of_every_feature(made):
    keypoint, descriptor = FeatureStore(made.features)[3]
    vocabulary = Vocabulary.load(made.vocabulary)
    found = quantise_features(descriptor, keypoint, np.array([0, len(keypoint)]), vocabulary, 3)
    expected = vocabulary.assign(descriptor, 3)
    assert (np.diff(found["word"].astype(int)) >= 0).all() and len(found["word"]) == 3 * len(keypoint)
    for feature in (0, 5, len(keypoint) - 1):
        rows = found["feature"] == feature
        assert found["word"][rows & found["nearest"]].tolist() == expected[feature, :1].tolist()
        assert set(found["word"][rows]) == set(expected[feature])
        np.testing.assert_array_equal(found["keypoint"][rows], np.repeat(keypoint[feature][None], 3, 0))
    differing = found["signature"] ^ vocabulary.sign(descriptor[found["feature"]], found["word"])
    assert np.bitwise_count(differing).mean() < 0.2, "except for rounding at the medians"


def test_the_index_leaves_marked_features_out_of_both_files(made, tmp_path):
    forward = read_words(made.words)
    masked = np.random.default_rng(0).random(len(forward["word"])) < 0.3
    artefact.write(tmp_path / "watermarks.h5", "watermarks", {"offset": forward["offset"], "masked": masked})
    build_index(made.collection, made.words, tmp_path / "watermarks.h5", made.vocabulary, tmp_path / "index.h5")
    index = artefact.read(tmp_path / "index.h5", "index")
    kept = len(masked) - masked.sum()
    assert len(index["word"]) == len(index["photo"]) == index["word_offset"][-1] == index["offset"][-1] == kept
    np.testing.assert_array_equal(index["signature"], forward["signature"][~masked])
    np.testing.assert_array_equal(index["size"], np.stack([made.photos["width"], made.photos["height"]], 1))
    build_index(made.collection, made.words, None, made.vocabulary, tmp_path / "index.h5")
    assert len(artefact.read(tmp_path / "index.h5", "index")["word"]) == len(masked)
