"""Words of a shard: the visual word and the binary signature of every feature, sorted by word within each photo."""

from pathlib import Path

import numpy as np

from bow2cnn.core import artefact
from bow2cnn.core.lineage import find_rows, lineage, lineage_of, load_previous, log_reuse
from bow2cnn.core.same_photos import check_photos, photos_of
from bow2cnn.vocabulary.vocabulary import Vocabulary

_PHOTOS_AT_ONCE = 64


def quantise_shard(
    features: str | Path,
    vocabulary: str | Path,
    out: str | Path,
    threads: int,
    code: str = "",
    collection: str | Path | None = None,
) -> None:
    """Write the `words` artefact of a `features` artefact. Photos whose words are in an earlier version of it are not quantised again.

    Args:
        features, vocabulary, out: paths.
        threads: library threads.
        code: digest of the code, part of the lineage.
        collection: path of the `collection` artefact whose photos the features must be of; None to skip the check.

    Raises:
        ArtefactError: the features are of other photos, or an artefact cannot be read.
        WriteError: the disk is full or not writable.
    """
    if collection is not None:
        check_photos(collection, features)
    made_with = lineage("words", lineage_of(features, "features"), lineage_of(vocabulary, "vocabulary"), code)
    content = artefact.read(features, "features", ["content"])["content"]
    old = load_previous(out, "words", made_with)
    if old is None:
        arrays = quantise_photos(features, Vocabulary.load(vocabulary, threads))
    else:
        rows = find_rows(old["content"], content)
        new = np.flatnonzero(rows < 0)
        log_reuse("words", len(new), len(rows))
        arrays = _merge(old, rows, quantise_photos(features, Vocabulary.load(vocabulary, threads), new))
    artefact.write(out, "words", {**arrays, "content": content, **photos_of(features)}, {"lineage": made_with})


def quantise_photos(features: str | Path, vocabulary: Vocabulary, photos: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """Quantise the features of some photos.

    Args:
        features: path of a `features` artefact.
        vocabulary: the vocabulary.
        photos: sorted rows of the photos; None for all.

    Returns:
        a forward file, see `bow2cnn.index.forward`.
    """
    with artefact.Reader(features, "features") as reader:
        offset = reader["offset"]
        photos = np.arange(len(offset) - 1) if photos is None else photos
        blocks = [
            _block(reader, offset, photos[first : first + _PHOTOS_AT_ONCE], vocabulary) for first in range(0, len(photos), _PHOTOS_AT_ONCE)
        ]
    joined = {name: np.concatenate([empty, *(block[name] for block in blocks)]) for name, empty in _EMPTY.items()}
    return {"offset": artefact.offsets(np.diff(offset)[photos]), **joined}


_EMPTY = {
    "word": np.zeros(0, np.uint32),
    "signature": np.zeros(0, np.uint64),
    "feature": np.zeros(0, np.int32),
    "keypoint": np.zeros((0, 6), np.float32),
}


def _merge(before, rows, new):
    """Words of all photos in order: from `before` where `rows` has the photo's row in it, from `new` where it has -1."""
    source = np.where(rows >= 0, rows, len(before["offset"]) - 1 + np.cumsum(rows < 0) - 1)
    counts = np.concatenate([np.diff(before["offset"]), np.diff(new["offset"])])
    starts = artefact.offsets(counts)
    taken = np.concatenate([np.zeros(0, np.int64), *(np.arange(starts[row], starts[row + 1]) for row in source)])
    joined = {name: np.concatenate([before[name], new[name]])[taken] for name in _EMPTY}
    return {"offset": artefact.offsets(counts[source]), **joined}


def _block(reader, offset, photos, vocabulary):
    parts = [(reader.part("descriptor", *offset[p : p + 2]), reader.part("keypoint", *offset[p : p + 2])) for p in photos]
    descriptors, keypoints = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return quantise_features(descriptors, keypoints, artefact.offsets(np.diff(offset)[photos]), vocabulary)


def quantise_features(
    descriptors: np.ndarray, keypoints: np.ndarray, bounds: np.ndarray, vocabulary: Vocabulary, count: int = 1
) -> dict[str, np.ndarray]:
    """Quantise features.

    Args:
        descriptors, keypoints: the features, uint8 [N, 128] and float32 [N, 6].
        bounds: offsets of the photos' features, int64 [n + 1].
        vocabulary: the vocabulary.
        count: number of words per feature, nearest first (soft assignment: Philbin et al., Lost in quantization, CVPR 2008).

    Returns:
        one row per feature and word, sorted by word within each photo: `word` uint32, `signature` uint64, `feature` int32 (its number in
        the photo) and `keypoint` float32 [.., 6], as in a `words` artefact, and `nearest` bool: the word is the feature's nearest.
    """
    words = vocabulary.assign(descriptors, count)
    words = words[:, None] if words.ndim == 1 else words
    signatures = np.stack([vocabulary.sign(descriptors, word) for word in words.T], 1)
    photo = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))
    feature = np.arange(len(words)) - bounds[photo]
    row, photo, feature = (np.repeat(array, words.shape[1]) for array in (np.arange(len(words)), photo, feature))
    word, signature, nearest = words.ravel(), signatures.ravel(), np.arange(words.size) % words.shape[1] == 0
    order = np.lexsort((feature, word, photo))
    return {
        "word": word[order].astype(np.uint32),
        "signature": signature[order],
        "feature": feature[order].astype(np.int32),
        "keypoint": keypoints[row[order]],
        "nearest": nearest[order],
    }
