"""The demo collection: projection, visibility, files, truth."""

import csv
import hashlib
import io
import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from bow2cnn_demo import collection
from bow2cnn_demo.geometry import Face, look_at
from bow2cnn_demo.photo import Tags, jpeg
from bow2cnn_demo.render import rasterise

RED, BLUE = (220, 30, 30), (30, 30, 220)


def flat(color) -> np.ndarray:
    return np.full((32, 32, 3), color, np.uint8)


def wall(texture, y: float = 0.0, width: float = 4.0, height: float = 3.0) -> Face:
    """A wall across the view that faces south."""
    return Face([-width / 2, y, height], [width, 0, 0], [0, 0, -height], texture)


@pytest.fixture
def camera():
    return look_at([2.5, -7, 2], [0.2, 0, 1.4], 420, 320, 240, roll=0.05)


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    """A collection that is smaller than `tiny` and has everything in it."""
    plan = replace(collection.PLANS["tiny"], landmarks=2, photos=9, held_out=1, distractors=3, benchmark_distractors=2)
    folder = tmp_path_factory.mktemp("demo") / "small"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(collection.PLANS, "tiny", plan)
        assert collection.make_collection(folder, "tiny", 0, processes=2)
        assert not collection.make_collection(folder, "tiny", 0), "a complete collection is left alone"
    return folder


@pytest.fixture(scope="module")
def cameras(small) -> dict:
    return json.loads((small / "truth/cameras.json").read_text())


def collection_views(cameras: dict, small: Path) -> list[list[str]]:
    """The photos of each landmark of the collection from west to east, without the duplicate."""
    with open(small / "truth/truth.csv") as file:
        rows = [r for r in csv.DictReader(file) if r["landmark"] != "-" and r["photo"].startswith("photos/")]
    groups: dict[str, dict[int, str]] = {}
    for row in rows:
        groups.setdefault(row["landmark"], {})[int(row["place"])] = row["photo"]
    return [[group[i] for i in sorted(group)] for group in groups.values()]


def test_world_points_are_rendered_where_the_camera_projects_them(camera):
    board = np.full((240, 320, 3), 255, np.uint8)
    board[120:, :160] = board[:120, 160:] = 0
    scale = 2
    image = cv2.cvtColor(rasterise([wall(board)], camera, scale).color, cv2.COLOR_RGB2GRAY)
    expected = camera.project(np.array([[0, 0, 1.5]]))[0][0]
    # cv2 counts from pixel centres, the camera from the image's corner
    guess = np.float32([expected * scale - 0.5]) + np.float32([[2, -2]])
    found = cv2.cornerSubPix(image, guess.reshape(1, 1, 2), (7, 7), (-1, -1), (3, 50, 0.001))
    np.testing.assert_allclose((found.reshape(2) + 0.5) / scale, expected, atol=0.25)


def test_outline_of_a_face_is_where_its_corners_project(camera):
    seen = rasterise([wall(flat(RED))], camera, 1).index == 0
    corners = camera.project(wall(flat(RED)).corners)[0]
    expected = cv2.fillConvexPoly(np.zeros(seen.shape, np.uint8), np.round(corners - 0.5).astype(np.int32), 1) > 0
    border = cv2.morphologyEx(expected.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((5, 5), np.uint8)) > 0
    assert np.array_equal(seen[~border], expected[~border])


def test_inverse_depth_is_exact(camera):
    buffers = rasterise([wall(flat(RED))], camera, 1)
    points = np.array([[x, 0.0, z] for x in (-1.3, 0.1, 1.2) for z in (0.5, 1.7, 2.5)])
    pixels, depths = camera.project(points)
    for (x, y), depth in zip(pixels, depths, strict=True):
        assert 1 / buffers.inverse_depth[int(y), int(x)] == pytest.approx(depth, rel=0.01)


@pytest.mark.parametrize("order", [1, -1])
def test_what_is_behind_is_hidden(camera, order):
    near, far = wall(flat(RED), -1, 1.5, 1.5), wall(flat(BLUE))
    colors = rasterise([near, far][::order], camera, 1).color
    (x, y), (u, v) = camera.project(np.array([[0, -1, 0.8], [-1.5, 0, 2.5]]))[0].astype(int)
    assert tuple(colors[y, x]) == RED
    assert tuple(colors[v, u]) == BLUE


def test_crossing_walls_hide_each_other_in_part():
    camera = look_at([0, -8, 1.5], [0, 0, 1.5], 420, 320, 240)
    slanted = [Face([-2, s * -1, 3], [4, s * 2, 0], [0, 0, -3], flat(c)) for s, c in ((1, RED), (-1, BLUE))]
    colors = rasterise(slanted, camera, 1).color
    assert tuple(colors[120, 120]) == RED
    assert tuple(colors[120, 200]) == BLUE


def test_holes_show_what_is_behind(camera):
    holed = np.dstack([flat(RED), np.zeros((32, 32), np.uint8)])
    index = rasterise([wall(holed, -1), wall(flat(BLUE))], camera, 1).index
    assert 0 not in index
    assert 1 in index


