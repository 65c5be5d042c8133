"""The only module that calls pycolmap: verified matches of a cluster in, 3D models out.

COLMAP's tolerances are in pixels, and the features of a photo are as exact as the pixels of the searched photo: the photo at the size at
which its features were detected. So COLMAP works in pixels of the searched photos. The arguments and results of the functions here are in
pixels of the full photos.
"""

import contextlib
import functools
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pycolmap

from bow2cnn.core.atomic_files import WriteError, write_errors
from bow2cnn.core.printable import first_line, printable
from bow2cnn.geometry.epipolar import scale_fundamental
from bow2cnn.photos.orientation import place_in_file, size_in_file, steps

Model = pycolmap.Reconstruction

_GUESSED_FOCAL = 1.2  # multiple of the longer side: COLMAP's default for photos without EXIF
_ROOM = 1 << 20  # bytes; a disk with less free space is full
_BLOCKS = 1 << 16  # bytes; more than the unused rest of a file's last block
_RADIAL = ("SIMPLE_RADIAL", "RADIAL")  # camera models with the parameters f, cx, cy, k1, ...
# A cluster with more photos than _PART is cut along its weak links into parts of this size that overlap in _OVERLAP photos, and the models
# of the parts are joined. The cost of bundle adjustment grows faster than the number of photos; but in a loosely connected cluster small
# parts take longer than all photos together, and register fewer photos.
_PART, _OVERLAP = 400, 50
_MAX_MODELS = 1000  # per cluster: more than any cluster has
# A whole model is adjusted after it has grown by 30 %, at most twice (COLMAP: 10 %, five times). In clusters of a hundred photos and more
# this takes most of the time.
_ADJUSTING = {"ba_global_frames_ratio": 1.3, "ba_global_points_ratio": 1.3, "ba_global_max_refinements": 2}
# Limits for photos that COLMAP's own limits leave out: half of the inliers of a registered photo, and half of the angle (degrees) between
# the first two photos.
_LENIENT = {"abs_pose_min_num_inliers": 15, "init_min_tri_angle": 8.0}


def map_cluster(
    photos: Sequence[dict],
    pairs: Sequence[tuple[int, int, np.ndarray, np.ndarray]],
    min_photos: int,
    seed: int,
    mapper: str = "incremental",
    lenient: bool = False,
) -> list[Model]:
    """Structure from motion on one thread, so that the result depends on the seed alone.

    Args:
        photos: dicts of `name`, `width`, `height`, `focal` (pixels or NaN), `xy` (float32 [N, 2], pixels), `scale` (float [2], size of a
            pixel of the searched photo in pixels of the full photo, along x and y).
        pairs: tuples (a, b, fundamental float64 [3, 3], match int32 [k, 2]); a and b are positions in `photos`, match has feature rows.
        min_photos: registered photos of the smallest model kept.
        seed: of pycolmap's RANSAC.
        mapper: `incremental` (Schonberger and Frahm, Structure-from-motion revisited, CVPR 2016) or `global` (Pan et al., Global
            structure-from-motion revisited, ECCV 2024).
        lenient: use lower limits than COLMAP's own (incremental mapper only).

    Returns:
        The models, largest first. The errors of their points are in pixels of the searched photos.

    Raises:
        WriteError: the disk is too full for the database.
        Exception: of many kinds, pycolmap's, if it fails on these photos.
    """
    ids = {photo["name"]: number for number, photo in enumerate(photos, 1)}
    if mapper == "global":
        run = _map_globally
    elif len(photos) > _PART:
        run = functools.partial(_map_in_parts, limits=_LENIENT if lenient else {})
    else:
        run = functools.partial(_map_incrementally, limits=_LENIENT if lenient else {})
    models = _run(photos, pairs, ids, functools.partial(run, min_photos, seed))
    return largest_first([model for model in models if model.num_reg_images() >= min_photos], photos)


