"""The moving average of a network's weights during training, and the interpolation between the weights of two networks."""

import math

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

Weights = dict[str, torch.Tensor]  # all tensors of a network, by name


def copy_weights(model: nn.Module) -> Weights:
    """A copy of all tensors of a model."""
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


def interpolate(start: Weights, learned: Weights, alpha: float) -> Weights:
    """start + alpha (learned - start) for every tensor (WiSE-FT, Wortsman et al., CVPR 2022); alpha = 1 returns the learned weights."""
    if alpha == 1.0:
        return learned
    return {name: torch.lerp(start[name], value, alpha) if value.is_floating_point() else value for name, value in learned.items()}


def pooling_exponent(weights: Weights) -> float:
    """The p that GeM uses, at least 1, or the mean of those that it uses for the channels; NaN for other poolings."""
    return float(weights["pooling.p"].clamp(min=1.0).mean()) if "pooling.p" in weights else math.nan
