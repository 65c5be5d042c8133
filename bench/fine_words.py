"""Measure very fine vocabularies: time, memory, and how often a descriptor finds its nearest word.

    python bench/fine_words.py RESULTS [--words 65536 1048576 16777216] [--descriptors 32000000] [--threads 2]

RESULTS is a run up to the stage `features`. Its descriptors are padded with copies that have noise (standard deviation 10 of 255, about the
difference between two views of one point), up to `--descriptors`, or 30 per word if that is less. The stage's own function trains the
words, in a process of its own. Then words are assigned to 100,000 descriptors with other noise; for 2,000 of these the nearest of all words
is found by exhaustive search. With fewer than 30 descriptors per word only time and memory count, not the quality.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from separate_process import in_separate_process

from bow2cnn.config.model import Vocabulary
from bow2cnn.run.run import Run
from bow2cnn.vocabulary.nearest import NONE, nearest
from bow2cnn.vocabulary.sample import sample_descriptors
from bow2cnn.vocabulary.train import train_words

NOISE = 10.0
BLOCK = 1 << 20


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--words", type=int, nargs="+", default=[1 << 16, 1 << 20, 1 << 24])
    parser.add_argument("--descriptors", type=int, default=Vocabulary().sample)
    parser.add_argument("--iterations", type=int, default=Vocabulary().iterations)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    real = sample_descriptors(Run.open(options.results).shards("features"), options.descriptors, seed=0)
    for words in options.words:
        found = in_separate_process(measure, real, words, options, threads=options.threads)
        share = found["descriptors"] / found["words"]
        print(
            f"{found['words']} words of {found['descriptors']} descriptors ({share:.1f} a word): trained in {found['train']:.0f} s, "
            f"{found['own'] / 1e9:.1f} GB of memory; 1,000 descriptors are assigned in {1000 * found['assign']:.1f} ms, "
            f"{found['recall']:.1%} to the nearest of all words",
            flush=True,
        )


def measure(real, words, options):
    descriptors = extended(real, min(options.descriptors, 30 * words))
    begin = time.perf_counter()
    vocabulary = train_words(descriptors, words, options.iterations, 0, options.threads)
    trained = time.perf_counter()
    asked = noisy(real[np.random.default_rng(1).integers(0, len(real), 100_000)], np.random.default_rng(2))
    asking = time.perf_counter()
    assigned = vocabulary.assign(asked)
    answered = time.perf_counter()
    return {
        "words": len(vocabulary),
        "descriptors": len(descriptors),
        "train": trained - begin,
        "assign": (answered - asking) / 100,
        "recall": float((assigned[:2000] == nearest_of_all(vocabulary, asked[:2000])).mean()),
    }


def extended(real, count):
    """`count` descriptors: the real ones, then copies of them with noise."""
    if count <= len(real):
        return real[:count]
    out = np.empty((count, real.shape[1]), np.uint8)
    out[: len(real)] = real
    rng = np.random.default_rng(4)
    for start in range(len(real), count, BLOCK):
        stop = min(start + BLOCK, count)
        out[start:stop] = noisy(real[rng.integers(0, len(real), stop - start)], rng)
    return out


def noisy(descriptors, rng):
    noise = rng.standard_normal(descriptors.shape, np.float32) * NOISE
    return np.clip(np.rint(descriptors + noise), 0, 255).astype(np.uint8)


def nearest_of_all(vocabulary, descriptors):
    """Nearest word of every descriptor by exhaustive search, int64 [n]."""
    word, best = np.zeros(len(descriptors), np.int64), np.full(len(descriptors), NONE, np.int32)
    for cell, fine in enumerate(vocabulary.fine):
        rows, distances = (found[:, 0] for found in nearest(descriptors, fine[: vocabulary.size[cell]]))
        closer = distances < best
        best[closer], word[closer] = distances[closer], cell * len(fine) + rows[closer]
    return word


if __name__ == "__main__":
    main()
