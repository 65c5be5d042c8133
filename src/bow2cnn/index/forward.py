"""Forward files: the words of photos, photo by photo, sorted by word within each.

A dict of `offset` int64 [n + 1], `word` uint32 [N], `signature` uint64 [N], `feature` int32 [N] and `keypoint` float32 [N, 6].
"""

import numpy as np

from bow2cnn import artefact

COLUMNS = {"word": np.uint32, "signature": np.uint64, "feature": np.int32, "keypoint": np.dtype((np.float32, 6))}


def read_words(paths):
    """The forward file of all shards."""
    parts = [artefact.read(path, "words") for path in paths]
    arrays = {name: np.concatenate([part[name] for part in parts]) for name in COLUMNS}
    return {"offset": artefact.offsets(np.concatenate([np.diff(part["offset"]) for part in parts])), **arrays}


def drop_features(forward, keep):
    """A forward file with only the features of `keep`, bool [N]."""
    before = np.concatenate([[0], np.cumsum(keep)])
    kept = {name: array[keep] for name, array in forward.items() if name != "offset"}
    return {"offset": before[forward["offset"]], **kept}
