"""Photos of more than 8 bits per channel are scaled to 8."""

import numpy as np

_STRIP = 32  # rows that are scaled at once
_SAMPLE = 1 << 20  # number of values from which the range is estimated
_BITS = (8, 10, 12, 14, 16)
_TOPS = (1.0, 255.0, 65535.0)  # usual maxima of floating-point photos
_PERCENT = 0.1  # percentage of the values at either end that may be faults of the sensor
_LEAST = 8  # a photo that uses less than 1 / 8 of its range is stretched


def to_bytes(values: np.ndarray) -> np.ndarray:
    """Scale the values of a photo, of any numeric type [h, w, ...], to uint8 of the same shape. NaN becomes black.

    This works on strips of rows, because double precision takes eight times the memory.
    """
    low, high = _range(values)
    scaled = np.empty(values.shape, np.uint8)
    for start in range(0, len(values), _STRIP):
        rows = slice(start, start + _STRIP)
        strip = np.nan_to_num(values[rows].astype(np.float64), nan=low)
        scaled[rows] = np.clip((strip - low) / (high - low), 0, 1) * 255
    return scaled


def _range(values):
    """The values that become black and white.

    These are zero and the maximum of the bits in use (12 of 16 in many scans). Where the photo would then be nearly uniform (counts of
    thermal cameras, height maps), or has negative values, they are the percentiles `_PERCENT` and 100 - `_PERCENT`.
    """
    step = max(1, round((values.size / _SAMPLE) ** 0.5))
    sample = values[::step, ::step].reshape(-1).astype(np.float64)
    sample = sample[np.isfinite(sample)]
    if not sample.size:
        return 0.0, 1.0
    tops = [2.0**bits - 1 for bits in _BITS] if values.dtype.kind in "iu" else _TOPS
    top = next((top for top in tops if sample.max() <= top), float(sample.max()))
    low, high = np.percentile(_measured(sample), [_PERCENT, 100 - _PERCENT])
    spread = high > low and (low < 0 or high - low < top / _LEAST)
    return (float(low), float(high)) if spread else (0.0, top)


def _measured(sample):
    """The values without placeholders for missing measurements (-9999, the largest float).

    The minimum or maximum is a placeholder if its distance to the other values is larger than the range of these.
    """
    for end, others in ((sample.min(), np.min), (sample.max(), np.max)):
        rest = sample[sample != end]
        if rest.size and abs(others(rest) - end) > np.ptp(rest) > 0:
            sample = rest
    return sample
