"""A run's 3D models as COLMAP wants them beside the photos: `sparse/CLUSTER-MODEL` and `images`.

COLMAP takes the pixels of a file as they lie, whatever EXIF says, and so are cameras, poses and places of features here.
"""

import os
from pathlib import Path

from PIL import Image

from bow2cnn.core import artefact
from bow2cnn.core.atomic_files import atomic_write, write_errors
from bow2cnn.core.printable import first_line, printable
from bow2cnn.core.progress import progress
from bow2cnn.export.names import names_for_others
from bow2cnn.photos.decode import PhotoError, is_plain, read_rgb
from bow2cnn.photos.orientation import UPRIGHT, is_mirrored
from bow2cnn.reconstruction.colmap import lay_in_file, name_in_colmap, read_model, write_model
from bow2cnn.reconstruction.folders import model_files

_READ = ("JPEG", "MPO", "PNG", "TIFF", "BMP", "PPM")  # formats that COLMAP decodes (pycolmap 4.2.1)
_QUALITY = 95  # of a copy as JPEG


def export_colmap(results, out):
    """Write the models of a run so that COLMAP can undistort their photos, make depth maps of them, and so on.

    The photos lie in `images` under the names that `names_for_others` gives them, as links to the user's files. Where COLMAP cannot read a
    file, or the file is mirrored (EXIF orientations 2, 4, 5, 7), there is an upright copy (JPEG, whatever the name ends in). Where every
    photo is a link, the user's own folder does as well as `images`.

    Args:
        results: the run's folder, whose stage `reconstruction` is done.
        out: folder, in which there is no `sparse` yet.

    Returns:
        numbers of models, of photos, of those that are copies, and a line for every photo that cannot be read any more.

    Raises:
        ArtefactError: there are no models, or not those of the run's photos.
        WriteError: the disk is full or not writable, or there is a `sparse` already.
    """
    results, out = Path(results), Path(out)
    photos = artefact.read(results / "collection/collection.h5", "collection", ["path", "name", "sha256", "orientation"])
    own = {name_in_colmap(*photo): row for row, photo in enumerate(zip(photos["sha256"], photos["name"], strict=True))}
    folders = sorted({path.parent for folder in sorted(results.glob("reconstruction/colmap-*")) for path in model_files(folder)})
    if not folders:
        raise artefact.ArtefactError(f"{results}/reconstruction: holds no COLMAP models; run the stage `reconstruction`")
    models = {folder.name: _read(folder) for folder in folders}
    try:
        rows = sorted({own[image.name] for model in models.values() for image in model.images.values()})
    except KeyError as error:
        raise artefact.ArtefactError(
            f"{results}/reconstruction: a model shows {error}, which is not in the collection; run it again"
        ) from None
    names, copies, gone, orientations = [printable(name) for name in names_for_others(photos)], 0, [], {}
    for row in progress(rows, "images"):
        path, orientation = photos["path"][row], int(photos["orientation"][row])
        try:
            as_it_is = not is_mirrored(orientation) and is_plain(path, _READ)
            orientations[names[row]] = orientation if as_it_is else UPRIGHT
            _place(path, out / "images" / names[row], as_it_is)
        except PhotoError as error:
            gone.append(f"{path}: {error}")
            continue
        copies += not as_it_is
    for name, model in models.items():
        for image in model.images.values():
            image.name = names[own[image.name]]
        lay_in_file(model, orientations)
        with write_errors(out / "sparse" / name):
            (out / "sparse").mkdir(parents=True, exist_ok=True)
            write_model(model, out / "sparse" / name)
    return len(models), len(rows) - len(gone), copies, gone


def _read(folder):
    try:
        return read_model(folder)
    except Exception as error:  # pycolmap's, of many kinds
        raise artefact.ArtefactError(f"{folder}: damaged ({first_line(error)}); delete it and run the stage again") from error


def _place(path, target, as_it_is):
    """A link to a photo, or an upright copy of it."""
    if as_it_is:
        with write_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            target.symlink_to(os.path.abspath(path))
        return
    copy = Image.fromarray(read_rgb(path))
    with atomic_write(target) as temporary:
        copy.save(temporary, "JPEG", quality=_QUALITY)
