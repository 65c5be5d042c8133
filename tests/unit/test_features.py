"""Local features: formulas, places, the same bytes from any number of workers, and photos that break without stopping the others."""

import os
import signal

import cv2
import numpy as np
import pytest
from PIL import Image

from bow2cnn.collection.scan import scan
from bow2cnn.core import artefact
from bow2cnn.features import affine
from bow2cnn.features.descriptor import SIZES, describe
from bow2cnn.features.detector import Detector
from bow2cnn.features.extract import extract_features
from bow2cnn.features.sift import detect, root_sift
from bow2cnn.features.store import FeatureStore
from bow2cnn.photos.files import to_arrays
from bow2cnn_demo.photo import jpeg

NOTHING = np.zeros((0, 6), np.float32)


def blobs(seed, width=320, height=240, count=60):
    """A picture with soft spots and bars of all sizes, uint8 [h, w]."""
    rng = np.random.default_rng(seed)
    image = np.full((height, width), 128, np.float32)
    for x, y, size, angle, grey in rng.uniform((20, 20, 4, 0, -90), (width - 20, height - 20, 14, 180, 90), (count, 5)):
        mask = np.zeros(image.shape, np.float32)
        cv2.ellipse(mask, ((x, y), (2 * size, size), angle), 1, -1)
        image += grey * cv2.GaussianBlur(mask, (0, 0), 1.5)
    return np.uint8(np.clip(image, 0, 255))


def agreeing(found, expected, tolerance):
    """Share of the expected frames for which a frame was found with the same place, size and direction."""
    distance = np.linalg.norm(found[:, None, :2] - expected[None, :, :2], axis=2)
    size = np.linalg.norm(found[:, [2, 4]], axis=1)[:, None] / np.linalg.norm(expected[:, [2, 4]], axis=1)
    cosine = (found[:, None, [2, 4]] * expected[None, :, [2, 4]]).sum(2)
    cosine /= np.linalg.norm(found[:, None, [2, 4]], axis=2) * np.linalg.norm(expected[None, :, [2, 4]], axis=2)
    return ((distance < tolerance) & (np.abs(np.log(size)) < 0.15) & (cosine > 0.98)).any(0).mean()


