"""Whether photos can be ranked by descriptors."""

import numpy as np

_LOOKED_AT = 1000  # photos; if the descriptors of the first ones are the same, those of the others are taken to be


def find_fault(descriptors: np.ndarray, missing: np.ndarray) -> str | None:
    """The reason why nothing can be ranked by descriptors; None where something can.

    A ranking by descriptors that say nothing would be in the order of its list.

    Args:
        descriptors: float [n, D].
        missing: bool [n], rows that are zero because the photo has no descriptor.
    """
    length = np.einsum("ij,ij->i", descriptors, descriptors)
    broken = int(np.count_nonzero(~np.isfinite(length)))
    if broken:
        return f"{broken} of {len(length)} descriptors are not numbers"
    present = np.flatnonzero(~missing)
    if len(present) and not length[present].any():
        return "all descriptors are zero"
    first = descriptors[present[:_LOOKED_AT]]
    # Two or three photos may be one in different files.
    return "all descriptors are the same" if len(first) > 3 and np.ptp(first, axis=0).max() < 1e-6 else None
