"""Which photo of its pool is a query's positive (TPAMI 2018 section 3.3; talk slide 15). Ties are broken by row."""

import numpy as np


def candidates(pool, settings, similarity=None):
    """Photos of a pool that may be the positive under a rule; the positive is drawn among them.

    Args:
        pool: dict of arrays, one row per candidate.
        settings: `Settings`.
        similarity: float per candidate, to the query by the starting network (m1 and top1-cnn only).

    Returns:
        int64 photos; one for the rules without chance, none where no candidate qualifies.
    """
    photo = pool["photo"].astype(np.int64)
    if settings.positives in ("m1", "top1-cnn"):
        return _best(photo, similarity, 1)
    if settings.positives == "m2":
        return _best(photo, pool["shared"], 1)
    if settings.positives == "m3":
        return np.sort(photo[(pool["overlap"] > settings.positives_overlap) & (pool["scale"] <= settings.positives_scale)])
    return _best(photo, pool["inliers"], 1 if settings.positives == "top1-bow" else settings.positives_k)


def needs_similarity(settings):
    """Whether the rule asks the starting network."""
    return settings.positives in ("m1", "top1-cnn")


def draw(options, generator):
    """One positive per query.

    Args:
        options: per query int64 photos.
        generator: numpy random generator.

    Returns:
        int64 [q].
    """
    return np.array([photos[generator.integers(len(photos))] for photos in options], np.int64)


def _best(photo, value, count):
    return photo[np.lexsort((photo, -np.asarray(value, np.float64)))[:count]]
