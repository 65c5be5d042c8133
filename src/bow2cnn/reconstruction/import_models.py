"""Import 3D models of the collection's photos that the user already has, as COLMAP folders."""

import logging
import resource
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bow2cnn.core import artefact
from bow2cnn.core.empty_stage import EmptyStageError
from bow2cnn.core.isolated import isolated_map
from bow2cnn.core.printable import first_line, printable
from bow2cnn.core.progress import progress
from bow2cnn.photos.orientation import is_mirrored, is_sideways, steps
from bow2cnn.reconstruction.colmap import read_model, to_arrays
from bow2cnn.reconstruction.folders import model_files
from bow2cnn.reconstruction.gather_models import write_models
from bow2cnn.reconstruction.models import implausible
from bow2cnn.reconstruction.photo_names import KnownNames

_LOG = logging.getLogger("bow2cnn")
_ARRAYS = ["path", "name", "sha256", "width", "height", "orientation", "rejected/path", "rejected/reason"]
_SECONDS, _BYTES_PER_SECOND = 60, 1e6  # time limit to read a model: this time, and a second more for this number of bytes
_MEMORY, _MEMORY_PER_BYTE = 1 << 30, 20  # memory limit to read a model: this number of bytes, and more for each byte of its files


class _UnknownPhotos(NamedTuple):
    """Names of the registered photos of models that cannot be used, by the reasons of `_REASONS`."""

    missing: list[str]
    ambiguous: list[str]
    duplicate: list[str]


_REASONS = (
    "registered photos are not in the collection",
    "registered photos have names that several photos of the collection have",
    "registered photos have the bytes of another photo of their model",
)


def read_models(folder: str | Path, collection: str | Path, out: str | Path, min_photos: int) -> None:
    """Write the `models` artefact of the COLMAP models in a folder. Each model counts as a cluster of its own.

    The image names of a model are looked up in the collection (see `KnownNames`); unknown photos are left out. COLMAP ignores the
    orientation in EXIF, so the cameras of turned photos are turned to fit the upright photos. A model that cannot be read, or that is
    implausible, is rejected with a reason. The parameter `left_out` of the artefact counts the unknown photos by reason.

    Args:
        folder: searched at any depth.
        collection: path of the `collection` artefact.
        out: path of the artefact to write.
        min_photos: photos of the smallest model.

    Raises:
        EmptyStageError: there is no model, or every model is rejected.
        ArtefactError: the collection cannot be used.
        WriteError: the disk is full or not writable.
    """
    places = sorted({path.parent for path in model_files(folder)})
    if not places:
        raise EmptyStageError(f"models: {folder} holds no COLMAP model (cameras, images and points3D, all .bin or all .txt)")
    with artefact.Reader(collection, "collection") as reader:
        photos = {name: reader[name] for name in _ARRAYS}
        known = KnownNames(photos, reader.params.get("photos", []))
    size = np.stack([photos["width"], photos["height"]], 1)
    models, rejected, unknown_photos = [], [], _UnknownPhotos([], [], [])
    for number, found in _read_all(places, known, size, photos["orientation"]):
        if isinstance(found, str):
            rejected.append((number, 0, f"{places[number]}: {found}"))
            continue
        arrays, unknown_of_model = found
        for all_names, names in zip(unknown_photos, unknown_of_model, strict=True):
            all_names += names
        few = len(arrays["photo"]) < min_photos
        reason = f"only {len(arrays['photo'])} photos of the collection" if few else implausible(arrays, size[arrays["photo"]].max(1))
        if reason:
            rejected.append((number, len(arrays["photo"]), f"{places[number]}: {reason}"))
        else:
            models.append({**arrays, "cluster": number})
    for _, _, reason in sorted(rejected):
        _LOG.warning("models: rejected %s", reason)
    by_reason = zip(unknown_photos, _REASONS, strict=True)
    left_out = [(len(names), f"{reason}, such as {printable(min(names))}") for names, reason in by_reason if names]
    for count, reason in left_out:
        _LOG.warning("models: %d %s", count, reason)
    if not models:
        raise EmptyStageError(_why_no_model(folder, sorted(rejected), unknown_photos))
    write_models(models, rejected, collection, out, {"left_out": left_out})


