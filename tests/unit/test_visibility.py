"""Which points of a model a photo sees: a wall, a box before it, and cameras around them."""

import numpy as np
import pytest

from bow2cnn.core import artefact
from bow2cnn.pairs.evidence import Evidence
from bow2cnn.pairs.positives import matched, read_positives, write_positives
from bow2cnn.pairs.visibility import Visibility
from bow2cnn.training.positives import candidates
from bow2cnn.training.settings import Settings

WALL, AWAY = 10.0, 10.0  # the wall is the plane z = 10; cameras are 10 before its middle
SIZE = (400, 300)


def towards(eye, target=(0.0, 0.0, WALL)):
    """Rotation and translation of a camera that looks from a point to another, upright."""
    ahead = np.subtract(target, eye) / np.linalg.norm(np.subtract(target, eye))
    right = np.cross((0, 1, 0), ahead)
    rotation = np.stack([right / np.linalg.norm(right), np.cross(ahead, right / np.linalg.norm(right)), ahead])
    return rotation, -rotation @ np.asarray(eye, float)


def around(degrees, away=AWAY):
    """A place on the circle about the middle of the wall."""
    angle = np.radians(degrees)
    return away * np.sin(angle), 0.0, WALL - away * np.cos(angle)


def grid(half, depth, count=31):
    across = np.linspace(-half, half, count)
    return np.stack([*np.meshgrid(across, across), np.full((count, count), depth)], -1).reshape(-1, 3)


def scene(cameras, points, seen=None, k1=0.0, focal=400.0):
    """`models` arrays of one model; every photo sees the points in `seen`, by default all."""
    poses = [towards(*camera) if isinstance(camera[0], tuple) else towards(camera) for camera in cameras]
    seen = seen or [range(len(points))] * len(poses)
    return {
        "model": np.zeros(len(poses), np.int32),
        "photo_offset": np.array([0, len(poses)]),
        "photo": np.arange(len(poses), dtype=np.int32),
        "focal": np.full(len(poses), focal),
        "k1": np.full(len(poses), k1),
        "rotation": np.array([rotation for rotation, _ in poses]),
        "translation": np.array([translation for _, translation in poses]),
        "point_offset": np.array([0, len(points)]),
        "point": np.float32(points),
        "observation_offset": artefact.offsets([len(own) for own in seen]),
        "observation/point": np.concatenate([np.array(own, np.int64) for own in seen]),
    }


def share(built, view=1, query=0, points=None):
    """Share of the points that a view sees."""
    points = np.arange(len(built["point"])) if points is None else points
    return Visibility(built, np.tile(SIZE, (len(built["photo"]), 1))).sees(view, query, points).mean()


@pytest.mark.parametrize(("degrees", "expected"), [(0, 1), (30, 1), (-30, 1), (70, 0), (180, 0)])
def test_a_wall_is_seen_from_before_it_at_a_tolerable_angle(degrees, expected):
    assert share(scene([around(0), around(degrees)], grid(1, WALL))) == expected


def test_a_camera_that_looks_away_or_past_the_wall_sees_nothing():
    eye = around(10)
    assert share(scene([around(0), (eye, (0.0, 0.0, -30.0))], grid(1, WALL))) == 0
    assert share(scene([around(0), (eye, (30.0, 0.0, WALL))], grid(1, WALL))) == 0


def test_the_frame_cuts_points_off():
    """A wall of 8 x 8 at a distance of 10 with a focal length of 400 pixels measures 320 pixels; the photo is 300 high."""
    found = share(scene([around(0), around(0)], grid(4, WALL, 41)))
    assert found == pytest.approx(37 / 41)


def test_points_behind_a_box_are_hidden():
    """The box hides the middle ninth of the wall from the second camera; the wall's edge stays visible."""
    wall, box = grid(3, WALL, 61), grid(0.5, WALL / 2, 31)
    built = scene([around(0), around(0)], np.concatenate([wall, box]))
    behind = (np.abs(wall[:, :2]) < 0.9).all(1)
    before = (np.abs(wall[:, :2]) > 1.5).any(1)  # the box covers 1, and depths are compared within two cells of 0.2
    assert share(built, points=np.flatnonzero(behind)) == 0
    assert share(built, points=np.flatnonzero(before)) == 1
    assert share(built, points=np.arange(len(wall), len(built["point"]))) == 1


def test_two_stray_points_hide_nothing():
    built = scene([around(0), around(0)], np.concatenate([grid(2, WALL), [[0, 0, 3.0], [0.01, 0, 3.0]]]))
    assert share(built) == 1


def test_a_strong_distortion_does_not_fold_points_into_the_photo():
    """With k1 = -0.5 the radius 1.2 would come to lie at 0.34, well inside the photo; the model of the lens ends at 0.82."""
    points = np.array([[12.0, 0, WALL], [0.5, 0, WALL]])
    assert share(scene([around(0), around(0)], points, k1=-0.5), points=np.array([0])) == 0
    assert share(scene([around(0), around(0)], points, k1=-0.5), points=np.array([1])) == 1


@pytest.fixture
def pool():
    """The pool of photo 0: photo 1 matches half of its points, photo 2 (at night) one, photo 3 shows another wall, photo 4 is nearer."""
    points = np.concatenate([grid(1, WALL, 10), grid(1, -WALL, 10)])
    cameras = [around(0), around(20), around(-20), (around(0), (0.0, 0.0, -WALL)), around(0, away=4)]
    built = scene(cameras, points, [range(100), range(50), [0, *range(100, 110)], range(100, 200), []])
    return Evidence(built, None, np.tile(SIZE, (5, 1))).pool(0, range(5), min_shared=10, nearest=9)


def test_the_pool_tells_what_is_matched_from_what_only_the_cameras_see(pool):
    found = zip(*(pool[name].tolist() for name in ("photo", "shared", "matched")), strict=True)
    assert sorted(found) == [(1, 50, True), (2, 1, False), (4, 0, False)]
    assert dict(zip(pool["photo"].tolist(), pool["visible"].tolist(), strict=True)) == pytest.approx({1: 1, 2: 1, 4: 1})
    assert dict(zip(pool["photo"].tolist(), pool["scale"].tolist(), strict=True)) == pytest.approx({1: 1, 2: 1, 4: 2.5}, rel=0.05)
    assert matched(pool)["photo"].tolist() == [1]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, [1, 2]),
        ({"positives_max_overlap": 0.05}, [2]),
        ({"positives_scale": 3}, [1, 2, 4]),
        ({"positives_visible": 1}, []),
        ({"positives": "m3"}, [1]),
        ({"positives": "m2"}, [1]),
        ({"positives": "random"}, [1]),
    ],
)
def test_only_geometry_takes_what_no_feature_matched(pool, tmp_path, changes, expected):
    settings = Settings.of({"positives": "geometry", **changes})
    write_positives(tmp_path / "p.h5", [0], [pool], {}, {"source": "models"})
    (read,) = read_positives(tmp_path / "p.h5", unmatched=settings.positives == "geometry").pools
    assert candidates(read, settings).tolist() == expected