@pytest.fixture
def folder(tmp_path):
    """A scanned folder of eight photos: one is truncated, one was deleted after the scan, one is large."""
    (tmp_path / "photos").mkdir()
    for i in range(8):
        data = jpeg(np.dstack([blobs(i, *((900, 640) if i == 5 else (160, 120)))] * 3))
        (tmp_path / f"photos/{i}.jpg").write_bytes(data[: len(data) // 2] if i == 3 else data)
    scan([tmp_path / "photos"], tmp_path, 1, 32, 10**7)
    (tmp_path / "photos/6.jpg").unlink()
    return tmp_path


def extracted(folder, name="features.h5", workers=2, **settings):
    extract_features(folder / "collection.h5", folder / name, workers, **{"max_features": 1000, **settings})
    photos = artefact.read(folder / "collection.h5", "collection", ["name", "sha256"])
    arrays = artefact.read(folder / name, "features")
    np.testing.assert_array_equal(arrays["sha256"], photos["sha256"])
    return arrays, {name: row for row, name in enumerate(photos["name"])}


def test_root_sift_is_its_formula():
    sift = np.random.default_rng(0).integers(0, 200, (50, 128)).astype(np.float32)
    sift[0] = 0
    sift[1] = np.eye(128)[7] * 300
    found = root_sift(sift)
    for row in range(2, 50):
        expected = np.round(512 * np.sqrt(sift[row].astype(float) / sift[row].sum()))
        assert np.abs(found[row] - expected).max() <= 1 and (found[row] == expected).mean() > 0.95
    assert (found[0] == 0).all() and found[1, 7] == 255 and found.dtype == np.uint8


def test_descriptors_have_length_512_and_compare_by_hellinger():
    sift = cv2.SIFT_create().detectAndCompute(blobs(0), None)[1]
    found = root_sift(sift).astype(float)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 512, rtol=0.02)
    unit = sift / sift.sum(1, keepdims=True)
    np.testing.assert_allclose(found @ found.T / 512**2, np.sqrt(unit) @ np.sqrt(unit).T, atol=0.02)


def places(gray):
    """OpenCV's features in our conventions: xy, sigma, angle and RootSIFT."""
    found, descriptors = cv2.SIFT_create(edgeThreshold=16).detectAndCompute(gray, None)
    # OpenCV stores the directions of a histogram in reverse order.
    descriptors = descriptors.reshape(-1, 16, 8)[:, :, -np.arange(8) % 8].reshape(-1, 128)
    xy, sigma, angle = np.array([k.pt for k in found]) + 0.25, np.array([k.size for k in found]) / 2, [k.angle for k in found]
    return xy, sigma, np.deg2rad(angle), descriptors


def cosines(a, b):
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def test_a_descriptor_of_one_size_is_that_of_opencv():
    gray = blobs(0)
    *features, expected = places(gray)
    found = describe(gray, *features, sizes=(1,))
    assert np.median(cosines(found, expected)) > 0.98
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-4)
    assert found.min() >= 0 and found.dtype == np.float32


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_a_ramp_has_one_direction_in_every_cell(turn):
    """Grey values rise along x, so all gradients lie `turn` before the direction of a feature that is turned by this angle."""
    gray = np.uint8(np.tile(np.arange(200), (200, 1)))
    found = describe(gray, np.array([[100, 100]]), np.array([3.0]), np.deg2rad([turn]))
    cells = found.reshape(16, 8)
    assert (cells.argmax(1) == (8 - turn // 45) % 8).all()
    assert (cells.max(1) > 0.99 * cells.sum(1)).all()


def test_descriptors_turn_with_the_photo():
    gray = blobs(1)
    xy, sigma, angle, _ = places(gray)
    turned = np.column_stack([gray.shape[0] - xy[:, 1], xy[:, 0]])
    found = describe(np.ascontiguousarray(np.rot90(gray, -1)), turned, sigma, angle + np.pi / 2)
    assert np.median(cosines(describe(gray, xy, sigma, angle), found)) > 0.999


def test_pooling_forgives_a_wrong_size():
    gray = blobs(1)
    xy, sigma, angle, _ = places(gray)
    changed = {sizes: cosines(*(describe(gray, xy, s, angle, sizes) for s in (sigma, 1.25 * sigma))) for sizes in ((1.0,), SIZES)}
    assert (changed[SIZES] > changed[(1.0,)]).mean() > 0.9


def test_a_photo_of_a_few_pixels_has_descriptors():
    found = describe(np.uint8(np.eye(3) * 200), np.array([[1.5, 1.5], [50, -7]]), np.array([1.0, 400]), np.zeros(2))
    assert found.shape == (2, 128) and np.isfinite(found).all()


def test_the_strongest_features_come_first():
    keypoints, descriptors = detect(blobs(0), 1000)
    fewer = detect(blobs(0), 20)
    assert len(keypoints) > 40 and descriptors.shape == (len(keypoints), 128)
    np.testing.assert_array_equal(fewer[0], keypoints[:20])
    np.testing.assert_array_equal(fewer[1], descriptors[:20])


def test_no_two_features_show_one_thing():
    """No feature has another within 1.5 pixels with 1/1.3 to 1.3 of its size, except the second direction of its place. Features that are
    left out had one.
    """
    gray = np.uint8(np.random.default_rng(0).integers(0, 256, (200, 300)))
    frames, _ = detect(gray, 10**6)
    xy, sigma = frames[:, :2].astype(float), np.hypot(frames[:, 2], frames[:, 4]).astype(float)
    distance, ratio = np.linalg.norm(xy[:, None] - xy, axis=2), sigma[:, None] / sigma
    assert not ((distance > 0) & (distance < 1.49) & (ratio > 1 / 1.29) & (ratio < 1.29)).any()
    assert (np.triu(distance == 0, 1)).sum() > 10  # places of two directions keep both
    found = cv2.SIFT_create(contrastThreshold=0.02, edgeThreshold=16, enable_precise_upscale=False).detect(gray, None)
    missing = [k for k in found if np.abs(np.array(k.pt) + 0.25 - xy).max(1).min() > 0.01]
    beside = [np.linalg.norm(np.array(k.pt) + 0.25 - xy, axis=1).min() for k in missing]
    assert 0 < len(missing) < 0.2 * len(found) and np.median(beside) < 1.5


@pytest.mark.parametrize("centre", [(100.5, 80.5), (61.0, 90.0)])
def test_the_centre_of_the_first_pixel_is_one_half(centre):
    """A round spot around a known point: (100.5, 80.5) is the centre of pixel [80, 100], (61, 90) the corner of four pixels."""
    y, x = np.mgrid[:160, :200] + 0.5
    gray = np.uint8(100 + 120 * np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / 2 / 6**2))
    keypoints, _ = detect(gray, 1)
    np.testing.assert_allclose(keypoints[0, :2], centre, atol=0.12)


def test_frames_map_the_unit_circle_to_the_feature():
    keypoints, _ = detect(blobs(0), 1000)
    a11, a12, a21, a22 = keypoints[:, 2:].T
    np.testing.assert_array_equal(a11, a22)
    np.testing.assert_array_equal(a12, -a21)
    sizes = sorted({k.size / 2 for k in cv2.SIFT_create(contrastThreshold=0.01, edgeThreshold=16).detect(blobs(0), None)})
    radius = np.hypot(a11, a21)
    assert np.abs(radius[:, None] - np.array(sizes)).min(1).max() < 1e-3


def test_frames_follow_a_quarter_turn():
    """Turned clockwise, (x, y) goes to (height - y, x) and a frame A to R A."""
    gray = blobs(1)
    before, _ = detect(gray, 1000)
    after, _ = detect(np.ascontiguousarray(np.rot90(gray, -1)), 1000)
    turn = np.array([[0.0, -1], [1, 0]])
    frames = (turn @ before[:, 2:].reshape(-1, 2, 2)).reshape(-1, 4)
    expected = np.column_stack([gray.shape[0] - before[:, 1], before[:, 0], frames])
    assert agreeing(after, expected, 0.3) > 0.75
    assert agreeing(after, before, 0.5) < 0.2


def test_frames_follow_the_scale():
    gray = blobs(2)
    before, _ = detect(gray, 60)
    after, _ = detect(cv2.resize(gray, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC), 1000)
    assert agreeing(after, before * 2, 1.0) > 0.7
    assert agreeing(after, before, 1.0) < 0.2
    assert agreeing(detect(gray, 60, scale=2.0)[0], before * 2, 1e-3) == 1


def test_upright_features_are_the_same_points_without_a_direction(folder):
    gray = blobs(3)
    own, _ = detect(gray, 1000)
    upright, descriptors = detect(gray, 1000, upright=True)
    assert (upright[:, 3:5] == 0).all() and (upright[:, 2] > 0).all() and len(descriptors) == len(upright)
    places = {(x, y, np.float32(np.hypot(a, b))) for x, y, a, _, b, _ in own.astype(np.float64).tolist()}
    found = [(x, y, np.float32(a)) for x, y, a, *_ in upright.astype(np.float64).tolist()]
    assert len(set(found)) == len(found) < len(own)
    assert {key[:2] for key in found} == {key[:2] for key in places}
    bare = extracted(folder, "upright.h5", upright=True)[0]["keypoint"]
    assert len(bare) and (bare[:, 3:5] == 0).all()


def shapes(frames):
    """A A^T of frames, float [N, 2, 2]."""
    a = frames[:, 2:].reshape(-1, 2, 2).astype(float)
    return a @ a.transpose(0, 2, 1)


def test_affine_features_follow_a_stretch():
    """If (x, y) becomes (1.6 x, y), the second moments of a frame become S A A^T S; those of similarity frames stay round."""
    gray, stretch = blobs(5), np.diag([1.6, 1.0])
    wide = cv2.resize(gray, None, fx=1.6, fy=1, interpolation=cv2.INTER_CUBIC)
    errors = {}
    for name, detector in {"affine": affine.detect, "similarity": detect}.items():
        before, after = detector(gray, 1000)[0], detector(wide, 1000)[0]
        expected = before[:, :2] * [1.6, 1]
        near = np.linalg.norm(after[:, None, :2] - expected[None], axis=2)
        pairs = [(int(np.argmin(column)), row) for row, column in enumerate(near.T) if column.min() < 1]
        rows = np.array(pairs)
        assert len(rows) > 15
        wanted, found = stretch @ shapes(before[rows[:, 1]]) @ stretch, shapes(after[rows[:, 0]])
        values = np.linalg.eigvals(np.linalg.solve(wanted, found)).real
        errors[name] = np.median(np.abs(np.log(values[:, 0] / values[:, 1])))  # 0 for shapes that differ in size only
    assert errors["affine"] < 0.4 < 0.8 < errors["similarity"]


def test_affine_features_lie_and_turn_as_others_do(folder):
    gray = blobs(1)
    before, descriptors = affine.detect(gray, 1000)
    assert descriptors.shape == (len(before), 128) and descriptors.dtype == np.uint8
    after, _ = affine.detect(np.ascontiguousarray(np.rot90(gray, -1)), 1000)
    frames = (np.array([[0.0, -1], [1, 0]]) @ before[:, 2:].reshape(-1, 2, 2)).reshape(-1, 4)
    expected = np.column_stack([gray.shape[0] - before[:, 1], before[:, 0], frames])
    assert agreeing(after, expected, 0.5) > 0.6 > 0.2 > agreeing(after, before, 0.5)
    plain, _ = detect(gray, 1000)
    near = np.linalg.norm(plain[:, None, :2] - before[None, :, :2], axis=2).min(1)
    assert np.median(near) < 0.5
    assert len(affine.detect(gray, 10)[0]) == 10
    assert affine.detect(np.full((50, 50), 9, np.uint8), 10)[0].shape == (0, 6)
    arrays, row = extracted(folder, "affine.h5", affine=True, side=450)
    keypoint = arrays["keypoint"][slice(*arrays["offset"][row["5.jpg"] :][:2])]
    assert keypoint[:, 0].max() > 500, "in pixels of the full photo"
    assert not np.allclose(arrays["keypoint"][:, 2], arrays["keypoint"][:, 5])


def test_features_are_in_pixels_of_the_full_photo(folder):
    """Whether the photo was reduced or enlarged before the detection."""
    searched, row = extracted(folder, side=450)
    full, _ = extracted(folder, "full.h5")
    assert (full["scale"] == 1).all()
    for name, scale in (("5.jpg", 2), ("0.jpg", None)):
        view = slice(*searched["offset"][row[name] :][:2])
        reference = slice(*full["offset"][row[name] :][:2])
        if scale is None:
            assert (searched["scale"][row[name]] < 1).all(), "a small photo is enlarged"
        else:
            assert searched["keypoint"][view, :2].max() > 500
            np.testing.assert_array_equal(searched["scale"][row[name]], scale)
        assert agreeing(full["keypoint"][reference], searched["keypoint"][view], 3.0) > 0.5


@pytest.mark.parametrize("form", ["plain", "rotated", "png"])
def test_places_are_exact_to_the_far_edge_of_a_shrunk_photo(form, tmp_path):
    """683 rows stand for 2,667, and a JPEG decoder that reduces the photo sees 2,668. In a turned photo they are columns, and the odd one
    is the first.
    """
    centres = np.array([(80.0, 80.0), (3920.0, 80.0), (80.0, 2587.0), (3920.0, 2587.0), (2000.0, 1333.0)])
    y, x = np.mgrid[:2667, :4000].astype(np.float32) + 0.5
    gray = np.full((2667, 4000), 60, np.float32)
    for centre in centres:
        near = np.s_[max(int(centre[1]) - 99, 0) : int(centre[1]) + 99, max(int(centre[0]) - 99, 0) : int(centre[0]) + 99]
        gray[near] += 150 * np.exp(-((x[near] - centre[0]) ** 2 + (y[near] - centre[1]) ** 2) / (2 * 12**2))
    picture = np.dstack([np.uint8(np.rint(gray))] * 3)
    path = tmp_path / "photo"
    if form == "png":
        Image.fromarray(picture).save(path, "PNG", compress_level=1)
    else:
        path.write_bytes(jpeg(picture, form=form))
    keypoints, _, scale = Detector(1000, 1024).detect(str(path), 4000, 2667)
    np.testing.assert_array_equal(scale, np.float32([4000 / 1024, 2667 / 683]))
    nearest = np.abs(keypoints[None, :, :2] - centres[:, None]).max(2).min(1)
    assert nearest.max() < 0.2, "full pixels: a twentieth of one of the searched photo"


def test_a_turned_photo_has_upright_features(tmp_path):
    (tmp_path / "photos").mkdir()
    picture = np.dstack([blobs(4)] * 3)
    for form in ("plain", "rotated"):
        (tmp_path / f"photos/{form}.jpg").write_bytes(jpeg(picture, form=form))
    scan([tmp_path / "photos"], tmp_path, 1, 32, 10**7)
    arrays, row = extracted(tmp_path)
    plain, rotated = (arrays["keypoint"][slice(*arrays["offset"][row[f"{form}.jpg"] :][:2])] for form in ("plain", "rotated"))
    assert agreeing(rotated, plain, 0.7) > 0.8


def test_the_same_bytes_from_one_and_from_two_workers(folder):
    extracted(folder, "one.h5", workers=1)
    extracted(folder, "two.h5", workers=2)
    assert (folder / "one.h5").read_bytes() == (folder / "two.h5").read_bytes()


def test_truncated_and_deleted_photos_have_no_features_and_a_reason(folder):
    arrays, row = extracted(folder)
    counts = np.diff(arrays["offset"])
    assert arrays["error"][row["6.jpg"]] == "vanished"
    assert arrays["error"][row["3.jpg"]].startswith("cannot be decoded (")
    broken = [row["3.jpg"], row["6.jpg"]]
    assert (counts[broken] == 0).all() and (np.delete(counts, broken) > 20).all()
    assert [bool(error) for error in arrays["error"]].count(True) == 2
    assert len(arrays["keypoint"]) == len(arrays["descriptor"]) == arrays["offset"][-1]


def test_a_photo_that_kills_its_process_is_recorded_and_the_others_go_on(folder, monkeypatch):
    whole, row = extracted(folder)

    def detect_or_die(self, path, width, height):
        if width == 900:
            os.kill(os.getpid(), signal.SIGKILL)
        return found(self, path, width, height)

    found = Detector.detect
    monkeypatch.setattr(Detector, "detect", detect_or_die)
    arrays, _ = extracted(folder, "again.h5")
    assert arrays["error"][row["5.jpg"]] == "its process died (SIGKILL)"
    counts, before = np.diff(arrays["offset"]), np.diff(whole["offset"])
    assert counts[row["5.jpg"]] == 0 and (np.delete(counts, row["5.jpg"]) == np.delete(before, row["5.jpg"])).all()


def test_a_blank_photo_has_no_features_and_no_error(tmp_path):
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (100, 100), "grey").save(tmp_path / "photos/a.png")
    scan([tmp_path / "photos"], tmp_path, 1, 32, 10**7)
    arrays, _ = extracted(tmp_path)
    assert arrays["offset"].tolist() == [0, 0] and arrays["error"] == [""]


