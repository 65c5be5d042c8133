"""The index of the collection: an inverted file for scoring and a forward file for spatial verification."""

import itertools

import numpy as np

from bow2cnn import artefact
from bow2cnn.photos import check_photos, photos_of
from bow2cnn.retrieval.engine import word_weights
from bow2cnn.reuse import digests, lineage, lineage_of


def build_index(collection, words, marks, vocabulary, out, code=""):
    """Write the `index` artefact.

    Args:
        collection: path of the `collection` artefact.
        words: paths of all `words` artefacts, in the order of the shards.
        marks: path of the `marks` artefact whose features are left out, or None.
        vocabulary: path, for the number of words; its lineage is noted, so that a search can tell whether it has the same.
        code: digest of the code, part of the lineage.
    """
    check_photos(collection, words, *([] if marks is None else [marks]))
    photos = artefact.read(collection, "collection", ["width", "height"])
    with artefact.Reader(vocabulary, "vocabulary") as reader:
        word_count, words_from = reader.shape("threshold")[0], reader.params.get("lineage", "")
    forward = read_words(words)
    content = np.concatenate([artefact.read(path, "words", ["content"])["content"] for path in words])
    if marks is not None:
        masked = artefact.read(marks, "marks", ["masked"])["masked"]
        content = digests(content, (masked[a:b].tobytes() for a, b in itertools.pairwise(forward["offset"])))
        forward = drop_features(forward, ~masked)
    size = np.stack([photos["width"], photos["height"]], 1)
    made_with = lineage("index", [lineage_of(path, "words") for path in words], marks and lineage_of(marks, "marks"), code)
    arrays = {**index_arrays(forward, size, word_count), "content": content, **photos_of(collection)}
    artefact.write(out, "index", arrays, {"vocabulary": words_from, "lineage": made_with})


def index_arrays(forward, size, word_count):
    """The arrays of an index from a forward file and the photos' sizes int [n, 2]."""
    return {**invert(forward, word_count), **forward, "size": size.astype(np.int32)}


def drop_features(forward, keep):
    """A forward file with only the features of `keep`, bool [N]."""
    count = len(forward["offset"]) - 1
    photo = np.repeat(np.arange(count), np.diff(forward["offset"]))
    kept = {name: array[keep] for name, array in forward.items() if name != "offset"}
    return {"offset": artefact.offsets(np.bincount(photo[keep], minlength=count)), **kept}


def read_words(paths):
    """Concatenated words of all shards: a forward file with `offset`, `word`, `signature`, `feature`, `keypoint`."""
    parts = [artefact.read(path, "words") for path in paths]
    arrays = {name: np.concatenate([part[name] for part in parts]) for name in ("word", "signature", "feature", "keypoint")}
    return {"offset": artefact.offsets(np.concatenate([np.diff(part["offset"]) for part in parts])), **arrays}


def invert(forward, word_count):
    """Inverted file of a forward file: postings sorted by word, then photo; idf = ln(photos / photos with the word)."""
    offset, word = forward["offset"], forward["word"]
    photo = np.repeat(np.arange(len(offset) - 1, dtype=np.int32), np.diff(offset))
    first_of_photo = np.ones(len(word), bool)
    first_of_photo[1:] = (word[1:] != word[:-1]) | (photo[1:] != photo[:-1])
    frequency = np.bincount(word[first_of_photo], minlength=word_count)
    idf = np.log(max(len(offset) - 1, 1) / np.maximum(frequency, 1)).astype(np.float32)
    weight = np.concatenate(
        [word_weights(word[a:b], idf) for a, b in zip(offset[:-1], offset[1:], strict=True)] or [np.zeros(0, np.float32)]
    )
    norm = np.sqrt(np.bincount(photo, weight.astype(np.float64) ** 2, minlength=len(offset) - 1))
    order = np.lexsort((photo, word))
    return {
        "word_offset": np.searchsorted(word[order], np.arange(word_count + 1)).astype(np.int64),
        "photo": photo[order],
        "posting_signature": forward["signature"][order],
        "weight": weight[order],
        "idf": idf,
        "norm": np.maximum(norm, 1e-6).astype(np.float32),
    }
