"""How many features of a photo are on watermarks."""

import numpy as np

from bow2cnn.run.run import Run


def count_masked(run: Run, row: int) -> tuple[int, int]:
    """How many features of a photo are masked because they are on watermarks, and how many it has; zeros where that is not known."""
    if "watermarks" not in run:
        return 0, 0
    start, stop = run.watermarks.part("offset", row, row + 2).tolist()
    return int(np.count_nonzero(run.watermarks.part("masked", start, stop))), stop - start
