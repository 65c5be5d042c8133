"""The optimiser of an experiment."""

import math

import torch

_POOLING_RATE = 10.0  # GeM's p learns so many times faster, without weight decay (field.md 3.3)
_MOMENTUM = 0.9


def make_optimiser(model, settings):
    """Adam, AdamW or SGD over the learning weights of a `RetrievalNetwork`."""
    weights = [weight for weight in model.backbone.parameters() if weight.requires_grad]
    groups = [{"params": weights, "lr": settings.learning_rate, "weight_decay": settings.weight_decay}]
    if model.pooling.p is not None:
        groups.append({"params": [model.pooling.p], "lr": _POOLING_RATE * settings.learning_rate, "weight_decay": 0.0})
    groups = [{**group, "first_lr": group["lr"]} for group in groups if group["params"]]
    if settings.optimiser == "sgd":
        return torch.optim.SGD(groups, momentum=_MOMENTUM)
    return (torch.optim.AdamW if settings.optimiser == "adamw" else torch.optim.Adam)(groups)


def set_rate(optimiser, settings, epoch):
    """Learning rates of an epoch, counted from 1."""
    for group in optimiser.param_groups:
        group["lr"] = group["first_lr"] * math.exp(-settings.lr_decay * (epoch - 1))
