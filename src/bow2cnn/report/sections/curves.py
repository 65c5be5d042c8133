"""Curves: loss and validation mAP by epoch, and between the start and the best epoch."""

import numpy as np

from bow2cnn.report import charts
from bow2cnn.run.run import Run


def curves(run: Run) -> dict:
    """The charts for each experiment."""
    return {"experiments": [_curves(name, run.history(name)) for name in run.experiments]}


def _curves(name, arrays):
    chosen = int(arrays["chosen"])
    percent, kept = np.rint(100 * arrays["tried/share"]).astype(int), int(arrays["tried/chosen"])
    return {
        "name": name,
        "chosen": chosen,
        # The untrained network, epoch 0, has a validation and no loss.
        "loss": charts.curve(range(1, len(arrays["loss"]) + 1), arrays["loss"], chosen, 3),
        "validation": charts.curve(arrays["epoch"], arrays["validation_map"], chosen, 1),
        "share": charts.curve(percent, arrays["tried/validation_map"], percent[kept], 1),
    }
