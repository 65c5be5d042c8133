"""Models of clusters on disk, by a key of everything they come from: what an earlier or a killed run built is not built again, and a
cluster that has only grown since goes on from what it was."""

import contextlib
import hashlib
import json
import logging
import os
import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bow2cnn.core.atomic_files import write_errors
from bow2cnn.core.printable import first_line
from bow2cnn.reconstruction.colmap import read_model, write_model

_LOG = logging.getLogger("bow2cnn")
_SEAL = "sha256"  # of the models: they are linked to where users open and change them, and COLMAP takes any file for sound
_SOURCE = "source.json"


class Source(NamedTuple):
    """What the models of a cluster come from.

    Attributes:
        views, pairs: digests, one per photo and per pair of photos.
        made_with: text, the settings and the code that make models of them.
        lineage: text, what made a cluster of them, photos aside (`bow2cnn.core.lineage`).
    """

    views: list
    pairs: list
    made_with: str
    lineage: str

    @property
    def key(self):
        """Of the same photos, pairs and `made_with`. It begins with one of the photos, by which a larger cluster finds it."""
        content = json.dumps([self.views, self.pairs, self.made_with]).encode()
        return f"{min(self.views)}-{hashlib.sha256(content).hexdigest()[:32]}"

    def grew_from(self, other):
        """Whether nothing but photos and pairs came to what the other was."""
        same = (self.made_with, self.lineage) == (other.made_with, other.lineage)
        return same and set(self.views) >= set(other.views) and set(self.pairs) >= set(other.pairs)


def source_of(views, pairs, made_with, lineage):
    """`Source` of a cluster's photos and pairs as `colmap.map_cluster` takes them."""
    photos = [
        _digest((view["name"], int(view["width"]), int(view["height"]), float(view["focal"])), view["xy"], view["scale"])[:16]
        for view in views
    ]
    matches = [_digest((photos[a], photos[b]), fundamental, match)[:16] for a, b, fundamental, match in pairs]
    return Source(photos, matches, made_with, lineage)


class ModelCache:
    """Clusters' models as COLMAP's folders.

    Args:
        folder: where; one folder per cluster in it, named by its key, with one folder per model, a file that tells what they come from
            and one with the digest of both.
    """

    def __init__(self, folder):
        self._folder = Path(folder)

    def load(self, source):
        """Models of a cluster and their folders, or None if they are not there, or damaged.

        Raises:
            OSError, MemoryError: the system does not let them be read.
        """
        place = self._folder / source.key
        if not place.exists():
            return None
        try:
            return [(read_model(folder), folder) for folder in _sound(place)]
        except (OSError, MemoryError):
            raise
        except Exception as error:  # damaged, or of a COLMAP that wrote otherwise
            _LOG.warning("models: what was kept cannot be used: %s", first_line(error))
            return None

    def outgrown(self, source):
        """Folders of the models, largest first, of the largest cluster from which this one has grown; none if there is none.

        Raises:
            OSError: the system does not let them be read.
        """
        known, found = set(source.views), []
        for place in sorted(self._folder.glob("*-*")):
            if place.name.split("-")[0] in known:
                with contextlib.suppress(FileNotFoundError, ValueError, TypeError):  # it is half deleted, or damaged
                    before = Source(**json.loads((place / _SOURCE).read_text()))
                    if source.grew_from(before):
                        found.append((len(before.views), _sound(place)))
        return max(found, key=lambda one: one[0], default=(0, []))[1]

    def save(self, source, models):
        """Keep a cluster's models, all or none.

        Raises:
            WriteError: the disk is full or not writable.
        """
        place, temporary = self._folder / source.key, self._folder / f".{source.key}.{os.getpid()}.tmp"
        shutil.rmtree(temporary, ignore_errors=True)
        try:
            with write_errors(place):
                temporary.mkdir(parents=True)
                for number, model in enumerate(models):
                    write_model(model, temporary / str(number))
                (temporary / _SOURCE).write_text(json.dumps(source._asdict()))
                (temporary / _SEAL).write_text(_digest_of(temporary))
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


def _sound(place):
    """Folders of a cluster's models, in their order.

    Raises:
        ValueError: they are damaged.
        OSError: the system does not let them be read.
    """
    seal = place / _SEAL
    if not seal.is_file() or seal.read_text() != _digest_of(place):
        raise ValueError(f"{place}: damaged")
    return sorted((entry for entry in place.iterdir() if entry.is_dir()), key=lambda folder: int(folder.name))


def _digest_of(place):
    """Digest of what is kept of a cluster."""
    files = sorted(file for file in place.rglob("*") if file.is_file() and file != place / _SEAL)
    return _digest([(str(file.relative_to(place)), _digest((), file.read_bytes())) for file in files])


def _digest(values, *contents):
    """Digest of some values and of the bytes of arrays."""
    total = hashlib.sha256(repr(values).encode())
    for content in contents:
        total.update(content if isinstance(content, bytes) else np.ascontiguousarray(content).tobytes())
    return total.hexdigest()


def link_folder(source, target):
    """A folder with the same files: linked where the disk allows, else copied."""
    with write_errors(target):
        target.mkdir()
        for file in source.iterdir():
            try:
                os.link(file, target / file.name)
            except OSError:
                shutil.copy2(file, target / file.name)
