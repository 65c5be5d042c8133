"""Watermarks: features that are printed at the same place of unrelated photos are masked, features that photos really share are not."""

import cv2
import numpy as np
import pytest

from bow2cnn.core import artefact
from bow2cnn.features.sift import detect
from bow2cnn.index.forward import ForwardIndex
from bow2cnn.index.recurring_places import recurring_places
from bow2cnn.index.watermarks import find_watermarks, watermark_features
from bow2cnn.index.words import quantise_photos
from bow2cnn.vocabulary.train import train_vocabulary
from bow2cnn.vocabulary.vocabulary import Vocabulary

SIZE = (320, 240)
MIN_PHOTOS = 6
BANNER = (200, 205)  # top left corner of the banner's letters, which reach to the lower right corner


def picture(seed):
    """Spots and bars at random, uint8 [h, w]."""
    rng = np.random.default_rng(seed)
    image = np.full(SIZE[::-1], 128, np.float32)
    for x, y, size, angle, grey in rng.uniform((0, 0, 3, 0, -100), (*SIZE, 12, 180, 100), (90, 5)):
        cv2.ellipse(image, ((x, y), (2 * size, size), angle), 128 + grey, -1)
    return np.uint8(np.clip(cv2.GaussianBlur(image, (0, 0), 1), 0, 255))


def with_banner(image):
    image = image.copy()
    cv2.rectangle(image, (BANNER[0] - 4, BANNER[1] - 4), SIZE, 230, -1)
    for row in range(2):
        cv2.putText(image, ("PHOTO&Co", "XK-84 7R")[row], (BANNER[0], BANNER[1] + 14 + 16 * row), cv2.FONT_HERSHEY_DUPLEX, 0.55, 20, 1)
    return image


def forward_file(images, folder, seed=0, noise=2):
    """Forward file of some photos, each with its own noise, with a vocabulary trained on them."""
    rng = np.random.default_rng(seed)
    found = [detect(np.uint8(np.clip(image + rng.normal(0, noise, image.shape), 0, 255)), 600) for image in images]
    offset = artefact.offsets([len(keypoint) for keypoint, _ in found])
    keypoint, descriptor = (np.concatenate(arrays) for arrays in zip(*found, strict=True))
    features = {"offset": offset, "keypoint": keypoint, "descriptor": descriptor, "error": [""] * len(found)}
    sha256 = rng.integers(0, 256, (len(found), 32), np.uint8)
    artefact.write(folder / "features.h5", "features", {**features, "sha256": sha256})
    train_vocabulary([folder / "features.h5"], folder / "vocabulary.h5", 100, 10**5, 4, seed=0, threads=1)
    return quantise_photos(folder / "features.h5", Vocabulary.load(folder / "vocabulary.h5"))


def marked(forward, min_photos=MIN_PHOTOS):
    return watermark_features(ForwardIndex(forward), np.full((len(forward["offset"]) - 1, 2), SIZE), 24, min_photos, seed=0)


@pytest.fixture(scope="module")
def banners(tmp_path_factory):
    """Twelve unrelated photos with one banner, and three without."""
    images = [with_banner(picture(seed)) for seed in range(12)] + [picture(seed) for seed in range(20, 23)]
    return forward_file(images, tmp_path_factory.mktemp("banners"))


@pytest.fixture(scope="module")
def tripod(tmp_path_factory):
    """Twelve photos of one scene from one tripod, and six others."""
    return forward_file([picture(50)] * 12 + [picture(seed) for seed in range(60, 66)], tmp_path_factory.mktemp("tripod"))


def test_a_banner_on_unrelated_photos_is_masked(banners):
    _, masked, counts = marked(banners)
    xy = banners["keypoint"][:, :2]
    photo = np.repeat(np.arange(15), np.diff(banners["offset"]))
    letters = (xy[:, 0] > BANNER[0]) & (xy[:, 1] > BANNER[1]) & (photo < 12)
    beside = (xy[:, 0] < BANNER[0] - 15) | (xy[:, 1] < BANNER[1] - 15)
    assert letters.sum() > 12 * 10
    assert masked[letters].mean() > 0.9
    assert masked[beside].mean() < 0.02
    assert not masked[photo >= 12].any()
    assert len(counts) and counts.min() >= MIN_PHOTOS and counts.max() <= 12


def test_photos_from_one_tripod_are_not_masked(tripod):
    _, masked, counts = marked(tripod)
    assert not masked.any() and len(counts) == 0
    assert marked_places(tripod) > 20, "the photos repeat many words at their place, so the test can fail"


def marked_places(forward):
    """Number of places (word, pixel / 4) that recur in eight photos."""
    photo = np.repeat(np.arange(len(forward["offset"]) - 1), np.diff(forward["offset"]))
    places = np.column_stack([forward["word"], forward["keypoint"][:, :2] // 4, photo]).astype(int)
    places = np.unique(places, axis=0)
    return (np.unique(places[:, :3], axis=0, return_counts=True)[1] >= 8).sum()


@pytest.fixture(scope="module")
def series(tmp_path_factory):
    """64 frames of a fixed camera, each cropped by a pixel or two and compressed, and twenty other photos."""
    rng = np.random.default_rng(7)
    scene, frames = picture(70), []
    for _ in range(64):
        x, y = rng.integers(0, 3, 2)
        frame = np.uint8(np.clip(scene[y:, x:] + rng.normal(0, 0.7, (SIZE[1] - y, SIZE[0] - x)), 0, 255))
        frames.append(cv2.imdecode(cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(88, 96))])[1], 0))
    return forward_file(frames + [picture(seed) for seed in range(80, 100)], tmp_path_factory.mktemp("series"), noise=0)


