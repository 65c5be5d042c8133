"""Losses over tuples of descriptors (Radenovic, Tolias, Chum, TPAMI 2018; the sums are those of the authors' code)."""

import torch

_EPSILON = 1e-6  # added to differences, so that the distance has a gradient at zero


def tuple_loss(descriptors: torch.Tensor, tuples: torch.Tensor, kind: str, margin: float) -> torch.Tensor:
    """Sum of the loss over tuples, where d is the distance of two descriptors.

    contrastive: d(query, positive)^2 / 2, plus max(0, margin - d(query, negative))^2 / 2 for each negative.
    triplet: max(0, margin + d(query, positive)^2 - d(query, negative)^2) for each negative.

    Args:
        descriptors: float32 [n, D].
        tuples: int64 [t, 2 + k], rows of `descriptors`: query, positive, negatives; -1 stands for no negative.
        kind: `contrastive` or `triplet`.
        margin: distance (contrastive) or difference of squared distances (triplet) beyond which a negative has no loss.

    Returns:
        a scalar.
    """
    query, positive, negatives = tuples[:, 0], tuples[:, 1], tuples[:, 2:]
    present = negatives >= 0
    near = _squared(descriptors[query], descriptors[positive])
    far = _squared(descriptors[query][:, None], descriptors[negatives.clamp(min=0)])
    if kind == "triplet":
        return (torch.clamp(margin + near[:, None] - far, min=0.0) * present).sum()
    repelled = 0.5 * torch.clamp(margin - far.sqrt(), min=0.0) ** 2
    return 0.5 * near.sum() + (repelled * present).sum()


def _squared(a, b):
    return ((a - b + _EPSILON) ** 2).sum(-1)
