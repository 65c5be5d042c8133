"""Scores of one ranking (field.md 3.6: the evaluation code of the revisited Oxford and Paris benchmarks)."""

import numpy as np

PRECISION_AT = (1, 5, 10)


def ranks_of(ranking, positives, junk):
    """0-based ranks of the positives once junk is taken out of a ranking, ascending.

    Args:
        ranking: int [n] database indices, best first.
        positives, junk: int arrays of database indices; a photo in both counts as junk.
    """
    ranking = np.asarray(ranking)
    kept = ranking[~np.isin(ranking, junk)]
    return np.flatnonzero(np.isin(kept, positives))


def average_precision(ranks, count):
    """Area under the precision-recall curve by the trapezoid rule, 0 to 1.

    Args:
        ranks: 0-based ranks of the positives that were found, ascending.
        count: number of all positives.
    """
    ranks = np.asarray(ranks, np.float64)
    found = np.arange(len(ranks))
    before = np.where(ranks == 0, 1.0, found / np.maximum(ranks, 1))
    return float(((before + (found + 1) / (ranks + 1)) / 2).sum() / count)


def precision_at(ranks, k):
    """Share of positives among the first k' = min(k, 1-based rank of the last positive), 0 to 1."""
    ranks = np.asarray(ranks)
    if len(ranks) == 0:
        return 0.0
    k = min(k, int(ranks[-1]) + 1)
    return float((ranks < k).sum() / k)


def score_ranking(ranking, positives, junk):
    """Scores of one query by metric name, NaN for a query without positives (it does not count)."""
    positives = np.setdiff1d(positives, junk)
    names = ["mAP", *(f"mP@{k}" for k in PRECISION_AT), "acc@1"]
    if len(positives) == 0:
        return dict.fromkeys(names, np.nan)
    ranks = ranks_of(ranking, positives, junk)
    values = [average_precision(ranks, len(positives)), *(precision_at(ranks, k) for k in PRECISION_AT)]
    return dict(zip(names, [*values, float(len(ranks) > 0 and ranks[0] == 0)], strict=True))


def score_rankings(rankings, truth):
    """Scores of all queries.

    Args:
        rankings: per query database indices, best first (any iterable, of which one is in memory at a time).
        truth: per query (positives, junk).

    Returns:
        dict of metric name to float64 [q], in per cent, NaN where a query has no positives.
    """
    return in_percent([score_ranking(ranking, *pair) for ranking, pair in zip(rankings, truth, strict=True)])


def in_percent(rows):
    """Scores of all queries from those of each, as `score_rankings` has them."""
    return {name: 100.0 * np.array([row[name] for row in rows], np.float64) for name in score_ranking([], [], [])}
