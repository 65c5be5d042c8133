"""Selects the positive of a query from its candidates (Radenovic, Tolias, Chum, TPAMI 2018). Ties are broken by row."""

from collections.abc import Mapping, Sequence

import numpy as np

from bow2cnn.training.errors import TrainingError
from bow2cnn.training.settings import Settings

# The column of evidence that a rule requires, and what each column counts. m3 uses the columns that are there.
_NEEDS = {"m2": "shared", "geometry": "visible", "top1-bow": "inliers", "random-bow": "inliers"}
_MEANING = {"shared": "common 3D points", "visible": "3D points that the camera sees", "inliers": "verified matches"}


def check_evidence(pool: Mapping[str, np.ndarray], settings: Settings, source: str) -> None:
    """Check that the pairs have the evidence that the rule of the settings needs.

    Args:
        pool: the candidates of any query; all pools of a source have the same columns.
        settings: of the experiment.
        source: name of the source of the pairs, for the error.

    Raises:
        TrainingError: the evidence is missing.
    """
    column = _NEEDS.get(settings.positives)
    if column and column not in pool:
        raise TrainingError(
            f"settings: positives: {settings.positives} needs `{column}` ({_MEANING[column]}), which the pairs of {source} do not have; "
            "take m1, m3, top1-cnn or random"
        )


def candidates(pool: Mapping[str, np.ndarray], settings: Settings, similarity: np.ndarray | None = None) -> np.ndarray:
    """Photos of a pool that may be the positive by the rule of the settings; the positive is drawn among them.

    Args:
        pool: arrays [k], one row per candidate: `photo` (rows of the collection), and the evidence (see `check_evidence`).
        settings: of the experiment.
        similarity: float [k], similarity of each candidate to the query by the starting network; only m1 and top1-cnn need it.

    Returns:
        int64 rows of the collection: one for the rules that do not draw, none if no candidate qualifies.
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
    if settings.positives == "geometry":
        good = (pool["visible"] > settings.positives_visible) & (pool["scale"] <= settings.positives_scale)
        return np.sort(photo[good & (pool["overlap"] <= settings.positives_max_overlap)])
    if settings.positives == "random":
        return np.sort(photo)
    return _best(photo, pool["inliers"], 1 if settings.positives == "top1-bow" else settings.positives_k)


def needs_similarity(settings: Settings) -> bool:
    """Whether the rule compares descriptors by the starting network."""
    return settings.positives in ("m1", "top1-cnn")


def draw(options: Sequence[np.ndarray], generator: np.random.Generator) -> np.ndarray:
    """Draw one positive per query.

    Args:
        options: for each query the rows of its possible positives, int64.
        generator: source of the random numbers.

    Returns:
        int64 [q], rows.
    """
    return np.array([photos[generator.integers(len(photos))] for photos in options], np.int64)


def _best(photo, value, count):
    return photo[np.lexsort((photo, -np.asarray(value, np.float64)))[:count]]
