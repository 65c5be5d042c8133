"""Spatial verification: known transforms are recovered among outliers, inliers are one-to-one, degenerate matches have none."""

import numpy as np
import pytest

from bow2cnn.geometry.verify import MAX_MATCHES, match_words, verify

SIMILARITY = np.array([[0.9, -0.5, 40.0], [0.5, 0.9, -15.0]])
AFFINE = np.array([[1.1, 0.2, 30.0], [-0.3, 0.8, 120.0]])


def frames(rng, count):
    """Similarity frames at random places, float32 [count, 6]."""
    angle, radius = rng.uniform(0, 2 * np.pi, count), rng.uniform(2, 20, count)
    c, s = radius * np.cos(angle), radius * np.sin(angle)
    return np.column_stack([rng.uniform(0, 500, (count, 2)), c, -s, s, c]).astype(np.float32)


def moved(frame, transform):
    """Frames under an affine transform."""
    xy = frame[:, :2] @ transform[:, :2].T + transform[:, 2]
    return np.column_stack([xy, (transform[:, :2] @ frame[:, 2:].reshape(-1, 2, 2)).reshape(-1, 4)]).astype(np.float32)


def nearest_similarity(frame):
    """The similarity frames, with size and direction only, that a detector would find for affine frames."""
    a = frame[:, 2:].reshape(-1, 2, 2).astype(float)
    scale = np.sqrt(np.abs(np.linalg.det(a)))
    angle = np.arctan2(a[:, 1, 0], a[:, 0, 0])
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    return np.column_stack([frame[:, :2], c, -s, s, c]).astype(np.float32)


def verified(a, b, match, tolerance):
    return verify(a, np.arange(len(a), dtype=np.int32), b, match, tolerance)


def one_to_one(count):
    return np.repeat(np.arange(count, dtype=np.int32)[:, None], 2, 1)


def test_tentative_matches_are_those_of_a_double_loop():
    rng = np.random.default_rng(0)
    word_a, word_b = (np.sort(rng.integers(0, 60, count)).astype(np.uint32) for count in (150, 120))
    pick = np.array([0, 0xFF, 0xFFFF, 0xFFFFFFFF, 2**64 - 1], np.uint64)
    sign_a, sign_b = (pick[rng.integers(5, size=count)] for count in (150, 120))
    found = match_words(word_a, sign_a, word_b, sign_b, 24)
    expected = [
        (i, j)
        for i in range(150)
        for j in range(120)
        if word_a[i] == word_b[j]
        and (int(sign_a[i]) ^ int(sign_b[j])).bit_count() <= 24
        and (word_a == word_a[i]).sum() * (word_b == word_a[i]).sum() <= 36
    ]
    assert sorted(map(tuple, found.tolist())) == sorted(expected) and len(expected) > 100


def test_a_word_with_many_combinations_is_skipped():
    words, signs = np.zeros(7, np.uint32), np.zeros(7, np.uint64)
    assert len(match_words(words, signs, words[:5], signs[:5], 24)) == 35
    assert len(match_words(words, signs, words, signs, 24)) == 0


def test_matches_end_at_the_limit():
    words, signs = np.arange(2 * MAX_MATCHES, dtype=np.uint32), np.zeros(2 * MAX_MATCHES, np.uint64)
    assert len(match_words(words, signs, words, signs, 24)) == MAX_MATCHES
    assert len(match_words(words[:0], signs[:0], words, signs, 24)) == 0


@pytest.mark.parametrize(("transform", "outliers"), [(SIMILARITY, 0), (SIMILARITY, 150), (AFFINE, 0), (AFFINE, 60)])
def test_a_known_transform_is_recovered(transform, outliers):
    """Thirty inliers with a noise of one pixel; for the affine transform their frames are similarity frames, as those of SIFT."""
    rng = np.random.default_rng(outliers)
    a = np.concatenate([frames(rng, 30), frames(rng, outliers)])
    b = np.concatenate([nearest_similarity(moved(a[:30], transform)), frames(rng, outliers)])
    b[:, :2] += rng.normal(0, 0.7, (len(b), 2)).astype(np.float32)
    found, inliers = verified(a, b, one_to_one(len(a)), 12.0)
    assert (inliers < 30).sum() == 30
    assert (inliers >= 30).sum() <= 2
    corners = np.array([[0, 0], [500, 0], [0, 500], [500, 500], [250, 250]], float)
    miss = np.linalg.norm(corners @ (found - transform)[:, :2].T + (found - transform)[:, 2], axis=1)
    assert miss[-1] < 1.5 and miss.max() < 6