def test_a_face_seen_from_behind_is_not_drawn(camera):
    turned = Face([2, 0, 3], [-4, 0, 0], [0, 0, -3], flat(RED))
    assert (rasterise([turned], camera, 1).index == -1).all()


def test_ground_that_reaches_behind_the_camera_is_clipped():
    camera = look_at([0, 0, 2], [0, 10, 2], 300, 320, 240)
    ground = Face([-500, 500, 0], [1000, 0, 0], [0, -1000, 0], flat(BLUE))
    index = rasterise([ground], camera, 1).index
    assert (index[:118] == -1).all()
    assert (index[123:] == 0).all()


def test_same_seed_same_bytes_in_any_number_of_processes(small, tmp_path):
    """One landmark and some distractors are rendered again, in this process and in another order."""
    plan = replace(collection.PLANS["tiny"], landmarks=2, held_out=1, distractors=3, benchmark_distractors=2)
    records = collection.render_distractor(tmp_path, 0, plan, 3) + collection.render_distractor(tmp_path, 0, plan, 0)
    records += collection.render_landmark(tmp_path, 0, plan, 2)
    assert len(records) == 8
    for record in records:
        assert (tmp_path / record.path).read_bytes() == (small / record.path).read_bytes()
    other = collection.render_distractor(tmp_path, 1, plan, 3)[0]
    assert (tmp_path / other.path).read_bytes() != (small / records[0].path).read_bytes()


def test_another_collection_in_the_folder_is_refused(small, tmp_path):
    with pytest.raises(SystemExit, match="another"):
        collection.make_collection(small, "tiny", 5)
    (tmp_path / "mine.txt").write_text("keep me")
    with pytest.raises(SystemExit, match="not empty"):
        collection.make_collection(tmp_path, "tiny", 0)


def test_exif_focal_length_agrees_with_the_cameras(small, cameras):
    tagged = 0
    for path, camera in cameras.items():
        with Image.open(small / path) as image:
            upright = ImageOps.exif_transpose(image)
            assert upright.size == (camera["w"], camera["h"])
            block = image.getexif()
        detail, gps = block.get_ifd(0x8769), block.get_ifd(0x8825)
        if 0xA405 not in detail:
            continue
        tagged += 1
        assert detail[0xA405] * max(camera["w"], camera["h"]) / 36 == pytest.approx(camera["f"])
        assert float(detail[0x920A]) * 6 == pytest.approx(detail[0xA405], rel=0.01)
        assert gps[1] == "N"
        assert gps[3] == "E"
    assert 0.6 < tagged / len(cameras) < 1


def test_gps_is_the_camera_position(small, cameras):
    """Distances between the GPS positions of a landmark's photos agree with those between camera centres."""

    def decimal(value):
        return sum(float(v) / 60**i for i, v in enumerate(value))

    for view in collection_views(cameras, small):
        known = []
        for path in view:
            with Image.open(small / path) as image:
                gps = image.getexif().get_ifd(0x8825)
            if gps:
                rotation, t = np.array(cameras[path]["R"]), np.array(cameras[path]["t"])
                known.append((decimal(gps[2]), decimal(gps[4]), *(-rotation.T @ t)[:2]))
        known = np.array(known)
        shift = known - known[0]
        east = shift[:, 1] * 111_320 * np.cos(np.radians(known[0, 0]))
        np.testing.assert_allclose(shift[:, 0] * 111_320, shift[:, 3], atol=0.1)
        np.testing.assert_allclose(east, shift[:, 2], atol=0.1)


def test_jpeg_without_tags_has_no_exif():
    image = flat(RED)
    assert not Image.open(io.BytesIO(jpeg(image))).getexif()
    tags = Tags(28, -33.5, -70.25, "2012:01:01 00:00:00", 0)
    gps = Image.open(io.BytesIO(jpeg(image, tags))).getexif().get_ifd(0x8825)
    assert (gps[1], gps[3]) == ("S", "W")


def epipolar_matches(small, cameras, first: str, second: str) -> tuple[int, float]:
    """Number of inliers of RANSAC, and the share of them within 3 pixels of the true epipolar line."""
    sift, points, descriptors = cv2.SIFT_create(2500), [], []
    for path in (first, second):
        with Image.open(small / path) as image:
            grey = np.asarray(ImageOps.exif_transpose(image).convert("L"))
        keys, found = sift.detectAndCompute(grey, None)
        points.append(np.array([k.pt for k in keys]) + 0.5)
        descriptors.append(found)
    matches = cv2.BFMatcher().knnMatch(*descriptors, k=2)
    pairs = [(m.queryIdx, m.trainIdx) for m, n in matches if m.distance < 0.8 * n.distance]
    a, b = (points[k][[pair[k] for pair in pairs]] for k in (0, 1))
    _, mask = cv2.findFundamentalMat(a, b, cv2.FM_RANSAC, 2.0, 0.999)
    a, b = a[mask.ravel() > 0], b[mask.ravel() > 0]
    (r1, t1, k1), (r2, t2, k2) = (pose(cameras[p]) for p in (first, second))
    r = r2 @ r1.T
    x, y, z = t2 - r @ t1
    essential = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]) @ r
    lines = np.c_[a, np.ones(len(a))] @ (np.linalg.inv(k2).T @ essential @ np.linalg.inv(k1)).T
    errors = np.abs((lines * np.c_[b, np.ones(len(b))]).sum(1)) / np.linalg.norm(lines[:, :2], axis=1)
    return len(a), float((errors < 3).mean())


