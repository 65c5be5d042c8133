"""Measure min-hash on growing collections, real photos followed by invented ones: time and memory of hashing and joining.

    python bench/minhash.py RESULTS [--photos 10000 100000 1000000] [--features 700] [--threads 2]

RESULTS is a run up to the stage `index`. Its photos come first, with the words of their strongest `--features` features. The others have as
many features, drawn from all features of the real photos. A larger collection has a finer vocabulary: the first bits of the features'
signatures divide the words into as many as the default gives to a collection of that size. Sketches and limits are the defaults of a run.
Every size is measured in a process of its own.
"""

import argparse
import time
from pathlib import Path

import numba
import numpy as np
from separate_process import in_separate_process

from bow2cnn.clustering.minhash import BagOfWords, collide
from bow2cnn.core import artefact
from bow2cnn.index.engine import first_of_word
from bow2cnn.run.run import Run
from bow2cnn.vocabulary.train import words_for

SKETCH_SIZE, SKETCHES, MIN_SIMILARITY = 3, 512, 0.02
BLOCK = 10_000  # photos


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--photos", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--features", type=int, default=700)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    seconds = []
    for photos in options.photos:
        bags = Bags(options.results, options.features, photos)
        found = in_separate_process(join, *bags.make(photos), bags.words, options.threads, threads=options.threads)
        seconds.append(found["processor"])
        print(
            f"{photos} photos, {bags.words} words: hashed and joined in {found['seconds']:.0f} s ({found['processor']:.0f} s of processor "
            f"time), {found['own'] / 1e6:.0f} MB of memory; {found['pairs']} pairs of an overlap of {MIN_SIMILARITY} or more",
            flush=True,
        )
    if len(seconds) > 1:
        power = np.polyfit(np.log(options.photos), np.log(seconds), 1)[0]
        print(f"the processor time grows as n^{power:.2f} (least squares of the logarithms)")


class Bags:
    """Words of the strongest `features` features of a run's photos, by the vocabulary of a collection of `photos` photos."""

    def __init__(self, results, features, photos):
        arrays = Run.open(results).index
        self.words = max(words_for(photos * features), len(arrays["idf"]))
        finer = self.words // len(arrays["idf"])
        kept = arrays["feature"] < features
        self._word = arrays["word"][kept] * np.uint32(finer) + (arrays["signature"][kept] & np.uint64(finer - 1)).astype(np.uint32)
        photo = np.repeat(np.arange(len(arrays["offset"]) - 1), np.diff(arrays["offset"]))
        self._counts = np.bincount(photo[kept], minlength=len(arrays["offset"]) - 1)

    def make(self, photos):
        """Offsets, int64 [photos + 1], and sorted words, uint32, of the first photos."""
        rng = np.random.default_rng(0)
        known = min(photos, len(self._counts))
        counts = np.concatenate([self._counts[:known], self._counts[rng.integers(len(self._counts), size=photos - known)]])
        offset = artefact.offsets(counts)
        words = np.empty(offset[-1], np.uint32)
        words[: offset[known]] = self._word[: offset[known]]
        for first in range(0, photos, BLOCK):
            last = min(first + BLOCK, photos)
            rows = slice(offset[max(first, min(known, last))], offset[last])
            words[rows] = self._word[rng.integers(len(self._word), size=rows.stop - rows.start)]
            rows = slice(offset[first], offset[last])
            photo = np.repeat(np.arange(first, last).astype(np.uint64), counts[first:last])
            words[rows] = np.sort(photo << np.uint64(32) | words[rows]).astype(np.uint32)
        return offset, words


def join(offset, word, words, threads):
    bags = BagOfWords(offset, word, *inverted(offset, word, words), idf_of(offset, word, words))
    collide(bags, SKETCH_SIZE, range(1), MIN_SIMILARITY, 0, threads)  # compiles
    begin, processor = time.perf_counter(), time.process_time()
    pairs, _ = collide(bags, SKETCH_SIZE, range(SKETCHES), MIN_SIMILARITY, 0, threads)
    return {"seconds": time.perf_counter() - begin, "processor": time.process_time() - processor, "pairs": len(pairs)}


@numba.njit
def inverted(offset, word, words):
    """Inverted file: offsets of the words, int64 [words + 1], and their sorted photos, int32 [N]."""
    bounds, photos = np.zeros(words + 1, np.int64), np.empty(len(word), np.int32)
    for one in word:
        bounds[one + 1] += 1
    bounds = np.cumsum(bounds)
    free = bounds.copy()
    for photo in range(len(offset) - 1):
        for k in range(offset[photo], offset[photo + 1]):
            photos[free[word[k]]] = photo
            free[word[k]] += 1
    return bounds, photos


def idf_of(offset, word, words):
    """ln(photos / photos with the word), float32 [words]."""
    frequency, photos = np.zeros(words, np.int64), len(offset) - 1
    for first in range(0, photos, BLOCK):
        last = min(first + BLOCK, photos)
        own = word[offset[first] : offset[last]]
        photo = np.repeat(np.arange(last - first), np.diff(offset[first : last + 1]))
        frequency += np.bincount(own[first_of_word(own, photo)], minlength=words)
    return np.log(photos / np.maximum(frequency, 1)).astype(np.float32)


if __name__ == "__main__":
    main()