def test_the_refined_transform_may_lose_inliers_of_the_first():
    """The directions of all frames have an error of three degrees, and wrong matches lie where the best of these hypotheses maps them."""
    rng = np.random.default_rng(3)
    c, s = np.cos(np.radians(3)), np.sin(np.radians(3))
    tilt = np.array([[c, -s], [s, c]])
    a, wrong = frames(rng, 60), frames(rng, 20)
    b = moved(a, SIMILARITY)
    b[:, 2:] = (tilt @ b[:, 2:].reshape(-1, 2, 2)).reshape(-1, 4)
    middle = a[:, :2].mean(0)
    tilted = SIMILARITY.copy()
    tilted[:, :2] = tilt @ SIMILARITY[:, :2]
    tilted[:, 2] = SIMILARITY[:, :2] @ middle + SIMILARITY[:, 2] - tilted[:, :2] @ middle
    beside = moved(wrong, tilted)
    away = beside[:, :2] - moved(wrong, SIMILARITY)[:, :2]
    beside[:, :2] += 15 * away / np.linalg.norm(away, axis=1, keepdims=True)
    found, inliers = verified(np.concatenate([a, wrong]), np.concatenate([b, beside]), one_to_one(80), 10.0)
    assert inliers.tolist() == list(range(60))
    np.testing.assert_allclose(found[:, :2], SIMILARITY[:, :2], atol=1e-3)


def test_the_transform_goes_from_a_to_b():
    a = frames(np.random.default_rng(0), 20)
    found, _ = verified(a, moved(a, SIMILARITY), one_to_one(20), 5.0)
    np.testing.assert_allclose(found, SIMILARITY, atol=1e-2)
    back, _ = verified(moved(a, SIMILARITY), a, one_to_one(20), 5.0)
    np.testing.assert_allclose(back[:, :2] @ SIMILARITY[:, :2], np.eye(2), atol=1e-3)


