"""Overlays on two photos do not verify a pair. Near copies, small things in the same view, and things next to an overlay do."""

import itertools

import cv2
import numpy as np
import pytest

from bow2cnn.core import artefact
from bow2cnn.features.sift import detect
from bow2cnn.geometry import pair
from bow2cnn.geometry.overlays import find_overlay
from bow2cnn.geometry.pair import PhotoFeatures, verify_pair
from bow2cnn.index.forward import ForwardIndex
from bow2cnn.index.watermarks import watermark_features
from bow2cnn.index.words import quantise_photos
from bow2cnn.photos.decode import read_rgb
from bow2cnn.vocabulary.train import train_vocabulary
from bow2cnn.vocabulary.vocabulary import Vocabulary

MIN_EVIDENCE = 18  # as in the demo: rendered textures repeat
LANDSCAPE, UPRIGHT = np.array([800, 600]), np.array([900, 1200])


def letters(seed, count=40):
    """Places in a box of 120 x 40 pixels, float [count, 2]."""
    return np.random.default_rng(seed).random((count, 2)) * (120, 40)


def frames(xy, scale=1.0, turn=0.0, seed=0):
    """Features at some places, float32 [k, 6]. Their sizes and directions are the same in every call, except for scale, turn (radians) and
    noise.
    """
    rng, noise = np.random.default_rng(1), np.random.default_rng([seed, 1])
    sizes = scale * rng.uniform(3, 9, len(xy)) * np.exp(noise.normal(0, 0.03, len(xy)))
    turns = turn + rng.uniform(-3, 3, len(xy)) + noise.normal(0, 0.02, len(xy))
    return np.float32(np.column_stack([xy, *(sizes * part for part in (np.cos(turns), -np.sin(turns), np.sin(turns), np.cos(turns)))]))


def printed(size, unit, anchor, seed=0):
    """An overlay 12 pixels from an anchor, with some noise: for a longer side of 800 (`shares`), or for any size (`pixels`)."""
    scale = max(size) / 800 if unit == "shares" else 1.0
    anchor = np.asarray(anchor)
    margin = np.where(anchor == 0.5, 0, np.where(anchor == 0, 12, -12)) * scale
    xy = anchor * size + margin + (letters(0) - anchor * (120, 40)) * scale
    return frames(xy + np.random.default_rng(seed).normal(0, 0.3, (40, 2)), scale, seed=seed)


def moved(found, by):
    return found + np.float32([*by, 0, 0, 0, 0])


@pytest.mark.parametrize("unit", ["pixels", "shares"])
@pytest.mark.parametrize("anchor", [(0, 0), (1, 1), (0.5, 1), (0, 0.5), (0.5, 0.5)])
def test_an_overlay_is_found_by_its_place_and_size(unit, anchor):
    a, b = printed(LANDSCAPE, unit, anchor, 1), printed(UPRIGHT, unit, anchor, 2)
    stray = np.random.default_rng(3).random((2, 20, 2)) * (800, 600)
    found = find_overlay(np.concatenate([a, frames(stray[0])]), np.concatenate([b, frames(stray[1])]), LANDSCAPE, UPRIGHT, 1000)
    assert found is not None and found.covers(a, b).all()
    assert find_overlay(a, moved(b, (75, 75)), LANDSCAPE, UPRIGHT, 1000) is None, "an overlay keeps its place"
    small = frames(b[:, :2].mean(0) + 0.4 * (b[:, :2] - b[:, :2].mean(0)), 0.4)
    assert find_overlay(a, small, LANDSCAPE, UPRIGHT, 1000) is None, "an overlay keeps its size"
    aslant = frames(b[:, :2], max(UPRIGHT) / 800 if unit == "shares" else 1, np.deg2rad(20))
    assert find_overlay(a, aslant, LANDSCAPE, UPRIGHT, 1000) is None, "an overlay is upright"


@pytest.mark.parametrize("turn", [1, 2, 3])
def test_an_overlay_on_a_photo_that_was_turned(turn):
    a, size = printed(LANDSCAPE, "pixels", (1, 1), 1), LANDSCAPE
    xy = a[:, :2]
    for _ in range(turn):
        xy, size = np.stack([size[1] - xy[:, 1], xy[:, 0]], 1), size[::-1]
    b = frames(xy, turn=turn * np.pi / 2)
    assert find_overlay(a, b, LANDSCAPE, size, 1000).covers(a, b).all()


def test_few_features_at_the_same_places_all_over_the_frame_are_an_overlay_and_many_are_not():
    a = frames(np.random.default_rng(0).random((60, 2)) * LANDSCAPE)
    assert find_overlay(a, moved(a, (0.3, 0.3)), LANDSCAPE, LANDSCAPE, 3000) is not None
    assert find_overlay(a, moved(a, (0.3, 0.3)), LANDSCAPE, LANDSCAPE, 300) is None, "near copies have most of their features in common"


