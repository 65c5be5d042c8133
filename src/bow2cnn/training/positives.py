"""Which photo of its pool is a query's positive (TPAMI 2018 section 3.3; talk slide 15). Ties are broken by row."""

import numpy as np

from bow2cnn.training.errors import TrainingError

# The evidence that a rule cannot do without: column, and what it is. m3 asks for what there is.
_NEEDS = {"m2": "shared", "top1-bow": "inliers", "random-bow": "inliers"}
_MEANING = {"shared": "common 3D points", "inliers": "verified matches"}


def check_evidence(pool, settings, source):
    """See to it that the pairs have the evidence that a rule needs.

    Args:
        pool: dict of arrays, a query's candidates; all pools of a source have the same columns.
        settings: `Settings`.
        source: name of the source of the pairs.

    Raises:
        TrainingError: they have not.
    """
    column = _NEEDS.get(settings.positives)
    if column and column not in pool:
        raise TrainingError(
            f"settings: positives: {settings.positives} needs `{column}` ({_MEANING[column]}), which the pairs of {source} do not have; "
            "take m1, m3 or top1-cnn"
        )


def candidates(pool, settings, similarity=None):
    """Photos of a pool that may be the positive under a rule; the positive is drawn among them.

    Args:
        pool: dict of arrays, one row per candidate: `photo`, and the evidence that there is (see `check_evidence`).
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
        good = np.ones(len(photo), bool)
        if "overlap" in pool:
            good &= pool["overlap"] > settings.positives_overlap
        if "scale" in pool:
            good &= pool["scale"] <= settings.positives_scale
        return np.sort(photo[good])
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