def test_no_feature_of_either_photo_counts_twice():
    """Ten true matches. Each feature of a is also matched to a neighbour of its partner, and each of b to a neighbour of its partner."""
    rng = np.random.default_rng(1)
    a = frames(rng, 10)
    b = moved(a, SIMILARITY)
    near = np.array([3, 3, 0, 0, 0, 0], np.float32)
    a, b = np.concatenate([a, a + near]), np.concatenate([b, b + near])
    match = np.array([(i % 20, (i + 10 * (i // 20)) % 20) for i in range(40)], np.int32)
    match = np.unique(np.concatenate([match, one_to_one(20)]), axis=0)
    inliers = match[verified(a, b, match, 12.0)[1]]
    assert len(inliers) == 20
    assert len(set(inliers[:, 0])) == len(set(inliers[:, 1])) == 20


@pytest.mark.parametrize("side", [0, 1])
def test_two_features_never_share_a_partner(side):
    """Ten features of one photo, each matched by two near features of the other."""
    single = frames(np.random.default_rng(1), 10)
    double = np.concatenate([single, single + np.array([3, 3, 0, 0, 0, 0], np.float32)])
    match = np.column_stack([np.arange(20), np.tile(np.arange(10), 2)]).astype(np.int32)
    a, b, match = (double, single, match) if side == 0 else (single, double, match[:, ::-1].copy())
    inliers = match[verified(a, b, match, 12.0)[1]]
    assert len(inliers) == len(set(inliers[:, 0])) == len(set(inliers[:, 1])) == 10


def test_a_feature_with_several_words_counts_once():
    """Ten features of a with two words each, which match two near features of b."""
    single = frames(np.random.default_rng(1), 10)
    b = np.concatenate([single, single + np.array([3, 3, 0, 0, 0, 0], np.float32)])
    feature = np.tile(np.arange(10, dtype=np.int32), 2)
    inliers = verify(np.concatenate([single, single]), feature, b, one_to_one(20), 12.0)[1]
    assert sorted(feature[inliers]) == list(range(10))


def test_inliers_are_those_within_the_tolerance():
    a = frames(np.random.default_rng(2), 40)
    b = moved(a, SIMILARITY)
    b[30:, 0] += 8
    match = one_to_one(40)
    for tolerance, expected in ((5.0, 30), (20.0, 40)):
        found, inliers = verified(a, b, match, tolerance)
        assert len(inliers) == expected
        error = np.linalg.norm(a[:, :2] @ found[:, :2].T + found[:, 2] - b[:, :2], axis=1)
        assert (error[inliers] < tolerance).all()


def test_random_matches_have_few_inliers():
    rng = np.random.default_rng(3)
    counts = [len(verified(frames(rng, 60), frames(rng, 60), one_to_one(60), 12.5)[1]) for _ in range(30)]
    assert max(counts) < 8


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda frame: frame * (1, 1, 0, 0, 0, 0), id="no extent"),
        pytest.param(lambda frame: frame * (1, 1, 1, -1, 1, -1), id="mirrored"),
        pytest.param(lambda frame: frame * (1, 1, 9, 9, 9, 9), id="scale of nine"),
        pytest.param(lambda frame: frame * (1, 1, 5, 5, 1, 1), id="stretched"),
    ],
)
def test_transforms_that_no_camera_makes_have_no_inliers(damage):
    rng = np.random.default_rng(4)
    a = frames(rng, 20)
    b = np.float32(damage(a))
    b[:, :2] = rng.uniform(0, 10, (20, 2))  # all in the upper left corner, to which a transform of zeros maps them
    found, inliers = verified(a, b, one_to_one(20), 12.0)
    assert len(inliers) == 0 and not found.any()


def test_nothing_matches_nothing():
    a = frames(np.random.default_rng(0), 5)
    assert len(verified(a, a, np.zeros((0, 2), np.int32), 5.0)[1]) == 0


def test_points_on_a_line_do_not_break_the_refinement():
    a = frames(np.random.default_rng(5), 20)
    a[:, 0] = np.linspace(20, 600, 20)  # all at different spots
    a[:, 1] = 0.5 * a[:, 0]
    found, inliers = verified(a, moved(a, SIMILARITY), one_to_one(20), 5.0)
    assert len(inliers) == 20 and np.isfinite(found).all()


def test_the_frames_of_an_inlier_agree_with_the_transform():
    """Matches with the right places but other sizes or directions agree by chance."""
    rng = np.random.default_rng(6)
    a = frames(rng, 60)
    b = moved(a, SIMILARITY)
    larger, turned = b[20:40].copy(), b[40:].copy()
    larger[:, 2:] *= 2.5
    turned[:, 2:] = (np.array([[0.6, -0.8], [0.8, 0.6]]) @ turned[:, 2:].reshape(-1, 2, 2)).reshape(-1, 4)
    found, inliers = verified(a, np.concatenate([b[:20], larger, turned]), one_to_one(60), 12.0)
    np.testing.assert_array_equal(inliers, np.arange(20))
    np.testing.assert_allclose(found, SIMILARITY, atol=1e-3)


def test_features_of_one_spot_are_one_inlier():
    """Features in several sizes and directions, in either photo."""
    rng = np.random.default_rng(7)
    places = np.column_stack([np.linspace(20, 480, 12), rng.permutation(np.linspace(20, 480, 12))])
    a = frames(rng, 48)
    a[:, :2] = np.repeat(places, 4, axis=0) + rng.uniform(-0.5, 0.5, (48, 2))
    assert len(verified(a, moved(a, SIMILARITY), one_to_one(48), 12.0)[1]) == 12


def test_unrelated_photos_agree_in_few_matches():
    """With two hundred tentative matches, as with a small vocabulary."""
    counts = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        counts.append(len(verified(frames(rng, 200), frames(rng, 200), one_to_one(200), 12.0)[1]))
    assert max(counts) <= 5