def pose(camera: dict):
    k = np.array([[camera["f"], 0, camera["cx"]], [0, camera["f"], camera["cy"]], [0, 0, 1]])
    return np.array(camera["R"]), np.array(camera["t"]), k


def test_neighbouring_views_match_under_the_true_geometry(small, cameras):
    results = []
    for view in collection_views(cameras, small):
        readable = [p for p in view if p.endswith(".jpg")]
        results += [epipolar_matches(small, cameras, *pair) for pair in pairwise(readable)]
    counts, shares = np.array(results).T
    assert (counts >= 50).mean() > 0.7, counts
    assert np.median(shares) > 0.95, shares


@pytest.mark.parametrize("form", ["plain", "rotated", "rotated back"])
def test_a_photo_as_large_as_a_phones_shows_what_the_small_one_shows(form, tmp_path, monkeypatch):
    """The last photo of a landmark and its recorded camera; the other photos have the same bytes."""
    plan = replace(collection.PLANS["tiny"], landmarks=3, photos=2)
    found = []
    for number, large in enumerate(({}, {2: form})):
        monkeypatch.setattr(collection, "LARGE", large)
        records = collection.render_landmark(tmp_path / str(number), 0, plan, 2)
        found.append([(record.shot.camera, tmp_path / str(number) / record.path) for record in records])
    (first, (camera, path)), (same, (larger, large_path)) = found
    assert first[1].read_bytes() == same[1].read_bytes()
    assert (larger.width, larger.height) == (4032, 3024) and larger.focal == pytest.approx(camera.focal * 4032 / camera.width)
    with Image.open(large_path) as image:
        assert image.getexif().get(0x0112, 1) == {"plain": 1, "rotated": 6, "rotated back": 8}[form]
        seen = ImageOps.exif_transpose(image)
        assert seen.size == (4032, 3024)
        seen = np.float32(seen.resize((camera.width, camera.height), Image.Resampling.BOX).convert("L"))
    expected = np.float32(Image.open(path).convert("L"))
    assert np.corrcoef(seen.ravel(), expected.ravel())[0, 1] > 0.95
    shift, _ = cv2.phaseCorrelate(seen, expected)
    assert np.abs(shift).max() < 0.1


def test_gnd_indices_are_valid(small):
    truth = json.loads((small / "benchmark/gnd.json").read_text())
    with open(small / "truth/truth.csv") as file:
        landmark = {Path(r["photo"]).name: r["landmark"] for r in csv.DictReader(file)}
    database, queries = truth["imlist"], truth["qimlist"]
    assert len(set(database)) == len(database)
    assert len(queries) == len(truth["gnd"]) == 2
    files = {p.name for p in (small / "benchmark/photos").iterdir()}
    assert files == set(database) | set(queries)
    junk = 0
    for query, answer in zip(queries, truth["gnd"], strict=True):
        assert sorted(answer["easy"] + answer["hard"]) == answer["ok"]
        assert answer["easy"]
        assert answer["hard"]
        assert not set(answer["ok"]) & set(answer["junk"])
        same = {i for i, name in enumerate(database) if landmark[name] == landmark[query]}
        assert set(answer["ok"]) | set(answer["junk"]) == same
        if query in database:
            assert answer["junk"] == [database.index(query)]
            junk += 1
    assert junk == 1
    assert sum(landmark[name] == "-" for name in database) == 2


def test_broken_files_are_broken_and_odd_ones_are_not(small, cameras):
    broken = json.loads((small / "truth/broken.json").read_text())
    assert sorted(broken.values()) == ["empty", "speck", "text", "truncated"]
    for path, kind in broken.items():
        if kind == "speck":
            assert Image.open(small / path).size == (8, 8)
            continue
        with pytest.raises(OSError), Image.open(small / path) as image:
            image.load()
    photos = [p for p in (small / "photos").rglob("*") if p.is_file()]
    digests = [hashlib.sha1(p.read_bytes()).hexdigest() for p in photos]
    assert len(digests) - len(set(digests)) == 1, "there are two copies of one photo"
    modes, turned = [], 0
    for path in cameras:
        with Image.open(small / path) as image:
            modes.append(image.mode)
            turned += image.getexif().get(0x0112) == 6
    assert modes.count("CMYK") == 1
    assert turned == 1
    (png,) = [p for p in cameras if p.endswith(".png")]
    assert cv2.imread(str(small / png), cv2.IMREAD_UNCHANGED).dtype == np.uint16


def test_names_do_not_reveal_the_landmark(small):
    for path in (small / "photos").rglob("*.*"):
        assert set(path.stem) <= set("0123456789abcdef")
