"""Losses over tuples of descriptors (Radenovic, Tolias, Chum, TPAMI 2018; field.md 3.3)."""

import torch

_EPSILON = 1e-6  # added to differences, so that the distance has a gradient at zero


def tuple_loss(descriptors, tuples, kind, margin):
    """Sum of the loss over tuples.

    contrastive: D^2 / 2 of the query and its positive, plus max(0, margin - D)^2 / 2 of the query and each negative.
    triplet: max(0, margin + D^2 to the positive - D^2 to the negative) for each negative.

    Args:
        descriptors: [n, D].
        tuples: int64 [t, 2 + k] rows of `descriptors`: query, positive, negatives; -1 stands for no negative.
        kind: `contrastive` or `triplet`.
        margin: see above.
    """
    query, positive, negatives = tuples[:, 0], tuples[:, 1], tuples[:, 2:]
    given = negatives >= 0
    near = _squared(descriptors[query], descriptors[positive])
    far = _squared(descriptors[query][:, None], descriptors[negatives.clamp(min=0)])
    if kind == "triplet":
        return (torch.clamp(margin + near[:, None] - far, min=0.0) * given).sum()
    repelled = 0.5 * torch.clamp(margin - far.sqrt(), min=0.0) ** 2
    return 0.5 * near.sum() + (repelled * given).sum()


def _squared(a, b):
    return ((a - b + _EPSILON) ** 2).sum(-1)
