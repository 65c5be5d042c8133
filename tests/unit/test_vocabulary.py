"""The vocabulary: nearest words compared with brute force, signatures with their formula, the same bytes from the same features."""

import numpy as np
import pytest

from bow2cnn.core import artefact
from bow2cnn.core.empty_stage import EmptyStageError
from bow2cnn.features.sift import root_sift
from bow2cnn.vocabulary.kmeans import kmeans
from bow2cnn.vocabulary.nearest import NONE, nearest
from bow2cnn.vocabulary.sample import hashes, sample_descriptors
from bow2cnn.vocabulary.train import train_vocabulary, train_words, words_for
from bow2cnn.vocabulary.vocabulary import Vocabulary


def descriptors(seed, count, spots=40):
    """RootSIFT bytes around some spots, uint8 [count, 128]."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(9).gamma(0.6, 1, (spots, 128))
    return root_sift((centres[rng.integers(spots, size=count)] * rng.gamma(3, 1, (count, 128))).astype(np.float32))


def write_features(path, rows, errors=("", "")):
    """Features of two photos, half of the rows each."""
    arrays = {"offset": artefact.offsets([len(rows) // 2, len(rows) - len(rows) // 2]), "keypoint": np.zeros((len(rows), 6), np.float32)}
    artefact.write(path, "features", {**arrays, "descriptor": rows, "error": list(errors)})
    return path


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    folder = tmp_path_factory.mktemp("features")
    return [write_features(folder / f"{i}.h5", descriptors(i, count)) for i, count in enumerate((3000, 0, 1500))]


def trained(features, out, words=100, sample=10_000, seed=0):
    train_vocabulary(features, out, words, sample, iterations=4, seed=seed, threads=1)
    return Vocabulary.load(out)


@pytest.fixture(scope="module")
def vocabulary(features, tmp_path_factory):
    return trained(features, tmp_path_factory.mktemp("vocabulary") / "v.h5")


def centroids(vocabulary):
    """uint8 [K, 128]."""
    return vocabulary.fine.reshape(-1, 128)


def distances(points, centroids):
    return ((points[:, None, :].astype(float) - centroids[None].astype(float)) ** 2).sum(2)


def test_kmeans_finds_separate_clouds():
    rng = np.random.default_rng(0)
    centres = np.array([[50, 50], [150, 50], [50, 150]])
    points = np.rint(np.tile(centres, (50, 1)) + rng.normal(0, 1, (150, 2))).astype(np.uint8)
    found = kmeans(points, 3, 10, threads=1)
    assert found.dtype == np.uint8 and np.sqrt(distances(found, centres)).min(0).max() < 1


def test_fewer_descriptors_than_centroids_are_all_kept():
    points = descriptors(0, 5)
    np.testing.assert_array_equal(kmeans(points, 8, 10, threads=1), points)


@pytest.mark.parametrize("count", [1, 3])
def test_nearest_is_brute_force(count):
    """Exactly; of equally near ones the first comes first."""
    points, candidates = descriptors(0, 1000), np.concatenate([descriptors(1, 30), descriptors(1, 10)])
    squared = distances(points, candidates)
    expected = np.argsort(squared, axis=1, kind="stable")[:, :count]
    rows, found = nearest(points, candidates, count)
    np.testing.assert_array_equal(rows, expected)
    np.testing.assert_array_equal(found, np.take_along_axis(squared, expected, 1))


def test_missing_candidates_are_farther_than_all_others():
    found = nearest(descriptors(0, 4), descriptors(1, 2), 3)[1]
    assert (found[:, :2] < NONE).all() and (found[:, 2] == NONE).all()
    assert (nearest(descriptors(0, 4), descriptors(1, 0))[1] == NONE).all()


@pytest.mark.parametrize("count", [1, 5])
def test_words_are_the_nearest_of_the_four_nearest_cells(vocabulary, count):
    points = descriptors(5, 400)
    to_cells = distances(points, vocabulary.coarse)
    to_words = distances(points, centroids(vocabulary)).reshape(len(points), *vocabulary.fine.shape[:2])
    probed = np.argsort(np.argsort(to_cells, axis=1), axis=1) < 4
    to_words = np.where(probed[:, :, None], to_words, np.inf).reshape(len(points), -1)
    found = vocabulary.assign(points, count).reshape(len(points), count)
    reached = np.take_along_axis(to_words, found, axis=1)
    np.testing.assert_array_equal(reached, np.sort(to_words, axis=1)[:, :count])
    assert all(len(set(row)) == count for row in found.tolist())


def test_words_do_not_depend_on_the_other_descriptors(vocabulary, monkeypatch):
    """Nor on the way in which products are computed, which differs for many and for few descriptors on some processors."""
    points = descriptors(8, 500)
    together = vocabulary.assign(points, 3)
    one_by_one = np.concatenate([vocabulary.assign(points[[row]], 3) for row in range(len(points))])
    np.testing.assert_array_equal(one_by_one, together)
    asked = np.bincount(vocabulary.assign(points) // vocabulary.fine.shape[1])
    for products in (0, int(np.median(asked)) * 4 * vocabulary.fine.shape[1]):
        monkeypatch.setattr("bow2cnn.features.distances._MANY", products)
        np.testing.assert_array_equal(vocabulary.assign(points, 3), together)


def test_words_are_nearly_always_the_nearest_of_all(vocabulary):
    points = descriptors(6, 1000)
    expected = distances(points, centroids(vocabulary)).argmin(1)
    assert (vocabulary.assign(points) == expected).mean() > 0.95


def test_word_numbers_run_through_the_cells(vocabulary):
    assert len(vocabulary) == len(vocabulary.threshold) == vocabulary.fine.shape[0] * vocabulary.fine.shape[1] == 100
    own = vocabulary.assign(centroids(vocabulary))
    assert (own == np.arange(100)).mean() > 0.95


def test_signatures_are_their_formula(vocabulary):
    points = descriptors(7, 50)
    words = vocabulary.assign(points)
    found = vocabulary.sign(points, words)
    assert found.dtype == np.uint64
    for row in range(50):
        bits = vocabulary.projection.astype(float) @ points[row] - vocabulary.threshold[words[row]]
        clear = np.flatnonzero(np.abs(bits) > 1e-2)
        assert all((int(found[row]) >> int(b)) & 1 == (bits[b] > 0) for b in clear) and len(clear) > 55


def test_the_projection_is_a_part_of_a_rotation(vocabulary):
    np.testing.assert_allclose(vocabulary.projection @ vocabulary.projection.T, np.eye(64), atol=1e-5)


def test_thresholds_are_the_medians_of_the_words(vocabulary, features):
    points = sample_descriptors(features, 30 * 100, 0)
    words = vocabulary.assign(points)
    for word in np.unique(words)[::7]:
        own = points[words == word].astype(float) @ vocabulary.projection.T.astype(float)
        np.testing.assert_allclose(vocabulary.threshold[word], np.median(own, axis=0), rtol=1e-3, atol=1e-2)


def test_half_of_the_bits_are_set_and_similar_descriptors_share_most(vocabulary, features):
    """The medians set half of the bits, and a slightly changed descriptor keeps most of its bits."""
    points = sample_descriptors(features, 10_000, 0)
    words = vocabulary.assign(points)
    bits = np.unpackbits(vocabulary.sign(points, words).view(np.uint8)).mean()
    assert 0.45 < bits < 0.55
    noisy = np.clip(points + np.random.default_rng(0).normal(0, 2, points.shape), 0, 255)
    differing = np.unpackbits((vocabulary.sign(points, words) ^ vocabulary.sign(noisy, words)).view(np.uint8)).mean() * 64
    assert differing < 10


def test_few_descriptors_make_few_words(tmp_path):
    features = [write_features(tmp_path / "f.h5", descriptors(0, 300))]
    vocabulary = trained(features, tmp_path / "v.h5", words=5000)
    assert 1 < len(vocabulary) <= 300 // 30
    assert np.isfinite(vocabulary.threshold).all()
    assert set(vocabulary.assign(descriptors(1, 200))) <= set(range(len(vocabulary)))
    assert sorted(vocabulary.assign(descriptors(1, 1), 99)[0]) == list(range(len(vocabulary))), "no word twice"


@pytest.mark.parametrize(("features", "words"), [(0, 1 << 14), (3 << 20, 1 << 16), (1 << 23, 1 << 17), (10**9, 1 << 20)])
def test_the_number_of_words_follows_the_features(features, words):
    assert words_for(features) == words


def test_a_vocabulary_that_follows_the_collection_has_thirty_descriptors_per_word(features, tmp_path):
    assert len(trained(features, tmp_path / "v.h5", words=0)) == pytest.approx(4500 / 30, rel=0.05)


@pytest.mark.parametrize("count", [1, 3])
def test_words_do_not_depend_on_threads_and_blocks(vocabulary, monkeypatch, count):
    points = descriptors(8, 500)
    expected = vocabulary.assign(points, count)
    monkeypatch.setattr("bow2cnn.vocabulary.vocabulary._AT_ONCE", 64)
    monkeypatch.setattr(vocabulary, "_threads", 3)
    np.testing.assert_array_equal(vocabulary.assign(points, count), expected)


def test_no_descriptors_have_no_words(vocabulary):
    assert vocabulary.assign(descriptors(0, 0)).shape == (0,) and vocabulary.assign(descriptors(0, 0), 3).shape == (0, 3)


def test_the_vocabulary_does_not_depend_on_blocks(features, tmp_path, monkeypatch):
    trained(features, tmp_path / "a")
    monkeypatch.setattr("bow2cnn.vocabulary.train._AT_ONCE", 700)
    trained(features, tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_words_exist_only_where_there_were_descriptors_for_them():
    """Three words per cell are wanted. The cell of a single descriptor has one word, and no descriptor gets a word that does not exist."""
    lonely = np.full((1, 128), 255, np.uint8)
    points = np.concatenate([lonely, descriptors(0, 300)])
    vocabulary = train_words(points, 9, 4, seed=0, threads=1)
    cell = vocabulary.assign(lonely)[0] // vocabulary.fine.shape[1]
    assert vocabulary.size[cell] == 1 and (vocabulary.size > 0).all()
    words = vocabulary.assign(np.concatenate([points, descriptors(2, 300)]))
    assert (words % vocabulary.fine.shape[1] < vocabulary.size[words // vocabulary.fine.shape[1]]).all()


def test_equal_descriptors_do_no_harm(tmp_path):
    features = [write_features(tmp_path / "f.h5", np.repeat(descriptors(0, 1), 300, 0))]
    vocabulary = trained(features, tmp_path / "v.h5")
    assert len(set(vocabulary.assign(np.repeat(descriptors(0, 1), 5, 0)))) == 1


def test_hardly_any_descriptors_are_one_clear_line(tmp_path):
    features = [write_features(tmp_path / "f.h5", descriptors(0, 59))]
    with pytest.raises(EmptyStageError, match="only 59 local features in the whole collection"):
        trained(features, tmp_path / "v.h5")


def test_a_single_photo_with_features_is_one_clear_line(tmp_path):
    features = [write_features(tmp_path / "a.h5", descriptors(0, 0), ["vanished", ""])]
    features.append(write_features(tmp_path / "b.h5", descriptors(0, 1)))
    with pytest.raises(EmptyStageError, match=r"^vocabulary: 1 of 4 photos has local features \(1 could not be read, such as: vanished\)"):
        trained(features, tmp_path / "v.h5")


def test_the_sample_is_spread_over_the_files_and_bounded(features):
    sample = sample_descriptors(features, 450, 0)
    assert len(sample) == 450 and sample.dtype == np.uint8
    known = [{row.tobytes() for row in descriptors(i, n)} for i, n in ((0, 3000), (2, 1500))]
    counts = [sum(row.tobytes() in rows for row in sample) for rows in known]
    assert sum(counts) == 450 and 250 < counts[0] < 350
    assert len(np.unique(sample, axis=0)) == 450
    assert len(sample_descriptors(features, 10**6, 0)) == 4500


def test_the_sample_does_not_depend_on_the_files(features, tmp_path):
    """The beginning of a larger sample is the same, too, because the order is."""
    dealt = [write_features(tmp_path / "a", descriptors(2, 1500)[::-1]), write_features(tmp_path / "b", descriptors(0, 3000))]
    np.testing.assert_array_equal(sample_descriptors(features, 450, 0), sample_descriptors(dealt, 450, 0))
    np.testing.assert_array_equal(sample_descriptors(features, 450, 0), sample_descriptors(features, 2000, 0)[:450])
    assert not np.array_equal(sample_descriptors(features, 450, 0), sample_descriptors(features, 450, 1))


def test_hashes_are_evenly_spread_and_a_single_bit_changes_them():
    points = np.zeros((128 * 256, 128), np.uint8)
    points[np.arange(len(points)), np.arange(len(points)) % 128] = np.arange(len(points)) // 128
    keys = hashes(np.unique(points, axis=0), 0)
    assert len(np.unique(keys)) == len(keys) == 128 * 255 + 1
    bits = (keys[:, None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)
    assert np.abs(bits.mean(0) - 0.5).max() < 5 * 0.5 / np.sqrt(len(keys))


def test_more_photos_make_nearly_the_same_words(features, tmp_path):
    """If words were drawn again each time, hardly any would have one so near."""
    more = [*features, write_features(tmp_path / "more", descriptors(3, 200))]
    before, after, other = (trained(paths, tmp_path / "v", seed=seed) for paths, seed in ((features, 0), (more, 0), (more, 1)))
    moved, redrawn = (np.sqrt(distances(centroids(words), centroids(before)).min(1)) for words in (after, other))
    assert np.median(moved) < np.median(redrawn) / 2


def test_the_same_features_and_seed_are_the_same_bytes(features, tmp_path):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        trained(features, tmp_path / name, seed=seed)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() != (tmp_path / "c").read_bytes()
