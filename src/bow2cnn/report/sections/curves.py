"""Curves: loss and validation mAP by epoch."""

from bow2cnn.report import charts


def curves(run):
    """Two charts for each experiment."""
    return {"experiments": [_curves(name, arrays) for name, arrays in run.history.items()]}


def _curves(name, arrays):
    chosen = arrays["chosen"]
    return {
        "name": name,
        "chosen": chosen,
        # The untrained network, epoch 0, has a validation and no loss.
        "loss": charts.curve(range(1, len(arrays["loss"]) + 1), arrays["loss"], chosen, 3),
        "validation": charts.curve(arrays["epoch"], arrays["validation_map"], chosen, 1),
    }
