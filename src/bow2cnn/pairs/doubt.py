"""Doubt: photos that may show the same place although no place joins them.

Discovery cuts verified pairs that are too weak to join two clusters. A cut keeps 3D models of two places apart. It proves no difference:
of the pairs cut in collections of landmarks most are right. So whatever would treat the photos as different asks here first.
"""

import numpy as np


def related(photo, others, group, cluster, doubt):
    """Which photos may show the place of another photo, bool [k].

    These are the photos of its group and of its cluster, and those of the groups and clusters that a doubtful pair joins directly to its
    own: had the pair been kept, they would be one cluster. Doubt is not passed on (A - B and B - C say nothing of A - C), because in a
    large collection a chain of wrong pairs reaches nearly every place.

    Args:
        photo: row.
        others: int [k] rows.
        group, cluster: int [n], -1 for none.
        doubt: int [d, 2] pairs of photos.
    """
    own = np.array([photo])
    first, second = (_alike(doubt[:, end], own, group, cluster) for end in (0, 1))
    return _alike(others, np.concatenate([own, doubt[first, 1], doubt[second, 0]]), group, cluster)


def _alike(photos, members, group, cluster):
    """Which photos have the group or the cluster of one of the members, bool [k]."""
    found = np.zeros(len(photos), bool)
    for label in (group, cluster):
        wanted = np.unique(label[members])
        found |= np.isin(label[photos], wanted[wanted >= 0])
    return found
