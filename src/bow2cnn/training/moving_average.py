"""Weights as dicts of tensors: copies, running averages, points between two networks."""

import math

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


def copy_weights(model):
    """A copy of all tensors of a model, by name."""
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def moving_average(model: nn.Module, decay: float) -> AveragedModel:
    """The exponential moving average of a model's weights, which starts as a copy of them.

    `update_parameters(model)` computes average <- average + (1 - decay) (weights - average). So the average stays exactly where it is while
    the weights do, those of frozen layers for instance.

    Args:
        model: the network that learns.
        decay: 0 to 1; the higher, the slower the average follows. 0 gives the model's own weights.
    """
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay))
    average.update_parameters(model)  # the first update copies the weights, whatever the decay is
    return average


def interpolate(start, learned, share):
    """start + share (learned - start), tensor by tensor; 1 gives the learned weights exactly."""
    if share == 1.0:
        return learned
    return {name: torch.lerp(start[name], value, share) if value.is_floating_point() else value for name, value in learned.items()}


def pooling_exponent(weights):
    """GeM's p in use, at least 1; NaN for other poolings."""
    return max(1.0, float(weights["pooling.p"])) if "pooling.p" in weights else math.nan
