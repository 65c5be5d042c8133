"""Words of a shard: every feature's visual word and binary signature, sorted by word within each photo."""

import numpy as np

from bow2cnn import artefact
from bow2cnn.vocabulary.vocabulary import Vocabulary

_PHOTOS_AT_ONCE = 64


def quantise(features, vocabulary, out, threads):
    """Write the `words` artefact of a `features` artefact."""
    artefact.write(out, "words", words_of(features, Vocabulary.load(vocabulary, threads)))


def words_of(features, vocabulary):
    """The arrays of a `words` artefact for a `features` artefact at a path."""
    with artefact.Reader(features, "features") as reader:
        offset = reader["offset"]
        blocks = [_block(reader, offset, first, vocabulary) for first in range(0, len(offset) - 1, _PHOTOS_AT_ONCE)]
    joined = {name: np.concatenate([empty, *(block[name] for block in blocks)]) for name, empty in _EMPTY.items()}
    return {"offset": offset, **joined}


_EMPTY = {
    "word": np.zeros(0, np.uint32),
    "signature": np.zeros(0, np.uint64),
    "feature": np.zeros(0, np.int32),
    "keypoint": np.zeros((0, 6), np.float32),
}


def _block(reader, offset, first, vocabulary):
    bounds = offset[first : first + _PHOTOS_AT_ONCE + 1]
    start, stop = bounds[0], bounds[-1]
    return _sorted_words(reader.part("descriptor", start, stop), reader.part("keypoint", start, stop), bounds - start, vocabulary)


def _sorted_words(descriptors, keypoints, bounds, vocabulary):
    descriptors = descriptors.astype(np.float32)
    word = vocabulary.assign(descriptors)
    signature = vocabulary.sign(descriptors, word)
    photo = np.repeat(np.arange(len(bounds) - 1), np.diff(bounds))
    feature = np.arange(len(word)) - bounds[photo]
    order = np.lexsort((feature, word, photo))
    return {
        "word": word[order].astype(np.uint32),
        "signature": signature[order],
        "feature": feature[order].astype(np.int32),
        "keypoint": keypoints[order],
    }