def test_a_number_slides_along_its_band():
    a = printed(LANDSCAPE, "pixels", (1, 1), 1)
    assert find_overlay(a, moved(a, (-90, 0)), LANDSCAPE, LANDSCAPE, 1000) is not None
    assert find_overlay(a, moved(a, (-90, -90)), LANDSCAPE, LANDSCAPE, 1000) is None
    digits = moved(a, (0, 0))
    digits[:, 0] = 790 - 300 * np.random.default_rng(5).random(40)
    assert find_overlay(a, digits, LANDSCAPE, LANDSCAPE, 1000) is not None, "each digit slides independently"


def test_photos_of_a_camera_that_was_turned_sideways_have_no_overlay():
    """All matches keep their height, but they have many different heights."""
    a = frames(np.random.default_rng(0).random((60, 2)) * (150, 600))
    assert find_overlay(a, moved(a, (600, 0)), LANDSCAPE, LANDSCAPE, 3000) is None


def test_matches_near_an_overlay_belong_to_it():
    """A letter that matches another letter belongs to it, a match far away does not."""
    a = printed(LANDSCAPE, "pixels", (1, 1), 1)
    found = find_overlay(a, a, LANDSCAPE, LANDSCAPE, 1000)
    far = frames(np.array([[100.0, 100], [300, 50]]))
    assert found.covers(a, np.roll(a, 7, 0)).all() and found.covers(far, a[:2]).all() and not found.covers(far, far[::-1]).any()


def test_no_inliers_have_no_overlay():
    for count in (0, 1, 3):
        assert find_overlay(frames(np.zeros((count, 2))), frames(np.zeros((count, 2))), LANDSCAPE, LANDSCAPE, 10) is None
    assert find_overlay(np.ones((9, 6)), np.ones((9, 6)), LANDSCAPE, LANDSCAPE, 10) is None


LOGO = np.full((56, 150), 235, np.uint8)
cv2.circle(LOGO, (28, 28), 20, 30, 5)
cv2.line(LOGO, (14, 40), (44, 14), 30, 4)
for row, text in enumerate(("SHOT ON", "Kestrel X7")):
    cv2.putText(LOGO, text, (56, 24 + 22 * row), cv2.FONT_HERSHEY_DUPLEX, 0.5, 20, 1, cv2.LINE_AA)


