"""The index of the collection: an inverted file for scores and a forward file for spatial verification."""

import functools
import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bow2cnn.core import artefact
from bow2cnn.core.lineage import digests, lineage, lineage_of
from bow2cnn.core.progress import progress
from bow2cnn.core.same_photos import check_photos, photos_of
from bow2cnn.index.forward import COLUMNS, drop_features
from bow2cnn.index.invert import allocate_on_disk, assemble


def build_index(
    collection: str | Path,
    words: Sequence[str | Path],
    watermarks: str | Path | None,
    vocabulary: str | Path,
    out: str | Path,
    code: str = "",
) -> None:
    """Write the `index` artefact, shard by shard.

    Args:
        collection: path of the `collection` artefact.
        words: paths of all `words` artefacts, in the order of the shards.
        watermarks: path of the `watermarks` artefact, whose features are left out; None to keep all features.
        vocabulary: path of the vocabulary, for the number of words. Its lineage is stored, so that a search can check that it uses the same
            vocabulary.
        out: path.
        code: digest of the code, part of the lineage.

    Raises:
        ArtefactError: the artefacts are not of the same photos, or one cannot be read.
        WriteError: the disk is full or not writable.
    """
    check_photos(collection, words, *([] if watermarks is None else [watermarks]))
    photos = artefact.read(collection, "collection", ["width", "height"])
    with artefact.Reader(vocabulary, "vocabulary") as reader:
        word_count, words_from = reader.shape("threshold")[0], reader.params.get("lineage", "")
    size = np.stack([photos["width"], photos["height"]], 1)
    starts, kept = _count(words, watermarks)
    content: list[np.ndarray] = []
    allocate = functools.partial(allocate_on_disk, Path(out).parent)
    arrays = assemble(_shards(words, watermarks, starts, content), kept, size, word_count, allocate)
    made_with = lineage("index", [lineage_of(path, "words") for path in words], watermarks and lineage_of(watermarks, "watermarks"), code)
    arrays |= {"content": np.concatenate(content), **photos_of(collection)}
    artefact.write(out, "index", arrays, {"vocabulary": words_from, "lineage": made_with})


def _count(words, watermarks):
    """The first feature of every shard among the features of all, int64 [s + 1], and the number of features that are not masked."""
    counts = []
    for path in words:
        with artefact.Reader(path, "words") as reader:
            counts.append(reader.shape("word")[0])
    starts = artefact.offsets(counts)
    return starts, int(starts[-1]) - sum(int(_masked(watermarks, *bounds).sum()) for bounds in itertools.pairwise(starts))


def _shards(words, watermarks, starts, content):
    """Yield the forward file of every shard without the masked features, and append the digests of its photos' words to `content`."""
    for path, bounds in zip(progress(words, "index"), itertools.pairwise(starts), strict=True):
        forward = artefact.read(path, "words", [*COLUMNS, "offset", "content"])
        own = forward.pop("content")
        if watermarks is not None:
            masked = _masked(watermarks, *bounds)
            own = digests(own, (masked[a:b].tobytes() for a, b in itertools.pairwise(forward["offset"])))
            forward = drop_features(forward, ~masked)
        content.append(own)
        yield forward


def _masked(watermarks, start, stop):
    """Whether features are masked as watermarks, bool [stop - start]."""
    if watermarks is None:
        return np.zeros(stop - start, bool)
    with artefact.Reader(watermarks, "watermarks") as reader:
        return reader.part("masked", start, stop)
