"""The one module that talks to pycolmap: verified matches of a cluster in, 3D models out.

COLMAP's tolerances are in pixels, and features are placed as exactly as the photo that was searched for them shows them. So COLMAP is
given photos at the size at which they were searched; what comes in and what goes out is in pixels of the full photos.
"""

import contextlib
import functools
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pycolmap

from bow2cnn.core.atomic_files import WriteError, write_errors
from bow2cnn.core.printable import first_line, printable
from bow2cnn.geometry.epipolar import scale_fundamental
from bow2cnn.photos.orientation import place_in_file, size_in_file, steps

_GUESSED_FOCAL = 1.2  # of the longer side: COLMAP's default for photos without EXIF
_ROOM = 1 << 20  # bytes; a disk with less is full
_BLOCKS = 1 << 16  # bytes: more than what is left over in the last block of a file
_RADIAL = ("SIMPLE_RADIAL", "RADIAL")  # f, cx, cy, k1, ...
# Photos of a part: a larger cluster is cut along its weak links into parts that overlap in so many photos, and their models are joined.
# What bundle adjustment costs grows faster than the number of photos; but where a cluster is loose, small parts take longer than all of
# its photos at once, and register fewer.
_PART, _OVERLAP = 400, 50
_MANY = 1000  # models per cluster: no component is dropped for being late
# A whole model is adjusted when it has grown by three tenths, and then twice at most (COLMAP: by one tenth, and five times): in clusters of
# a hundred photos and more most of the time is spent on that.
_ADJUSTING = {"ba_global_frames_ratio": 1.3, "ba_global_points_ratio": 1.3, "ba_global_max_refinements": 2}
# Where COLMAP's own limits give no model: half its inliers of a registered photo, half its angle (degrees) between the first two photos.
_LENIENT = {"abs_pose_min_num_inliers": 15, "init_min_tri_angle": 8.0}


def map_cluster(photos, pairs, min_photos, seed, mapper="incremental", lenient=False):
    """Structure from motion on one thread, so that the seed fixes the result.

    Args:
        photos: dicts of `name`, `width`, `height`, `focal` (pixels or NaN), `xy` (float32 [N, 2], pixels), `scale` (float [2], how many
            pixels a pixel of the searched photo is along x and y).
        pairs: tuples (a, b, fundamental float64 [3, 3], match int32 [k, 2]) with positions in `photos`.
        min_photos: registered photos of the smallest model kept.
        seed: of pycolmap's RANSAC.
        mapper: `incremental` (Schonberger and Frahm, Structure-from-motion revisited, CVPR 2016) or `global` (Pan et al., Global
            structure-from-motion revisited, ECCV 2024).
        lenient: whether less has to speak for a photo's pose than COLMAP wants; of the incremental mapper.

    Returns:
        list of pycolmap.Reconstruction, largest first; errors of its points are in pixels of the searched photos.

    Raises:
        WriteError: there is no room for the database.
        Exception: of many kinds, pycolmap's, when it fails on these photos.
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


def extend_model(folder, photos, pairs, seed):
    """A model with what can be added to it: photos that joined its cluster, and what more matches tell of those it has.

    Args:
        folder: of COLMAP's; the model's photos are known by their names.
        photos, pairs, seed: see `map_cluster`; all photos of the model are among these, with the same features.

    Returns:
        pycolmap.Reconstruction.

    Raises:
        see `map_cluster`.
    """
    model = read_model(folder)
    ids = {image.name: number for number, image in model.images.items()}
    by_id = {ids[photo["name"]]: photo for photo in photos if photo["name"] in ids}
    # A camera has the id of its image, also the camera of a photo that was left out.
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
    """All models that a mapping makes of COLMAP's database of some photos, given its path and a folder for what else it writes."""
    pycolmap.logging.minloglevel = int(pycolmap.logging.Level.FATAL)
    with _scratch() as folder, _room(folder):
        database = Path(folder) / "database.db"
        _write_database(database, photos, pairs, ids)
        models = list(mapping(database, folder).values())
    by_id = {ids[photo["name"]]: photo for photo in photos}
    for model in models:
        _resize(model, by_id, to_searched=False)
    return models


def _scratch():
    """A folder that is gone in the end."""
    with write_errors("COLMAP's database"):
        return tempfile.TemporaryDirectory()


def _factor(photo):
    """Pixels of the full photo for one of COLMAP's. One for both axes, though they may differ by rounding: its pixels are square."""
    return float(np.mean(photo["scale"]))


def _resize(model, by_id, to_searched):
    """Bring cameras and places of a model's photos (dicts by the number of their image) from full size to the searched one, or back."""
    for number, camera in model.cameras.items():
        if number in by_id:
            _resize_camera(camera, by_id[number], to_searched)
    for number, image in model.images.items():
        factor = 1 / _factor(by_id[number]) if to_searched else _factor(by_id[number])
        for point in image.points2D:
            point.xy = point.xy * factor


