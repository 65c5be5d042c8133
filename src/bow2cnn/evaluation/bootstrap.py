"""How sure a mean over queries is: percentile bootstrap over the queries (Efron and Tibshirani 1993)."""

import numpy as np

_PURPOSE = 71


def interval(values, seed, samples):
    """Mean of values and its 95 % interval (mean, low, high); NaN values are queries that do not count; `samples` resamplings."""
    values = np.asarray(values, np.float64)
    values = values[np.isfinite(values)]
    if len(values) == 0:
        return np.nan, np.nan, np.nan
    low, high = np.percentile(_means(values, seed, samples), [2.5, 97.5])
    return float(values.mean()), float(low), float(high)


def paired_gain(after, before, seed, samples):
    """How much better one system is than another on the same queries.

    Args:
        after, before: values per query, in the same order; NaN values do not count.
        seed, samples: of the resampling, and how many.

    Returns:
        dict with `gain` (mean difference), `low`, `high` (95 % interval), `width` (the mean less the 5 % quantile: the width of a
        one-sided 95 % interval), `queries`, and `clear`: `gain` where a one-sided 95 % interval is above 0, `loss` where one is below.
    """
    difference = np.asarray(after, np.float64) - np.asarray(before, np.float64)
    difference = difference[np.isfinite(difference)]
    if len(difference) == 0:
        return {"gain": np.nan, "low": np.nan, "high": np.nan, "width": np.nan, "queries": 0, "clear": ""}
    means = _means(difference, seed, samples)
    gain = float(difference.mean())
    low, lower, upper, high = (float(value) for value in np.percentile(means, [2.5, 5.0, 95.0, 97.5]))
    clear = "gain" if lower > 0 else "loss" if upper < 0 else ""
    return {"gain": gain, "low": low, "high": high, "width": gain - lower, "queries": len(difference), "clear": clear}


def _means(values, seed, samples):
    generator = np.random.default_rng([seed, _PURPOSE])
    picks = generator.integers(0, len(values), (samples, len(values)))
    return values[picks].mean(1)
