"""Models of clusters on disk, by a key of everything they come from: what an earlier or a killed run built is not built again."""

import contextlib
import hashlib
import os
import shutil
from pathlib import Path

import numpy as np

from bow2cnn.reconstruction.colmap import read_model, write_model


class Kept:
    """Clusters' models as COLMAP's folders.

    Args:
        folder: where; one folder per cluster in it, named by its key, with one folder per model.
    """

    def __init__(self, folder):
        self._folder = Path(folder)

    def load(self, key):
        """Models of a cluster and their folders, or None if they are not there, or damaged."""
        place = self._folder / key
        if not place.is_dir():
            return None
        try:
            return [(read_model(folder), folder) for folder in sorted(place.iterdir(), key=lambda folder: int(folder.name))]
        except Exception:  # whatever the damage happens to hit
            return None

    def save(self, key, models):
        """Keep a cluster's models, all or none.

        Raises:
            ReconstructionError: the disk is full.
        """
        place, temporary = self._folder / key, self._folder / f".{key}.{os.getpid()}.tmp"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        try:
            for number, model in enumerate(models):
                write_model(model, temporary / str(number))
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

    def link(file, place):
        try:
            os.link(file, place)
        except OSError:
            shutil.copy2(file, place)

    shutil.copytree(source, target, copy_function=link)
