"""The optimiser of an experiment."""

import math

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ExponentialLR

from bow2cnn.training.settings import Settings

_POOLING_RATE = 10.0  # GeM's p learns so many times faster, without weight decay (field.md 3.3)
_MOMENTUM = 0.9


def make_optimiser(model, settings):
    """Adam, AdamW or SGD over the learning weights of a `RetrievalNetwork`."""
    weights = [weight for weight in model.backbone.parameters() if weight.requires_grad]
    groups = [{"params": weights, "lr": settings.learning_rate, "weight_decay": settings.weight_decay}]
    if model.pooling.p is not None:
        groups.append({"params": [model.pooling.p], "lr": _POOLING_RATE * settings.learning_rate, "weight_decay": 0.0})
    groups = [group for group in groups if group["params"]]
    if settings.optimiser == "sgd":
        return torch.optim.SGD(groups, momentum=_MOMENTUM)
    return (torch.optim.AdamW if settings.optimiser == "adamw" else torch.optim.Adam)(groups)


def make_schedule(optimiser: Optimizer, settings: Settings) -> ExponentialLR:
    """The schedule of the learning rates: rate(epoch) = rate(1) exp(-lr_decay (epoch - 1)); `step()` ends an epoch (field.md 3.3)."""
    return ExponentialLR(optimiser, math.exp(-settings.lr_decay))