def extend_model(folder: str | Path, photos: Sequence[dict], pairs: Sequence[tuple[int, int, np.ndarray, np.ndarray]], seed: int) -> Model:
    """Extend a model by the photos that joined its cluster, and by the new matches of its own photos.

    Args:
        folder: COLMAP folder of the model. Its photos are recognised by their names.
        photos, pairs, seed: see `map_cluster`. All photos of the model are among these, with the same features.

    Returns:
        The extended model.

    Raises:
        WriteError: the disk is too full for the database.
        Exception: of many kinds, pycolmap's, if it fails on these photos.
    """
    model = read_model(folder)
    ids = {image.name: number for number, image in model.images.items()}
    by_id = {ids[photo["name"]]: photo for photo in photos if photo["name"] in ids}
    # A camera has the id of its image. This holds for the cameras of photos that the model left out, too.
    free = 1 + max([*model.images, *model.cameras, *model.frames, *model.rigs])
    for photo in photos:
        if photo["name"] not in ids:
            ids[photo["name"]], free = free, free + 1
    _resize(model, by_id, to_searched=True)
    with _scratch() as scratch:
        start = Path(scratch) / "model"
        with write_errors("COLMAP's model"):
            write_model(model, start)
        return _run(photos, pairs, ids, functools.partial(_map_incrementally, 1, seed, start=str(start)))[0]


def _run(photos, pairs, ids, mapping):
    """Write COLMAP's database of some photos, and return the models that `mapping(path of the database, scratch folder)` makes of it."""
    pycolmap.logging.minloglevel = int(pycolmap.logging.Level.FATAL)
    with _scratch() as folder, _full_disk_errors(folder):
        database = Path(folder) / "database.db"
        _write_database(database, photos, pairs, ids)
        models = list(mapping(database, folder).values())
    by_id = {ids[photo["name"]]: photo for photo in photos}
    for model in models:
        _resize(model, by_id, to_searched=False)
    return models


def _scratch():
    """A temporary folder, deleted at the end of the block."""
    with write_errors("COLMAP's database"):
        return tempfile.TemporaryDirectory()


def _factor(photo):
    """Size of a pixel of the searched photo in pixels of the full photo. COLMAP's pixels are square, so it is the mean of both axes."""
    return float(np.mean(photo["scale"]))


def _resize(model, by_id, to_searched):
    """Scale the cameras and keypoints of a model from full to searched photos, or back; `by_id` has the photos by number of the image."""
    for number, camera in model.cameras.items():
        if number in by_id:
            _resize_camera(camera, by_id[number], to_searched)
    for number, image in model.images.items():
        factor = 1 / _factor(by_id[number]) if to_searched else _factor(by_id[number])
        for point in image.points2D:
            point.xy = point.xy * factor


def _resize_camera(camera, photo, to_searched):
    """Scale a camera. Width and height of the searched photo are rounded, those of the full photo are exact."""
    factor = 1 / _factor(photo) if to_searched else _factor(photo)
    size = [max(1, round(int(photo[side]) * factor)) if to_searched else int(photo[side]) for side in ("width", "height")]
    camera.width, camera.height = size
    focal_and_centre = [*camera.focal_length_idxs(), *camera.principal_point_idxs()]
    camera.params = [value * factor if place in focal_and_centre else value for place, value in enumerate(camera.params)]


def _map_incrementally(min_photos, seed, database, folder, start="", limits=None):
    """Models by number. `start` is the folder of a model to extend, `limits` are options of the mapper."""
    return pycolmap.incremental_mapping(database, folder, folder, _incremental_options(min_photos, seed, limits), start)


def _map_in_parts(min_photos, seed, database, folder, limits=None):
    """Models by number. The parts of the cluster are mapped one after the other, and COLMAP merges models that agree on common photos."""
    options = pycolmap.HierarchicalPipelineOptions(num_workers=1, num_threads=1)
    options.clustering_options.leaf_max_num_images, options.clustering_options.image_overlap = _PART, _OVERLAP
    options.incremental_options = _incremental_options(min_photos, seed, limits)
    return pycolmap.hierarchical_mapping(database, folder, folder, options)


def _incremental_options(min_photos, seed, limits):
    options = pycolmap.IncrementalPipelineOptions(
        min_model_size=min_photos,
        max_num_models=_MAX_MODELS,
        num_threads=1,
        random_seed=seed,
        extract_colors=False,
        multiple_models=True,
        **_ADJUSTING,
    )
    options.mapper.mergedict(limits or {})
    return options


