"""The optimiser of an experiment and the schedule of its learning rates."""

import math

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ExponentialLR

from bow2cnn.network.model import RetrievalNetwork
from bow2cnn.training.settings import Settings

_POOLING_RATES = {"gem": 10.0, "gemmp": 100.0}  # factors on the learning rate for p, which has no weight decay (code of TPAMI 2018)
_MOMENTUM = 0.9


def make_optimiser(model: RetrievalNetwork, settings: Settings) -> Optimizer:
    """Adam, AdamW or SGD over the weights of a network that are not frozen."""
    layers = [model.backbone] if model.projection is None else [model.backbone, model.projection]
    weights = [weight for layer in layers for weight in layer.parameters() if weight.requires_grad]
    groups = [{"params": weights, "lr": settings.learning_rate, "weight_decay": settings.weight_decay}]
    if model.pooling.p is not None:
        rate = _POOLING_RATES[model.pooling.kind] * settings.learning_rate
        groups.append({"params": [model.pooling.p], "lr": rate, "weight_decay": 0.0})
    groups = [group for group in groups if group["params"]]
    if settings.optimiser == "sgd":
        return torch.optim.SGD(groups, momentum=_MOMENTUM)
    return (torch.optim.AdamW if settings.optimiser == "adamw" else torch.optim.Adam)(groups)


def make_schedule(optimiser: Optimizer, settings: Settings) -> ExponentialLR:
    """The schedule rate(epoch) = rate(1) exp(-lr_decay (epoch - 1)), as in TPAMI 2018; `step()` goes to the next epoch."""
    return ExponentialLR(optimiser, math.exp(-settings.lr_decay))