def test_no_photos_no_features(tmp_path):
    artefact.write(tmp_path / "collection.h5", "collection", to_arrays([], []))
    arrays, _ = extracted(tmp_path)
    assert arrays["keypoint"].shape == (0, 6) and arrays["descriptor"].shape == (0, 128)


def test_threads_of_opencv_do_not_hang_the_workers(folder):
    """OpenCV's threads already run when the workers are forked. After a minute without a result the test fails."""

    def give_up(*_):
        raise TimeoutError("the workers hang")

    threads, handler = cv2.getNumThreads(), signal.signal(signal.SIGALRM, give_up)
    cv2.setNumThreads(2)
    signal.alarm(60)
    try:
        cv2.GaussianBlur(np.zeros((2000, 2000), np.float32), (0, 0), 3)
        extracted(folder)
        assert cv2.getNumThreads() == 2
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, handler)
        cv2.setNumThreads(threads)


def store_of(tmp_path, counts, capacity):
    """A store with one artefact per list of counts, and the features that every photo should have."""
    paths, expected = [], []
    rng = np.random.default_rng(0)
    for number, part in enumerate(counts):
        keypoint = rng.random((sum(part), 6), np.float32)
        descriptor = rng.integers(0, 255, (sum(part), 128), dtype=np.uint8)
        offset = artefact.offsets(part)
        paths.append(tmp_path / f"{number}.h5")
        artefact.write(paths[-1], "features", {"offset": offset, "keypoint": keypoint, "descriptor": descriptor})
        expected += [(keypoint[a:b], descriptor[a:b]) for a, b in zip(offset[:-1], offset[1:], strict=True)]
    return FeatureStore(paths, capacity), expected