def _resize_camera(camera, photo, to_searched):
    """The principal point is where it was; width and height of the searched photo are rounded, but those of the full one are exact."""
    factor = 1 / _factor(photo) if to_searched else _factor(photo)
    size = [max(1, round(int(photo[side]) * factor)) if to_searched else int(photo[side]) for side in ("width", "height")]
    camera.width, camera.height = size
    focal_and_centre = [*camera.focal_length_idxs(), *camera.principal_point_idxs()]
    camera.params = [value * factor if place in focal_and_centre else value for place, value in enumerate(camera.params)]


def _map_incrementally(min_photos, seed, database, folder, start="", limits=None):
    """Models by number; with `start`, the folder of a model, that one extended. `limits` are options of the mapper."""
    return pycolmap.incremental_mapping(database, folder, folder, _incremental_options(min_photos, seed, limits), start)


def _map_in_parts(min_photos, seed, database, folder, limits=None):
    """Models by number, of parts that are mapped one after the other: those that share photos, and see these alike, are one in the end."""
    options = pycolmap.HierarchicalPipelineOptions(num_workers=1, num_threads=1)
    options.clustering_options.leaf_max_num_images, options.clustering_options.image_overlap = _PART, _OVERLAP
    options.incremental_options = _incremental_options(min_photos, seed, limits)
    return pycolmap.hierarchical_mapping(database, folder, folder, options)


def _incremental_options(min_photos, seed, limits):
    options = pycolmap.IncrementalPipelineOptions(
        min_model_size=min_photos,
        max_num_models=_MANY,
        num_threads=1,
        random_seed=seed,
        extract_colors=False,
        multiple_models=True,
        **_ADJUSTING,
    )
    options.mapper.mergedict(limits or {})
    return options


def _map_globally(min_photos, seed, database, folder):
    """Models by number. Focal lengths that no EXIF tells come from the fundamental matrices first."""
    if not pycolmap.calibrate_view_graph(database, pycolmap.ViewGraphCalibrationOptions(random_seed=seed)):
        raise ValueError("no focal lengths agree with the fundamental matrices")
    options = pycolmap.GlobalPipelineOptions(min_model_size=min_photos, num_threads=1, random_seed=seed)
    mapper = options.mapper
    mapper.num_threads = mapper.bundle_adjustment.ceres.solver_options.num_threads = 1
    for part in (mapper, mapper.rotation_averaging, mapper.global_positioning, mapper.retriangulation):
        part.random_seed = seed
    mapper.global_positioning.use_gpu = mapper.bundle_adjustment.ceres.use_gpu = False
    return pycolmap.global_mapping(database, folder, folder, options)


def largest_first(models, photos):
    """Models of a cluster's photos in their order: most photos first, among equals by their first photo."""
    return sorted(models, key=lambda model: (-model.num_reg_images(), positions_of(model, photos)[0]))


def positions_of(model, photos):
    """Positions in `photos` of those that a model has registered, sorted."""
    position = {photo["name"]: number for number, photo in enumerate(photos)}
    names = (model.images[number].name for number in model.reg_image_ids())
    return sorted(position[name] for name in names if name in position)


def name_in_colmap(sha256, name):
    """What a photo is called in COLMAP's files: its name behind its content's digest, because two folders may hold photos of one name,
    and escaped, because one that COLMAP cannot read would cost its whole cluster the model.
    """
    return f"{bytes(sha256).hex()[:12]}/{printable(name)}"


def write_model(model, folder):
    """Write a model as a folder of COLMAP's.

    Raises:
        OSError: the disk is full or not writable.
    """
    folder.mkdir()
    try:
        model.write(str(folder))
    except Exception as error:  # of pycolmap's, where it cannot even begin a file
        raise OSError(first_line(error)) from error
    _check_room(folder)


def _check_room(folder):
    """On a full disk COLMAP writes half a model without a word, and reads half a model for ever.

    A disk that has room for one more file as large as the largest was not full before. Not for zeros: they may take no room.
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


def read_model(folder):
    """A model from a folder of COLMAP's."""
    return pycolmap.Reconstruction(str(folder))


def lay_in_file(model: pycolmap.Reconstruction, orientations: dict[str, int]) -> None:
    """Bring the photos of a model of ours from upright ones to their files' pixels, in place: cameras, poses and places.

    Args:
        model: every image has a camera of its own.
        orientations: EXIF's by name of the image; no mirrored ones, which no pose can express. Others stay as they are.
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
        camera.params = params
        camera.width, camera.height = size_in_file(size, orientation)


@contextlib.contextmanager
def _room(folder):
    """What goes wrong on a full disk is the disk's fault, and not that of the photos.

    A disk with room may be full too (quotas, limits of a file's size): then it is the database that complains.
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


def to_arrays(model, photos):
    """A model as flat arrays.

    Args:
        model: pycolmap.Reconstruction.
        photos: dicts of `name`, as `map_cluster` takes them; others that the model has registered are left out.

    Returns:
        dict of `photo` int32 [R] (positions in `photos`), `focal` (pixels), `k1` (0 of cameras of other kinds than COLMAP's radial ones)
        float64 [R], `rotation` [R, 3, 3], `translation` [R, 3], `point` float32 [X, 3], `observations`: per photo (point int64 [o],
        feature int32 [o]), `error` mean reprojection error in pixels of the searched photos (of a model
        that was not made here: in its own).
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
