"""The sample of descriptors on which a vocabulary is trained."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bow2cnn.core import artefact

_SLACK = 6  # standard deviations of the number of descriptors whose hash lies below the bound


def count_features(features: Sequence[str | Path]) -> int:
    """Number of features in `features` artefacts at some paths."""
    total = 0
    for path in features:
        with artefact.Reader(path, "features") as reader:
            total += reader.shape("descriptor")[0]
    return total


def sample_descriptors(features: Sequence[str | Path], sample: int, seed: int) -> NDArray[np.uint8]:
    """Draw the descriptors with the smallest hashes (bottom-k sampling: Cohen and Kaplan, PODC 2007).

    The hash is that of the descriptor itself, so the sample does not depend on the photos' distribution over shards. When a collection
    grows, its sample changes little, and so does the vocabulary.

    Args:
        features: paths of the `features` artefacts.
        sample: maximum number of descriptors.
        seed: of the hash.

    Returns:
        uint8 [n, 128], by increasing hash.
    """
    total = count_features(features)
    bound = 2.0**64 * (sample + _SLACK * np.sqrt(sample)) / max(total, 1)
    chosen, order = [np.zeros((0, 128), np.uint8)], [np.zeros(0, np.uint64)]
    for path in features:
        descriptors = artefact.read(path, "features", ["descriptor"])["descriptor"]
        keys = hashes(descriptors, seed)
        rows = np.flatnonzero(keys <= bound)
        chosen.append(descriptors[rows])
        order.append(keys[rows])
    return np.concatenate(chosen)[np.argsort(np.concatenate(order), kind="stable")[:sample]]


def hashes(descriptors: np.ndarray, seed: int) -> NDArray[np.uint64]:
    """Evenly distributed hashes uint64 [n] of descriptors uint8 [n, 128].

    Eight bytes at a time are added, and the sum is mixed (the finaliser of SplitMix64: Steele, Lea, Flood, OOPSLA 2014, figure 17).
    """
    keys = np.full(len(descriptors), seed, np.uint64)
    for eight_bytes in np.ascontiguousarray(descriptors).view("<u8").T:
        keys = keys + eight_bytes
        keys = (keys ^ (keys >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        keys = (keys ^ (keys >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        keys = keys ^ (keys >> np.uint64(31))
    return keys
