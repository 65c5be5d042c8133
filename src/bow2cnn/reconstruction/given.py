"""3D models that a user already has, as COLMAP folders of the collection's photos."""

import logging
import resource
from functools import partial
from pathlib import Path

import numpy as np

from bow2cnn import artefact
from bow2cnn.nothing import NothingFound
from bow2cnn.processes import work_apart
from bow2cnn.progress import progress
from bow2cnn.reconstruction.colmap import name_in_colmap, read_model, to_arrays
from bow2cnn.reconstruction.folders import model_files
from bow2cnn.reconstruction.gather import write_models
from bow2cnn.reconstruction.models import absurd
from bow2cnn.text import first_line

_LOG = logging.getLogger("bow2cnn")
_SECONDS, _PER_SECOND = 60, 1e6  # to read a model, and bytes for each more
_MEMORY, _PER_BYTE = 1 << 30, 20  # bytes, and for each byte of the files


def read_models(folder, collection, out, min_photos):
    """Write the `models` artefact of COLMAP's models in a folder, each a cluster of its own.

    A model's photos are those of the collection with its image names: paths below the folder of `photos`, or as our own COLMAP folders
    have them. Others are left out. A model that cannot be read, or that is not to be believed, is rejected with a reason.

    Args:
        folder: searched at any depth.
        collection, out: paths.
        min_photos: of the smallest model.

    Raises:
        NothingFound: there is no model, or none of the collection's photos.
    """
    places = sorted({path.parent for path in model_files(folder)})
    if not places:
        raise NothingFound(f"models: {folder} holds no COLMAP model (cameras, images and points3D, all .bin or all .txt)")
    photos = artefact.read(collection, "collection", ["name", "sha256", "width", "height"])
    longer_side = np.maximum(photos["width"], photos["height"])
    models, rejected, strange = [], [], 0
    for number, found in _read_all(places, _rows_by_name(photos), photos["width"]):
        if isinstance(found, str):
            rejected.append((number, 0, f"{places[number]}: {found}"))
            continue
        arrays, others = found
        strange += others
        few = len(arrays["photo"]) < min_photos
        reason = f"only {len(arrays['photo'])} photos of the collection" if few else absurd(arrays, longer_side[arrays["photo"]])
        if reason:
            rejected.append((number, len(arrays["photo"]), f"{places[number]}: {reason}"))
        else:
            models.append({**arrays, "cluster": number})
    for _, _, reason in sorted(rejected):
        _LOG.warning("models: rejected %s", reason)
    if strange:
        _LOG.warning("models: %d registered photos are not in the collection", strange)
    if not models:
        raise NothingFound(_nothing(folder, sorted(rejected), strange))
    write_models(models, rejected, collection, out)


def _read_all(places, rows, width):
    """(number of the folder, what `_read` returns or why it cannot be read) of every folder of a model."""
    sizes = [sum(path.stat().st_size for path in place.iterdir() if path.is_file()) for place in places]
    seconds = [_SECONDS + size / _PER_SECOND for size in sizes]
    # COLMAP believes what a file says of its own length, and dies of it.
    answers = work_apart(partial(_read, rows, width), list(zip(places, sizes, strict=True)), 1, seconds)
    return progress(answers, "models", len(places))


def _read(rows, width, task):
    """Arrays of a model, without `cluster`, and how many of its photos are no photos of the collection; or why it cannot be read."""
    place, size = task
    _limit_memory(_MEMORY + _PER_BYTE * size)
    try:
        return _arrays_of(read_model(place), rows, width)
    except KeyError as error:
        return f"damaged (it has no {error})"
    except Exception as error:  # pycolmap's, of many kinds
        return first_line(error)


def _arrays_of(model, rows, width):
    registered = [model.images[number].name for number in model.reg_image_ids()]
    name_of = {rows[name]: name for name in registered if name in rows}
    own = sorted(name_of)
    arrays = to_arrays(model, [{"name": name_of[row]} for row in own])
    cameras = [model.cameras[model.find_image_with_name(name_of[row]).camera_id] for row in own]
    arrays["photo"] = np.array(own, np.int32)
    arrays["focal"] = arrays["focal"] * width[own] / np.array([camera.width for camera in cameras])  # it may have seen smaller copies
    arrays["color"] = np.array([model.points3D[point].color for point in sorted(model.points3D)], np.uint8).reshape(-1, 3)
    return arrays, len(registered) - len(own)


def _limit_memory(more):
    """Let this process have so many bytes more than now."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:  # no Linux
        return
    wanted, most = pages * resource.getpagesize() + more, resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (wanted if most == resource.RLIM_INFINITY else min(wanted, most), most))


def _rows_by_name(photos):
    """Row of every name by which COLMAP may know a photo; one that several photos have is nobody's."""
    rows, several = {}, set()
    for row, name in enumerate(photos["name"]):
        several |= {name} & rows.keys()
        rows[name] = row
    rows = {name: row for name, row in rows.items() if name not in several}
    ours = map(name_in_colmap, photos["sha256"], photos["name"])
    return rows | {name: row for row, name in enumerate(ours)}


def _nothing(folder, rejected, strange):
    """Why there is no model."""
    advice = "; image names have to be paths below a folder of `photos`" if strange else ""
    return f"models: of the {len(rejected)} models in {folder} none can be used ({rejected[0][2]}){advice}"
