"""Where networks compute."""

import os

import torch

from bow2cnn.network.errors import NetworkError


def pick_device(name):
    """The `torch.device` of a config's `device`, `cpu` or `cuda`.

    Raises:
        NetworkError: there is no such device here, or this torch cannot use it.
    """
    if name == "cuda":
        # Without it cuBLAS sums in an order of its own; it is read when CUDA starts.
        os.environ.update({"CUBLAS_WORKSPACE_CONFIG": ":4096:8"})
        if not torch.cuda.is_available():
            why = "this torch was built without CUDA" if torch.version.cuda is None else "torch finds no GPU here"
            raise NetworkError(f"device: cuda is configured, but {why}; set device: cpu")
    return torch.device(name)
