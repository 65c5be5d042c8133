"""Intervals for means over queries.

Queries of one place are not independent samples: a network that is better on a building is better on all of its photos. So the bootstrap
draws places, each with all of its queries (Davison and Hinkley, Bootstrap Methods and their Application, 1997, section 3.8; drawing
queries once more within them would count their noise twice). Percentiles of few places are too narrow, so the interval is Student's t with
the bootstrap's standard error (Hesterberg, What teachers should know about the bootstrap, 2015, section 3.2); a place counts by its share
of the queries (Kish's effective number).
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

_PURPOSE = 71
LEAST_QUERIES, LEAST_PLACES = 10, 3  # fewer have no interval


def interval(values: ArrayLike, places: ArrayLike, seed: int, samples: int) -> tuple[float, float, float]:
    """Mean of the scores of queries and its 95 % interval.

    Args:
        values: float [q], 0 to 100; NaN values are queries that do not count.
        places: int [q], the place of every query.
        seed: of the resampling.
        samples: number of resamplings.

    Returns:
        mean, low, high. The mean is NaN without queries; low and high are NaN where there are fewer queries or places than an interval
        takes.
    """
    counted, counted_places = _counted(values, places)
    if len(counted) == 0:
        return np.nan, np.nan, np.nan
    mean, width = float(counted.mean()), _width(counted, counted_places, seed, samples, 0.975)
    return mean, float(np.maximum(mean - width, 0.0)), float(np.minimum(mean + width, 100.0))


def paired_gain(after: ArrayLike, before: ArrayLike, places: ArrayLike, seed: int, samples: int) -> dict[str, Any]:
    """The gain of one system over another on the same queries.

    Args:
        after: float [q], scores of the one, 0 to 100; NaN values do not count.
        before: float [q], scores of the other, in the same order.
        places: int [q], the place of every query.
        seed: of the resampling.
        samples: number of resamplings.

    Returns:
        dict with `gain` (mean difference), `low`, `high` (95 % interval), `width` (of a one-sided 95 % interval), `queries`, `places`, and
        `clear`: `gain` where a one-sided 95 % interval is above 0, `loss` where one is below. With fewer than ten queries or three places
        there is no interval (NaN) and nothing is clear.
    """
    difference, places = _counted(np.asarray(after, np.float64) - np.asarray(before, np.float64), places)
    gain = float(difference.mean()) if len(difference) else np.nan
    wide, width = (_width(difference, places, seed, samples, level) for level in (0.975, 0.95))
    clear = "gain" if gain - width > 0 else "loss" if gain + width < 0 else ""
    found: dict[str, Any] = {"gain": gain, "low": gain - wide, "high": gain + wide, "width": width, "clear": clear}
    return found | {"queries": len(difference), "places": len(np.unique(places))}


def _counted(values, places):
    """The values that are numbers, and their places."""
    values, places = np.asarray(values, np.float64), np.asarray(places)
    return values[np.isfinite(values)], places[np.isfinite(values)]


def _width(values, places, seed, samples, level):
    """Distance between the mean and the end of a one-sided interval of a level; NaN for too few queries or places."""
    _, number = np.unique(places, return_inverse=True)
    total, count = np.bincount(number, values), np.bincount(number)
    if len(values) < LEAST_QUERIES or len(count) < LEAST_PLACES:
        return np.nan
    drawn = np.random.default_rng([seed, _PURPOSE]).integers(0, len(count), (samples, len(count)))
    effective = len(values) ** 2 / (count.astype(np.float64) ** 2).sum()
    # By this factor the deviation of a sample is too small.
    error = (total[drawn].sum(1) / count[drawn].sum(1)).std() * np.sqrt(effective / (effective - 1))
    return float(stats.t.ppf(level, effective - 1) * error)