def _map_globally(min_photos, seed, database, folder):
    """Models by number. Unknown focal lengths are first estimated from the fundamental matrices."""
    if not pycolmap.calibrate_view_graph(database, pycolmap.ViewGraphCalibrationOptions(random_seed=seed)):
        raise ValueError("no focal lengths agree with the fundamental matrices")
    options = pycolmap.GlobalPipelineOptions(min_model_size=min_photos, num_threads=1, random_seed=seed)
    mapper = options.mapper
    mapper.num_threads = mapper.bundle_adjustment.ceres.solver_options.num_threads = 1
    for part in (mapper, mapper.rotation_averaging, mapper.global_positioning, mapper.retriangulation):
        part.random_seed = seed
    mapper.global_positioning.use_gpu = mapper.bundle_adjustment.ceres.use_gpu = False
    return pycolmap.global_mapping(database, folder, folder, options)


def largest_first(models: Sequence[Model], photos: Sequence[dict]) -> list[Model]:
    """Sort the models of a cluster: most photos first, models of equal size by their first photo."""
    return sorted(models, key=lambda model: (-model.num_reg_images(), positions_of(model, photos)[0]))


def positions_of(model: Model, photos: Sequence[dict]) -> list[int]:
    """Positions in `photos` of the photos that a model has registered, sorted."""
    position = {photo["name"]: number for number, photo in enumerate(photos)}
    names = (model.images[number].name for number in model.reg_image_ids())
    return sorted(position[name] for name in names if name in position)


def name_in_colmap(sha256: np.ndarray, name: str) -> str:
    """The name of a photo in COLMAP's files: `DIGEST/NAME`.

    The digest is there because photos in two folders may have the same name. The name is escaped because COLMAP cannot read models with
    some characters in names.

    Args:
        sha256: uint8 [32], digest of the photo's bytes.
        name: of the photo in the collection.
    """
    return f"{bytes(sha256).hex()[:12]}/{printable(name)}"


def write_model(model: Model, folder: Path) -> None:
    """Write a model as a new COLMAP folder.

    Raises:
        OSError: the disk is full or not writable.
    """
    folder.mkdir()
    try:
        model.write(str(folder))
    except Exception as error:  # pycolmap's, if it cannot open a file
        raise OSError(first_line(error)) from error
    _check_room(folder)


def _check_room(folder):
    """Raise OSError if the disk was full: COLMAP then writes half a model without an error, and hangs when it reads it.

    If one more file as large as the largest can be written, the disk was not full. Zeros would not do, because they may take no room.
    """
    files = list(folder.iterdir())
    for path in files:
        with open(path, "rb+") as file:
            os.fsync(file.fileno())
    more = folder / "room"
    try:
        with open(more, "wb") as file:
            file.write(os.urandom(_BLOCKS + max(path.stat().st_size for path in files)))
            file.flush()
            os.fsync(file.fileno())
    finally:
        more.unlink(missing_ok=True)


def read_model(folder: str | Path) -> Model:
    """Read a model from a COLMAP folder.

    Raises:
        Exception: of many kinds, pycolmap's, if it cannot be read.
    """
    return pycolmap.Reconstruction(str(folder))


def lay_in_file(model: Model, orientations: dict[str, int]) -> None:
    """Convert cameras, poses and keypoints of a model from upright photos to the pixels as they are in the files, in place.

    Args:
        model: each of its images has a camera of its own.
        orientations: orientation in EXIF by name of the image; never a mirrored one, which no pose can express. Images that are not listed
            do not change.
    """
    for image in model.images.values():
        orientation = orientations.get(image.name, 1)
        camera = model.cameras[image.camera_id]
        size = camera.width, camera.height
        turn = np.eye(3)
        turn[:2, :2] = steps(orientation)
        if image.has_pose:
            rotation = pycolmap.Rotation3d(turn)
            image.frame.set_cam_from_world(camera.camera_id, pycolmap.Rigid3d(rotation, np.zeros(3)) * image.cam_from_world())
        for point in image.points2D:
            point.xy = place_in_file(point.xy, size, orientation)
        centre = list(camera.principal_point_idxs())
        params = np.array(camera.params)
        params[centre] = place_in_file(params[centre], size, orientation)
        camera.params = params.tolist()
        camera.width, camera.height = size_in_file(size, orientation)


