"""Keep the models of clusters on disk, under a key of everything they depend on.

Models that an earlier or a killed run has built are not built again. If a cluster has only grown since, its earlier models are extended.
"""

import contextlib
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bow2cnn.core.atomic_files import atomic_folder, write_errors
from bow2cnn.core.printable import first_line
from bow2cnn.reconstruction.colmap import Model, read_model, write_model

_LOG = logging.getLogger("bow2cnn")
# File with the digest of the models. Users may change them through links to the same files, and COLMAP reads damaged files without an
# error.
_DIGEST = "sha256"
_SOURCE = "source.json"


class Source(NamedTuple):
    """Everything that the models of a cluster depend on.

    Attributes:
        views, pairs: digests, one per photo and one per pair of photos.
        made_with: digest of the settings and the code that build the models.
        lineage: digest of everything but the photos that the clusters depend on (`bow2cnn.core.lineage`).
    """

    views: list[str]
    pairs: list[str]
    made_with: str
    lineage: str

    @property
    def key(self) -> str:
        """A text for the same photos, pairs and `made_with`. It begins with the digest of a photo, by which a larger cluster finds it."""
        content = json.dumps([self.views, self.pairs, self.made_with]).encode()
        return f"{min(self.views)}-{hashlib.sha256(content).hexdigest()[:32]}"

    def grew_from(self, other: "Source") -> bool:
        """Whether this cluster is another one with additional photos and pairs, and nothing else has changed."""
        same = (self.made_with, self.lineage) == (other.made_with, other.lineage)
        return same and set(self.views) >= set(other.views) and set(self.pairs) >= set(other.pairs)


def source_of(views: Sequence[dict], pairs: Sequence[tuple], made_with: str, lineage: str) -> Source:
    """The `Source` of a cluster.

    Args:
        views, pairs: photos and pairs of the cluster, as `colmap.map_cluster` takes them.
        made_with, lineage: see `Source`.
    """
    photos = [
        _digest((view["name"], int(view["width"]), int(view["height"]), float(view["focal"])), view["xy"], view["scale"])[:16]
        for view in views
    ]
    matches = [_digest((photos[a], photos[b]), fundamental, match)[:16] for a, b, fundamental, match in pairs]
    return Source(photos, matches, made_with, lineage)


class ModelCache:
    """The models of clusters as COLMAP folders.

    Args:
        folder: holds one folder per cluster, whose name is the key of the cluster. A cluster's folder has one folder per model, a file with
            the `Source`, and a file with the digest of both.
    """

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder)

    def load(self, source: Source) -> list[tuple[Model, Path]] | None:
        """Load the models of a cluster.

        Returns:
            The models and their folders, or None if there are none or they are damaged.

        Raises:
            OSError, MemoryError: the system cannot read them.
        """
        place = self._folder / source.key
        if not place.exists():
            return None
        try:
            return [(read_model(folder), folder) for folder in _checked_folders(place)]
        except (OSError, MemoryError):
            raise
        except Exception as error:  # damaged, or of another version of COLMAP
            _LOG.warning("models: kept models cannot be used: %s", first_line(error))
            return None

    def find_smaller(self, source: Source) -> list[Path]:
        """Find the largest kept cluster from which a cluster has grown.

        Returns:
            The folders of its models, largest first; empty if there is no such cluster.

        Raises:
            OSError: the system cannot read them.
        """
        known = set(source.views)
        found: list[tuple[int, list[Path]]] = []
        for place in sorted(self._folder.glob("*-*")):
            if place.name.split("-")[0] in known:
                with contextlib.suppress(FileNotFoundError, ValueError, TypeError):  # half deleted, or damaged
                    before = Source(**json.loads((place / _SOURCE).read_text()))
                    if source.grew_from(before):
                        found.append((len(before.views), _checked_folders(place)))
        return max(found, key=lambda one: one[0], default=(0, []))[1]

    def save(self, source: Source, models: Sequence[Model]) -> None:
        """Keep the models of a cluster, all or none.

        Raises:
            WriteError: the disk is full or not writable.
        """
        place = self._folder / source.key
        with atomic_folder(place) as temporary, write_errors(place):
            for number, model in enumerate(models):
                write_model(model, temporary / str(number))
            (temporary / _SOURCE).write_text(json.dumps(source._asdict()))
            (temporary / _DIGEST).write_text(_digest_of(temporary))

    def drop_others(self, keys: Collection[str]) -> None:
        """Delete the models of all clusters but those with these keys."""
        with contextlib.suppress(FileNotFoundError):
            for entry in list(self._folder.iterdir()):
                if entry.name not in keys:
                    shutil.rmtree(entry, ignore_errors=True)


def _checked_folders(place):
    """The folders of a cluster's models, in their order, after a comparison with their digest.

    Raises:
        ValueError: they are damaged.
        OSError: the system cannot read them.
    """
    digest = place / _DIGEST
    if not digest.is_file() or digest.read_text() != _digest_of(place):
        raise ValueError(f"{place}: damaged")
    return sorted((entry for entry in place.iterdir() if entry.is_dir()), key=lambda folder: int(folder.name))


def _digest_of(place):
    """Digest of all files of a cluster."""
    files = sorted(file for file in place.rglob("*") if file.is_file() and file != place / _DIGEST)
    return _digest([(str(file.relative_to(place)), _digest((), file.read_bytes())) for file in files])


def _digest(values, *contents):
    """Digest of some values and of the bytes of arrays, hex."""
    total = hashlib.sha256(repr(values).encode())
    for content in contents:
        total.update(content if isinstance(content, bytes) else np.ascontiguousarray(content).tobytes())
    return total.hexdigest()


def link_folder(source: Path, target: Path) -> None:
    """Make a folder with the files of another one. They are linked if the disk allows it, and copied otherwise.

    Raises:
        WriteError: the disk is full or not writable.
    """
    with write_errors(target):
        target.mkdir()
        for file in source.iterdir():
            try:
                os.link(file, target / file.name)
            except OSError:
                shutil.copy2(file, target / file.name)
