"""Which descriptors a vocabulary is trained on."""

import numpy as np

from bow2cnn.core import artefact

_SLACK = 6  # standard deviations of the number of descriptors whose hash lies below a bound


def count_features(features):
    """Number of features in these artefacts."""
    total = 0
    for path in features:
        with artefact.Reader(path, "features") as reader:
            total += reader.shape("descriptor")[0]
    return total


def sample_descriptors(features, sample, seed):
    """At most `sample` descriptors, uint8 [n, 128]: those of least hash, in its order (bottom-k sampling: Cohen and Kaplan, PODC 2007).

    The hash is of the descriptor itself, so a sample does not depend on how photos are dealt to files, and one of a collection that has
    grown is nearly the one from before: vocabularies trained on the two tell much the same.
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


def hashes(descriptors, seed):
    """uint64 [n] of uint8 [n, 128], evenly spread: every eight bytes are added and the sum is mixed (the finaliser of SplitMix64: Steele,
    Lea, Flood, OOPSLA 2014, figure 17).
    """
    keys = np.full(len(descriptors), seed, np.uint64)
    for eight_bytes in np.ascontiguousarray(descriptors).view("<u8").T:
        keys = keys + eight_bytes
        keys = (keys ^ (keys >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        keys = (keys ^ (keys >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        keys = keys ^ (keys >> np.uint64(31))
    return keys