@pytest.mark.parametrize("capacity", [0, 2, 100])
def test_the_store_finds_every_photo_across_shards(tmp_path, capacity):
    store, expected = store_of(tmp_path, [[3, 0, 2], [], [5], [0, 1]], capacity)
    assert len(store) == len(expected) == 6
    for photo in [0, 5, 1, 3, 2, 4, 0, 3, 3]:
        for found, right in zip(store[photo], expected[photo], strict=True):
            np.testing.assert_array_equal(found, right)
        np.testing.assert_array_equal(store.keypoints(photo), expected[photo][0])


@pytest.mark.parametrize("factor", [2.5, 5])
def test_a_small_file_is_as_sharp_as_a_large_one(tmp_path, monkeypatch, factor):
    """The detail of the searched photo does not depend on the size of the file: a photo of noise, and an enlarged copy."""
    seen = []
    monkeypatch.setattr("bow2cnn.features.sift.detect", lambda gray, *rest: seen.append(gray) or (np.zeros((0, 6)), np.zeros((0, 128))))
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)).resize((800, 600))
    for name, by in (("small", 1), ("large", factor)):
        size = round(800 * by), round(600 * by)
        noise.resize(size, Image.Resampling.BICUBIC).save(tmp_path / f"{name}.png")
        Detector(100, side=1024).detect(tmp_path / f"{name}.png", *size)
    small, large = (cv2.Laplacian(gray, cv2.CV_64F).std() for gray in seen)
    assert small == pytest.approx(large, rel=0.08)
