"""Losses over tuples of descriptors, each a sum over tuples.

`tuple_loss` looks at one tuple at a time (Radenovic, Tolias, Chum, TPAMI 2018; the sums are those of the authors' code). `batch_loss` also
takes photos of the other tuples of the batch as negatives.

Of the losses over lists of photos, multi-similarity is here and smooth AP (Brown et al., ECCV 2020) is not. Smooth AP orders many positives
of a query. A tuple has one, for which it is only a smooth reciprocal rank. The multi-similarity loss weights a positive against mined
negatives of many places, and it is the usual one for training on places (GSV-Cities, MixVPR and others).
"""

import torch
from torch.nn import functional

OVER_THE_BATCH = ("infonce", "multi-similarity")  # the kinds of `batch_loss`
_EPSILON = 1e-6  # added to differences, so that the distance has a gradient at zero
# Of the multi-similarity loss. alpha, beta and epsilon are those of the paper. lambda is that of the authors' code: with the 1 of the paper
# only negatives nearly as similar as copies would count.
_ALPHA, _BETA, _LAMBDA, _MS_EPSILON = 2.0, 50.0, 0.5, 0.1


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


def batch_loss(descriptors: torch.Tensor, pairs: torch.Tensor, negatives: torch.Tensor, kind: str, temperature: float) -> torch.Tensor:
    """Sum of the loss over tuples whose negatives are photos of the whole batch, where s is the similarity of a photo to the query.

    infonce: -log(exp(s(positive) / temperature) / the sum of exp(s / temperature) over the positive and all negatives) (van den Oord et
    al., arXiv 1807.03748, equation 4).
    multi-similarity: log(1 + exp(-alpha (s(positive) - lambda))) / alpha + log(1 + the sum of exp(beta (s - lambda)) over the negatives)
    / beta, where only negatives with s > s(positive) - epsilon count; without any of them a tuple has no loss (Wang et al., CVPR 2019,
    section 3.3, for one positive).

    Args:
        descriptors: float32 [n, D], of length 1.
        pairs: int64 [t, 2], rows of `descriptors`: query and positive of each tuple.
        negatives: bool [t, n], the negatives of each query among all descriptors.
        kind: one of `OVER_THE_BATCH`.
        temperature: of infonce.

    Returns:
        a scalar.
    """
    query, positive = descriptors[pairs[:, 0]], descriptors[pairs[:, 1]]
    near, far = (query * positive).sum(1, keepdim=True), query @ descriptors.T
    if kind == "infonce":
        logits = torch.cat([near, far.masked_fill(~negatives, -torch.inf)], 1) / temperature
        return (torch.logsumexp(logits, 1) - logits[:, 0]).sum()
    counted = negatives & (far > near - _MS_EPSILON)
    attracted = functional.softplus(-_ALPHA * (near[:, 0] - _LAMBDA)) / _ALPHA
    exponents = torch.cat([torch.zeros_like(near), (_BETA * (far - _LAMBDA)).masked_fill(~counted, -torch.inf)], 1)
    return (attracted * counted.any(1)).sum() + (torch.logsumexp(exponents, 1) / _BETA).sum()


def _squared(a, b):
    return ((a - b + _EPSILON) ** 2).sum(-1)