@pytest.mark.parametrize("min_photos", [4, 6])
@pytest.mark.parametrize("frames", [4, 8, 12, 20, 40, 64])
def test_frames_of_a_fixed_camera_are_not_a_watermark(series, frames, min_photos):
    """Whatever their number, although with many frames all of their features recur."""
    few = some_photos(series, [*range(frames), *range(64, 84)])
    _, masked, _ = marked(few, min_photos)
    assert masked[: few["offset"][frames]].mean() <= 0.05 and masked[few["offset"][frames] :].mean() <= 0.05
    places = recurring_places(ForwardIndex(few), np.full((frames + 20, 2), SIZE), min_photos)
    recurring = np.unique(np.concatenate([np.zeros(0, np.int64), *(rows for rows, _ in places)]))
    assert frames < 40 or (recurring < few["offset"][frames]).sum() > 0.8 * few["offset"][frames], "the test can fail"


def some_photos(forward, photos):
    """The forward file of some photos."""
    rows = np.concatenate([np.arange(*forward["offset"][photo : photo + 2]) for photo in photos])
    columns = {name: array[rows] for name, array in forward.items() if name != "offset"}
    return {"offset": artefact.offsets(np.diff(forward["offset"])[photos]), **columns}


def test_too_few_photos_do_not_make_a_watermark(banners):
    assert not marked(banners, min_photos=13)[1].any()


def test_watermarks_keep_their_place_relative_to_a_corner_of_photos_of_any_size():
    """Synthetic words: a watermark at a fixed share of the longer side from the lower right corner, in landscape and portrait photos."""
    rng = np.random.default_rng(0)
    size = np.array([(400, 300), (300, 400), (800, 600)] * 4)
    keypoint, word = [], []
    for width, height in size:
        side = max(width, height)
        own = rng.random((100, 2)) * (width * 0.7, height * 0.7)
        mark = (width, height) - side * (0.04 + 0.0123 * np.arange(5)[:, None])
        keypoint.append(np.concatenate([mark, own]))
        word.append(np.concatenate([np.arange(5), rng.integers(5, 500, 100)]))
    forward = {
        "offset": artefact.offsets([105] * 12),
        "word": np.concatenate(word).astype(np.uint32),
        "signature": np.zeros(12 * 105, np.uint64),
        "feature": np.tile(np.arange(105, dtype=np.int32), 12),
        "keypoint": np.column_stack([np.concatenate(keypoint), np.tile([3, 0, 0, 3], (12 * 105, 1))]).astype(np.float32),
    }
    order = np.lexsort((forward["word"], np.repeat(np.arange(12), 105)))
    forward = {name: array if name == "offset" else array[order] for name, array in forward.items()}
    found, masked, _ = watermark_features(ForwardIndex(forward), size, 24, 8, seed=0)
    assert found[forward["word"] < 5].mean() > 0.75
    assert masked[forward["word"] < 5].mean() > 0.9 and masked[forward["word"] >= 5].mean() < 0.02


def scattered(photos, features, printed):
    """One word many times at random places of every photo, and also at one place of the first `printed` photos."""
    rng = np.random.default_rng(0)
    keypoint = np.zeros((photos, features, 6), np.float32)
    keypoint[:, :, :2], keypoint[:, :, 2], keypoint[:, :, 5] = rng.random((photos, features, 2)) * SIZE, 3, 3
    keypoint[:printed, 0, :2] = (201.3, 101.7)
    total = photos * features
    columns = {"word": np.zeros(total, np.uint32), "signature": rng.integers(0, 2**63, total).astype(np.uint64)}
    columns |= {"feature": np.tile(np.arange(features, dtype=np.int32), photos), "keypoint": keypoint.reshape(-1, 6)}
    return ForwardIndex({"offset": artefact.offsets([features] * photos), **columns})


def test_a_frequent_word_recurs_nowhere_by_chance(monkeypatch):
    size = np.full((400, 2), SIZE)
    assert not recurring_places(scattered(400, 20, 0), size, 4)
    places = recurring_places(scattered(400, 20, 40), size, 4)
    assert len(places) == 9 and all(set(range(40)) <= set(photos.tolist()) for _, photos in places), "the mark, by every anchor"
    monkeypatch.setattr("bow2cnn.index.recurring_places.photos_needed", lambda words, fewest, frames: np.full(len(words), fewest))
    assert len(recurring_places(scattered(400, 20, 0), size, 4)) > 100, "the test can fail"


def test_counters_that_places_share_change_nothing(banners, monkeypatch):
    expected = marked(banners)
    monkeypatch.setattr("bow2cnn.index.recurring_places._TABLE", 256)
    for before, now in zip(expected, marked(banners), strict=True):
        np.testing.assert_array_equal(before, now)


def test_the_artefact_says_what_was_masked(banners, tmp_path):
    arrays = {"width": np.full(15, SIZE[0], np.int32), "height": np.full(15, SIZE[1], np.int32)}
    artefact.write(tmp_path / "collection.h5", "collection", arrays)
    split = banners["offset"][6]
    parts = [{"offset": banners["offset"][:7]}, {"offset": banners["offset"][6:] - split}]
    for number, rows in enumerate((slice(0, split), slice(split, None))):
        parts[number] |= {name: array[rows] for name, array in banners.items() if name != "offset"}
        artefact.write(tmp_path / f"{number}.h5", "words", parts[number])
    for out in ("a", "b"):
        find_watermarks(tmp_path / "collection.h5", [tmp_path / "0.h5", tmp_path / "1.h5"], tmp_path / out, 24, MIN_PHOTOS, seed=0)
    found = artefact.read(tmp_path / "a", "watermarks")
    np.testing.assert_array_equal(found["masked"], marked(banners)[1])
    assert (found["masked"] | ~found["evidence/marked"]).all()
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
