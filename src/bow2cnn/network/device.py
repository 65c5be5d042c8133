"""The device on which networks compute."""

import os

import torch

from bow2cnn.network.errors import NetworkError


def pick_device(name: str) -> torch.device:
    """The device that the config key `device` names, `cpu` or `cuda`.

    Raises:
        NetworkError: this machine has no such device, or the installed torch cannot use it.
    """
    if name == "cuda":
        # Without this, the order in which cuBLAS adds may change from run to run. cuBLAS reads it when CUDA starts.
        os.environ.update({"CUBLAS_WORKSPACE_CONFIG": ":4096:8"})
        if not torch.cuda.is_available():
            why = "this torch was built without CUDA" if torch.version.cuda is None else "torch finds no GPU here"
            raise NetworkError(f"device: cuda is configured, but {why}; set device: cpu")
    return torch.device(name)
