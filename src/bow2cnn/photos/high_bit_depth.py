"""Photos of more than 8 bits a channel: what they hold is brought to 8."""

import numpy as np

_STRIP = 32  # rows that are scaled at once
_SAMPLE = 1 << 20  # values that tell what a photo holds
_BITS = (8, 10, 12, 14, 16)
_TOPS = (1.0, 255.0, 65535.0)  # of fractions
_PERCENT = 0.1  # of the values at either end may be faults of the sensor
_LEAST = 8  # a photo that uses a smaller part than 1 / 8 of its range is spread


def to_bytes(values: np.ndarray) -> np.ndarray:
    """Values of any type, [h, w, ...], as uint8 of the same shape. Values that are no numbers are black.

    A strip at a time, because double precision takes eight times the memory.
    """
    low, high = _range(values)
    scaled = np.empty(values.shape, np.uint8)
    for start in range(0, len(values), _STRIP):
        rows = slice(start, start + _STRIP)
        strip = np.nan_to_num(values[rows].astype(np.float64), nan=low)
        scaled[rows] = np.clip((strip - low) / (high - low), 0, 1) * 255
    return scaled


def _range(values):
    """What becomes black and what white: zero and the top of the bits that are used (12 of 16 in many scans); where that would make nearly
    everything one grey (counts of thermal cameras, heights), or there are negative values, all but the outermost values.
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
    """The values without the least and the largest one where these stand further apart from the others than all others from each other:
    they are no measurements but say that there is none (-9999, the largest float).
    """
    for end, others in ((sample.min(), np.min), (sample.max(), np.max)):
        rest = sample[sample != end]
        if rest.size and abs(others(rest) - end) > np.ptp(rest) > 0:
            sample = rest
    return sample