@contextlib.contextmanager
def _full_disk_errors(folder):
    """Turn errors of a full disk into `WriteError`, so that they are not blamed on the photos.

    A disk with free space may be full too (quotas, limits of the size of files): then the error is one of the database.
    """
    try:
        yield
    except Exception as error:
        if shutil.disk_usage(folder).free < _ROOM or "database" in str(error):
            raise WriteError(f"{folder}: no room for COLMAP's database (set TMPDIR to a larger disk)") from error
        raise


def _write_database(path, photos, pairs, ids):
    numbers = [ids[photo["name"]] for photo in photos]
    with pycolmap.Database.open(path) as database:
        for number, photo in zip(numbers, photos, strict=True):
            database.write_camera(_camera(photo, number), use_camera_id=True)
            database.write_image(pycolmap.Image(name=photo["name"], camera_id=number, image_id=number), use_image_id=True)
            database.write_keypoints(number, np.ascontiguousarray(photo["xy"] / _factor(photo), np.float32))
        for a, b, fundamental, match in pairs:
            geometry = pycolmap.TwoViewGeometry()
            geometry.config = pycolmap.TwoViewGeometryConfiguration.UNCALIBRATED
            geometry.F = scale_fundamental(fundamental, 1 / _factor(photos[a]), 1 / _factor(photos[b]))
            geometry.inlier_matches = np.ascontiguousarray(match, np.uint32)
            database.write_matches(numbers[a], numbers[b], np.ascontiguousarray(match, np.uint32))
            database.write_two_view_geometry(numbers[a], numbers[b], geometry)


def _camera(photo, number):
    known = np.isfinite(photo["focal"])
    focal = float(photo["focal"]) if known else _GUESSED_FOCAL * max(photo["width"], photo["height"])
    camera = pycolmap.Camera.create_from_model_name(number, "SIMPLE_RADIAL", focal, int(photo["width"]), int(photo["height"]))
    camera.has_prior_focal_length = bool(known)
    _resize_camera(camera, photo, to_searched=True)
    return camera


def to_arrays(model: Model, photos: Sequence[dict]) -> dict:
    """A model as flat arrays.

    Args:
        model: its R registered photos that are in `photos` are taken, and all of its X points.
        photos: dicts with the `name` of each photo.

    Returns:
        dict of `photo` int32 [R] (positions in `photos`), `focal` float64 [R] (pixels), `k1` float64 [R] (0 if the camera is not one of
        COLMAP's radial ones), `rotation` float64 [R, 3, 3], `translation` float64 [R, 3], `point` float32 [X, 3], `observations` (a tuple
        per photo: points int64 [o], features int32 [o]), and `error` (mean reprojection error, in pixels of the searched photos; of an
        imported model, in its own pixels).
    """
    positions = positions_of(model, photos)
    images = [model.find_image_with_name(photos[position]["name"]) for position in positions]
    point_ids = sorted(model.points3D)
    row = {point_id: i for i, point_id in enumerate(point_ids)}
    cameras = [model.cameras[image.camera_id] for image in images]
    poses = [image.cam_from_world() for image in images]
    return {
        "photo": np.array(positions, np.int32),
        "focal": np.array([camera.mean_focal_length() for camera in cameras]),
        "k1": np.array([camera.params[3] if camera.model.name in _RADIAL else 0.0 for camera in cameras]),
        "rotation": np.array([pose.rotation.matrix() for pose in poses]).reshape(-1, 3, 3),
        "translation": np.array([pose.translation for pose in poses]).reshape(-1, 3),
        "point": np.array([model.points3D[i].xyz for i in point_ids], np.float32).reshape(-1, 3),
        "observations": [_observations(image, row) for image in images],
        "error": float(model.compute_mean_reprojection_error()),
    }


def _observations(image, row):
    seen = [(row[p.point3D_id], feature) for feature, p in enumerate(image.points2D) if p.has_point3D()]
    points, features = zip(*seen, strict=True) if seen else ((), ())
    return np.array(points, np.int64), np.array(features, np.int32)
