"""Local features and verified pairs as hloc reads them: `features.h5`, `pairs.txt` and `matches.h5`.

hloc ignores the orientation in EXIF. So places of features and sizes are those of the pixels as they lie in the file.
"""

from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from bow2cnn.core.atomic_files import atomic_write, write_bytes
from bow2cnn.core.progress import progress
from bow2cnn.export.names import names_for_others
from bow2cnn.features.sift import DESCRIPTOR_SCALE
from bow2cnn.features.store import FeatureStore
from bow2cnn.photos.orientation import place_in_file, size_in_file
from bow2cnn.run.run import Run


class UnfitName(ValueError):
    """hloc cannot read the name of any photo; the message says why."""


class Exported(NamedTuple):
    """What an export holds and what it had to leave out.

    Attributes:
        photos: number of photos.
        pairs: number of verified pairs.
        pairs_left_out: number of verified pairs with a photo that is left out.
        left_out: a line for every photo that is left out.
    """

    photos: int
    pairs: int
    pairs_left_out: int
    left_out: list[str]


def export_hloc(run: Run, out: str | Path) -> Exported:
    """Write the local features and the verified pairs of a run for hloc.

    - `features.h5` has a group per photo: `keypoints` float32 [N, 2] (pixels of the file, the centre of the top left pixel is (0, 0); the
      attribute `uncertainty` says how many pixels of the file one pixel of the searched photo is), `descriptors` float16 [128, N],
      `scores` float16 [N], `image_size` [2] (width and height of the file).
    - `pairs.txt` has a line per verified pair.
    - `matches.h5` has per pair `matches0` int16 [N] (int32 if the second photo has more than 32,767 features): for each feature of the
      first photo its match in the second, or -1; and `matching_scores0` float16 [N].

    Photos with names that hloc would misread are left out, and so are their pairs.

    Args:
        run: with the stage `clustering` done.
        out: folder.

    Raises:
        ArtefactError: a file of the run is missing, damaged, or does not belong to the others.
        WriteError: the disk is full or not writable.
        UnfitName: no photo has a name that hloc can read.
    """
    out, photos = Path(out), run.photos
    names = names_for_others(photos)
    unfit = _unfit_names(names)
    rows = [row for row in range(len(names)) if row not in unfit]
    if names and not rows:
        raise UnfitName(f"{names[0]}: {unfit[0]}, and hloc cannot read any other name either; rename the photos or their folders")
    store, graph = FeatureStore(run.shards("features"), capacity=0), run.graph
    counts = np.zeros(len(names), np.int64)
    with atomic_write(out / "features.h5") as temporary, h5py.File(temporary, "w", libver="latest") as file:
        for row in progress(rows, "features"):
            keypoint, descriptor = store[row]
            counts[row] = len(keypoint)
            size, orientation = run.size(row), int(photos["orientation"][row])
            xy = place_in_file(keypoint[:, :2], size, orientation) - 0.5
            uncertainty = float(np.mean(store.scale(row)))
            _write_features(file.create_group(names[row]), xy, descriptor, size_in_file(size, orientation), uncertainty)
    pairs = [(edge, a, b) for edge, (a, b) in enumerate(graph["pair"].tolist()) if a not in unfit and b not in unfit]
    with atomic_write(out / "matches.h5") as temporary, h5py.File(temporary, "w", libver="latest") as file:
        for edge, a, b in progress(pairs, "matches"):
            match = graph["match"][slice(*graph["match_offset"][edge : edge + 2])]
            matches = np.full(counts[a], -1, np.int16 if counts[b] < 1 << 15 else np.int32)
            matches[match[:, 0]] = match[:, 1]
            group = file.create_group(f"{_flat(names[a])}/{_flat(names[b])}")
            group.create_dataset("matches0", data=matches)
            group.create_dataset("matching_scores0", data=(matches >= 0).astype(np.float16))
    write_bytes(out / "pairs.txt", "".join(f"{names[a]} {names[b]}\n" for _, a, b in pairs).encode())
    lost = len(graph["pair"]) - len(pairs)
    return Exported(len(rows), len(pairs), lost, [f"{names[row]}: {reason}" for row, reason in unfit.items()])


def _write_features(group, xy, descriptor, size, uncertainty):
    strength = 1 / (1 + np.arange(len(xy)))  # features come in the order of falling strength
    group.create_dataset("keypoints", data=xy.astype(np.float32)).attrs["uncertainty"] = uncertainty
    group.create_dataset("descriptors", data=(descriptor.T / DESCRIPTOR_SCALE).astype(np.float16))
    group.create_dataset("scores", data=strength.astype(np.float16))
    group.create_dataset("image_size", data=np.array(size))


def _unfit_names(names):
    """Row to the reason why hloc would misread its name. hloc separates two names by a blank in `pairs.txt`, and writes "-" for "/" in
    `matches.h5`.
    """
    known, unfit = {}, {}
    for row, name in enumerate(names):
        if " " in name or not name.isprintable():
            unfit[row] = "has a blank or a control character, where hloc would split a line of its list of pairs"
        elif (other := known.setdefault(_flat(name), name)) != name:
            unfit[row] = f"hloc would confuse it with {other}"
    return unfit


def _flat(name):
    """hloc's name of a photo within the name of a pair."""
    return name.replace("/", "-")