def _read_all(places, known, size, orientation):
    """Yield (number of the folder, answer of `_read`) for every folder of a model; the answer is a reason if the reader died."""
    sizes = [sum(path.stat().st_size for path in place.iterdir() if path.is_file()) for place in places]
    seconds = [_SECONDS + size / _BYTES_PER_SECOND for size in sizes]
    # COLMAP trusts the numbers of elements in a damaged file and crashes, so every model is read in a process of its own.
    answers = isolated_map(partial(_read, known, size, orientation), list(zip(places, sizes, strict=True)), 1, seconds)
    return progress(answers, "models", len(places))


def _read(known, size, orientation, task):
    """The arrays of a model, without `cluster`, and its unknown photos; or the reason why it cannot be read."""
    place, length = task
    _limit_memory(_MEMORY + _MEMORY_PER_BYTE * length)
    try:
        model = read_model(place)
        if unfit := sorted({camera.model.name for camera in model.cameras.values() if not camera.focal_length_idxs()}):
            return f"cameras of the model {', '.join(unfit)} are not supported, which have no focal length"
        return _arrays_of(model, known, size, orientation)
    except KeyError as error:
        return f"damaged (it has no {error})"
    except Exception as error:  # pycolmap's, of many kinds
        return first_line(error)


def _arrays_of(model, known, size, orientation):
    name_of, ours, unknown_photos = {}, set(), _UnknownPhotos([], [], [])
    for name in sorted(model.images[number].name for number in model.reg_image_ids()):
        found = known.find(name)
        if found.row < 0:
            (unknown_photos.ambiguous if found.several else unknown_photos.missing).append(name)
        elif found.row in name_of:
            unknown_photos.duplicate.append(name)
        else:
            name_of[found.row] = name
            if found.ours:
                ours.add(found.row)
    own = sorted(name_of)
    arrays = to_arrays(model, [{"name": name_of[row]} for row in own])
    cameras = [model.cameras[model.find_image_with_name(name_of[row]).camera_id] for row in own]
    seen = np.array([(camera.width, camera.height) for camera in cameras]).reshape(-1, 2)
    arrays["photo"] = np.array(own, np.int32)
    # The user may have given COLMAP smaller copies of the photos, or turned ones.
    arrays["focal"] = arrays["focal"] * size[own].max(1, initial=1) / seen.max(1, initial=1)
    for view, row in enumerate(own):
        if row not in ours and _is_as_in_file(seen[view], size[row], orientation[row]):
            turn = steps(orientation[row]).T
            arrays["rotation"][view, :2] = turn @ arrays["rotation"][view, :2]
            arrays["translation"][view, :2] = turn @ arrays["translation"][view, :2]
    arrays["color"] = np.array([model.points3D[point].color for point in sorted(model.points3D)], np.uint8).reshape(-1, 3)
    return arrays, unknown_photos


def _is_as_in_file(seen, size, orientation):
    """Whether COLMAP saw a photo as it is in its file, not upright, judged by both sizes. Mirrored photos are taken as upright ones."""
    swapped = (seen[0] - seen[1]) * (int(size[0]) - int(size[1])) <= 0
    return not is_mirrored(orientation) and (swapped or not is_sideways(orientation))


def _limit_memory(more):
    """Limit the memory of this process to its present memory and a number of bytes more."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:  # not Linux
        return
    limit, hard = pages * resource.getpagesize() + more, resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))


def _why_no_model(folder, rejected, unknown_photos):
    advice = ""
    if unknown_photos.missing:
        wanted = "image names have to be paths below a folder of `photos`, or the ends of paths"
        advice = f"; no photo is called {min(unknown_photos.missing)}: {wanted}"
    elif unknown_photos.ambiguous:
        advice = f"; {min(unknown_photos.ambiguous)} may be several photos: name in `photos` only the folder of those that the models show"
    return f"models: of the {len(rejected)} models in {folder} none can be used ({rejected[0][2]}){advice}"
