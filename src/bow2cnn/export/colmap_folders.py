"""A run's 3D models beside their photos, as COLMAP reads them: `sparse/CLUSTER-MODEL` and `images`.

COLMAP ignores the orientation in EXIF. So cameras, poses and places of features are those of the pixels as they lie in the file.
"""

import os
from pathlib import Path
from typing import NamedTuple

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
from bow2cnn.run.run import Run

_READ = ("JPEG", "MPO", "PNG", "TIFF", "BMP", "PPM")  # formats that COLMAP decodes (pycolmap 4.2.1)
_QUALITY = 95  # of a copy as JPEG


class Exported(NamedTuple):
    """What an export holds.

    Attributes:
        models: number of models.
        photos: number of their photos.
        copies: number of photos that are copies and not links.
        left_out: a line for every photo that can no longer be read.
    """

    models: int
    photos: int
    copies: int
    left_out: list[str]


def export_colmap(run: Run, out: str | Path) -> Exported:
    """Write the models of a run so that COLMAP can undistort their photos, compute depth maps, and so on.

    The photos lie in `images` under the names of `names_for_others`, as links to the user's files. If COLMAP cannot read a file, or the
    file is mirrored (EXIF orientations 2, 4, 5, 7), `images` has an upright copy instead (JPEG, whatever the name ends in). If every photo
    is a link, the user's own folder can take the place of `images`.

    Args:
        run: with the stage `reconstruction` done.
        out: folder without a `sparse`.

    Raises:
        ArtefactError: the run has no models, or they are of other photos.
        WriteError: the disk is full or not writable, or `sparse` is there already.
    """
    out, photos = Path(out), run.photos
    own = {name_in_colmap(*photo): row for row, photo in enumerate(zip(photos["sha256"], photos["name"], strict=True))}
    parts = [run.path("colmap", part) for part in run.names("colmap")]
    folders = sorted({path.parent for part in parts for path in model_files(part)})
    if not folders:
        raise run.missing("colmap")
    models = {folder.name: _read(folder) for folder in folders}
    try:
        rows = sorted({own[image.name] for model in models.values() for image in model.images.values()})
    except KeyError as error:
        raise artefact.ArtefactError(f"{folders[0].parent}: a model shows {error}, which is not in the collection; run it again") from None
    names, copies, left_out, orientations = [printable(name) for name in names_for_others(photos)], 0, [], {}
    for row in progress(rows, "images"):
        path, orientation = photos["path"][row], int(photos["orientation"][row])
        try:
            as_it_is = not is_mirrored(orientation) and is_plain(path, _READ)
            orientations[names[row]] = orientation if as_it_is else UPRIGHT
            _place(path, out / "images" / names[row], as_it_is)
        except PhotoError as error:
            left_out.append(f"{path}: {error}")
            continue
        copies += not as_it_is
    for name, model in models.items():
        for image in model.images.values():
            image.name = names[own[image.name]]
        lay_in_file(model, orientations)
        with write_errors(out / "sparse" / name):
            (out / "sparse").mkdir(parents=True, exist_ok=True)
            write_model(model, out / "sparse" / name)
    return Exported(len(models), len(rows) - len(left_out), copies, left_out)


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
