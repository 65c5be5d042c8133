"""Weights as dicts of tensors: copies, running averages, points between two networks."""

import math

import torch


def copy_weights(model):
    """A copy of all tensors of a model, by name."""
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def average_weights(mean, model, decay):
    """Move a running average a step towards the model, in place: mean <- mean + (1 - decay) (weights - mean), which stays exactly where
    it is when the model does.
    """
    for name, value in model.named_parameters():
        if value.requires_grad:
            mean[name].lerp_(value.detach(), 1.0 - decay)


def interpolate(start, learned, share):
    """start + share (learned - start), tensor by tensor; 1 gives the learned weights exactly."""
    if share == 1.0:
        return learned
    return {name: torch.lerp(start[name], value, share) if value.is_floating_point() else value for name, value in learned.items()}


def pooling_exponent(weights):
    """GeM's p in use, at least 1; NaN for other poolings."""
    return max(1.0, float(weights["pooling.p"])) if "pooling.p" in weights else math.nan
