"""Scores of a ranking, as the evaluation code of the revisited Oxford and Paris benchmarks computes them (Radenovic, Iscen, Tolias,
Avrithis, Chum, Revisiting Oxford and Paris, CVPR 2018; their `compute_map`).
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike

PRECISION_AT = (1, 5, 10)


def ranks_of(ranking: ArrayLike, positives: ArrayLike, junk: ArrayLike) -> np.ndarray:
    """0-based ranks of the positives once junk is taken out of a ranking, int64 [p], ascending.

    Args:
        ranking: int [n] database indices, best first.
        positives: int [p] database indices.
        junk: int [j] database indices; a photo that is also a positive counts as junk.
    """
    ranking = np.asarray(ranking)
    kept = ranking[~np.isin(ranking, junk)]
    return np.flatnonzero(np.isin(kept, positives))


def average_precision(ranks: ArrayLike, count: int) -> float:
    """Area under the precision-recall curve by the trapezoid rule, 0 to 1.

    Args:
        ranks: int [p], 0-based ranks of the positives that were found, ascending.
        count: number of all positives.
    """
    ranks = np.asarray(ranks, np.float64)
    found = np.arange(len(ranks))
    before = np.where(ranks == 0, 1.0, found / np.maximum(ranks, 1))
    return float(((before + (found + 1) / (ranks + 1)) / 2).sum() / count)


def precision_at(ranks: ArrayLike, k: int) -> float:
    """Share of positives among the first k' = min(k, 1-based rank of the last positive), 0 to 1.

    Args:
        ranks: int [p], 0-based ranks of the positives that were found, ascending.
        k: at least 1.
    """
    ranks = np.asarray(ranks)
    if len(ranks) == 0:
        return 0.0
    k = min(k, int(ranks[-1]) + 1)
    return float((ranks < k).sum() / k)


def score_ranking(ranking: ArrayLike, positives: ArrayLike, junk: ArrayLike) -> dict[str, float]:
    """Scores of one query by metric name, 0 to 1, NaN for a query without positives (it does not count); see `ranks_of`."""
    positives = np.setdiff1d(positives, junk)
    names = ["mAP", *(f"mP@{k}" for k in PRECISION_AT), "acc@1"]
    if len(positives) == 0:
        return dict.fromkeys(names, np.nan)
    ranks = ranks_of(ranking, positives, junk)
    values = [average_precision(ranks, len(positives)), *(precision_at(ranks, k) for k in PRECISION_AT)]
    return dict(zip(names, [*values, float(len(ranks) > 0 and ranks[0] == 0)], strict=True))


def score_rankings(rankings: Iterable[ArrayLike], truth: Sequence[tuple[ArrayLike, ArrayLike]]) -> dict[str, np.ndarray]:
    """Scores of all queries.

    Args:
        rankings: per query database indices int [n], best first; one of them at a time is in memory.
        truth: per query (positives, junk).

    Returns:
        dict of metric name to float64 [q], in per cent, NaN where a query has no positives.
    """
    return in_percent([score_ranking(ranking, *pair) for ranking, pair in zip(rankings, truth, strict=True)])


def in_percent(rows: Sequence[dict[str, float]]) -> dict[str, np.ndarray]:
    """Scores of all queries, as `score_rankings` returns them, from the scores of each, see `score_ranking`."""
    return {name: 100.0 * np.array([row[name] for row in rows], np.float64) for name in score_ranking([], [], [])}
