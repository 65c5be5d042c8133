"""Models of clusters on disk, by a key of everything they come from: what an earlier or a killed run built is not built again."""

import contextlib
import hashlib
import os
import shutil
from pathlib import Path

import numpy as np

from bow2cnn.files import writing
from bow2cnn.reconstruction.colmap import read_model, write_model

_SEAL = "sha256"  # of the models: they are linked to where users open and change them, and COLMAP takes any file for sound


class Kept:
    """Clusters' models as COLMAP's folders.

    Args:
        folder: where; one folder per cluster in it, named by its key, with one folder per model and a file with their digest.
    """

    def __init__(self, folder):
        self._folder = Path(folder)

    def load(self, key):
        """Models of a cluster and their folders, or None if they are not there, or damaged."""
        place = self._folder / key
        try:
            if (place / _SEAL).read_text() != _digest(place):
                return None
            return [(read_model(folder), folder) for folder in sorted(_models(place), key=lambda folder: int(folder.name))]
        except Exception:  # not there, or of a COLMAP that wrote otherwise
            return None

    def save(self, key, models):
        """Keep a cluster's models, all or none.

        Raises:
            WriteError: the disk is full or not writable.
        """
        place, temporary = self._folder / key, self._folder / f".{key}.{os.getpid()}.tmp"
        shutil.rmtree(temporary, ignore_errors=True)
        try:
            with writing(place):
                temporary.mkdir(parents=True)
                for number, model in enumerate(models):
                    write_model(model, temporary / str(number))
                (temporary / _SEAL).write_text(_digest(temporary))
                shutil.rmtree(place, ignore_errors=True)
                os.replace(temporary, place)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def drop_others(self, keys):
        """Delete what has none of these keys."""
        with contextlib.suppress(FileNotFoundError):
            for entry in list(self._folder.iterdir()):
                if entry.name not in keys:
                    shutil.rmtree(entry, ignore_errors=True)


def _models(place):
    return [entry for entry in place.iterdir() if entry.is_dir()]


def _digest(place):
    """Digest of the files of all models of a cluster."""
    files = sorted(file for folder in _models(place) for file in folder.iterdir())
    parts = [(str(file.relative_to(place)), hashlib.sha256(file.read_bytes()).hexdigest()) for file in files]
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def key_of(views, pairs, *made_with):
    """Key of a cluster: its photos and matches as `map_cluster` takes them, and what else its models depend on."""
    total = hashlib.sha256(repr(made_with).encode())
    for view in views:
        total.update(repr((view["name"], int(view["width"]), int(view["height"]), float(view["focal"]))).encode())
        total.update(np.ascontiguousarray(view["xy"]).tobytes())
    for a, b, fundamental, match in pairs:
        total.update(repr((a, b, len(match))).encode())
        total.update(np.ascontiguousarray(fundamental).tobytes() + np.ascontiguousarray(match).tobytes())
    return total.hexdigest()[:32]


def link_folder(source, target):
    """A folder with the same files: linked where the disk allows, else copied."""
    with writing(target):
        target.mkdir()
        for file in source.iterdir():
            try:
                os.link(file, target / file.name)
            except OSError:
                shutil.copy2(file, target / file.name)