def with_logo(image, unit, anchor):
    scale = max(image.shape) / 480 if unit == "shares" else 1.0
    logo = cv2.resize(LOGO, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    margin, image = round(8 * scale), image.copy()
    room = np.array(image.shape[::-1]) - logo.shape[::-1]
    x, y = (int(np.clip(round(share * free), margin, free - margin)) for share, free in zip(anchor, room, strict=True))
    image[y : y + logo.shape[0], x : x + logo.shape[1]] = logo
    return image


@pytest.fixture(scope="module")
def photos(rendered):
    """Grey photos of different sizes, five of each of two landmarks and four of no landmark, and the landmark of each."""
    places, images, count = [], [], {}
    for number, (path, record) in enumerate(rendered.records.items()):
        place = -1 - number if record.landmark is None else record.landmark
        count[place] = count.get(place, 0) + 1
        if count[place] <= 5:
            gray = cv2.cvtColor(read_rgb(path, None), cv2.COLOR_RGB2GRAY)
            scale = np.random.default_rng(number).uniform(0.8, 1.5)
            images.append(cv2.resize(gray, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC))
            places.append(place)
    return images, np.array(places)


def verified_pairs(images, folder, masking=True):
    """Pairs of photos that are verified by the features outside the watermarks that were found."""
    features = [detect(image, 1200) for image in images]
    size = np.array([image.shape[::-1] for image in images])
    offset = artefact.offsets([len(keypoint) for keypoint, _ in features])
    keypoint, descriptor = (np.concatenate(arrays) for arrays in zip(*features, strict=True))
    sha256 = np.random.default_rng(0).integers(0, 256, (len(images), 32), np.uint8)
    arrays = {"offset": offset, "keypoint": keypoint, "descriptor": descriptor, "error": [""] * len(images), "sha256": sha256}
    artefact.write(folder / "features.h5", "features", arrays)
    train_vocabulary([folder / "features.h5"], folder / "vocabulary.h5", 400, 12_000, 4, seed=0, threads=1)
    words = quantise_photos(folder / "features.h5", Vocabulary.load(folder / "vocabulary.h5"))
    kept = ~watermark_features(ForwardIndex(words), size, 24, 4, seed=0)[1] if masking else np.ones(len(words["word"]), bool)
    photos = []
    for (keypoint, descriptor), image_size, begin, end in zip(features, size, offset[:-1], offset[1:], strict=True):
        masked = np.ones(len(keypoint), bool)
        masked[words["feature"][begin:end][kept[begin:end]]] = False
        photos.append(PhotoFeatures(keypoint, descriptor, masked, np.ones(2, np.float32), image_size))
    pairs = itertools.combinations(range(len(photos)), 2)
    return {(a, b) for a, b in pairs if verify_pair(photos[a], photos[b], MIN_EVIDENCE) is not None}


@pytest.fixture(scope="module")
def unmarked_pairs(photos, tmp_path_factory):
    return verified_pairs(photos[0], tmp_path_factory.mktemp("unmarked"))


def wrong(pairs, places):
    return [(a, b) for a, b in pairs if places[a] != places[b]]


@pytest.mark.parametrize("masking", [True, False])
@pytest.mark.parametrize(("unit", "anchor"), [("pixels", (1, 1)), ("shares", (0.5, 1)), ("pixels", (0.5, 0.5))])
def test_a_logo_joins_no_two_places(photos, unmarked_pairs, unit, anchor, masking, tmp_path):
    """Whether its features are masked or not."""
    images, places = photos
    pairs = verified_pairs([with_logo(image, unit, anchor) for image in images], tmp_path, masking)
    assert len(unmarked_pairs) >= 8 and len(wrong(unmarked_pairs, places)) <= 1
    assert len(wrong(pairs, places)) <= 1
    assert len(pairs & unmarked_pairs) >= 0.9 * len(unmarked_pairs) - 1, "the logo covers a part of the photos"


def test_a_logo_would_join_places(photos, tmp_path, monkeypatch):
    images, places = photos
    logos = [with_logo(image, "pixels", (1, 1)) for image in images]
    monkeypatch.setattr(pair, "verify_without_overlay", lambda verify, match, *_: (*verify(match), match))
    assert len(wrong(verified_pairs(logos, tmp_path, False), places)) > 10


def described(*parts):
    """A photo of landscape size from parts (frames, number of the first descriptor, whether masked); the same numbers match."""
    keypoint = np.concatenate([frame for frame, _, _ in parts])
    numbers = [range(first, first + len(frame)) for frame, first, _ in parts]
    descriptor = np.stack([np.random.default_rng(number).integers(0, 256, 128, np.uint8) for part in numbers for number in part])
    masked = np.concatenate([np.full(len(frame), mask) for frame, _, mask in parts])
    return PhotoFeatures(keypoint, descriptor, masked, np.ones(2, np.float32), LANDSCAPE)


def test_a_mask_of_a_part_of_an_overlay_does_not_hide_the_rest():
    """Most of a logo is masked in one photo. What is left of it lies elsewhere in the other, so that alone it is not recognised."""
    rng = np.random.default_rng(5)
    logo, rest = letters(1), letters(2, 30)
    scenes = [(frames(rng.random((200, 2)) * LANDSCAPE, seed=seed), 1000 * seed, False) for seed in (1, 2)]
    a = described((frames(logo), 0, False), (frames(rest), 100, False), scenes[0])
    hidden = described((frames(logo), 0, True), (frames(rest + np.array([8, 6])), 100, False), scenes[1])
    gone = described((frames(rest + np.array([8, 6])), 100, False), scenes[1])
    assert verify_pair(a, gone, 8).inliers >= 8, "otherwise this tests nothing"
    assert verify_pair(a, hidden, 8) is None


def test_features_on_watermarks_are_no_inliers():
    rng = np.random.default_rng(6)
    scene = rng.random((100, 2)) * LANDSCAPE
    moved = scene * 1.1 + rng.random((100, 1)) * (30, 10)
    a, b = (described((frames(xy, scale), 0, False), (frames(letters(1)), 500, True)) for xy, scale in ((scene, 1), (moved, 1.1)))
    found = verify_pair(a, b, 8)
    assert found.inliers >= 50 and found.match.max() < 100


def test_in_a_part_of_a_photo_places_are_smaller():
    """Sixty features in a box of 40 x 30 pixels lie at few places of the photo, and at many of the box."""
    xy = np.random.default_rng(7).random((60, 2)) * (40, 30) + (300, 200)
    a, b = (described((frames(places, scale), 0, False)) for places, scale in ((xy, 1), (xy * 1.3 - (50, 20), 1.3)))
    whole, part = verify_pair(a, b, 1), verify_pair(a, b, 1, 0.05)
    assert (0 if whole is None else whole.inliers) < 12 < part.inliers
