"""Weights and a photo that any library can be given, and what is kept of a backbone's activations: for `test_activations.py`, and for
`bench/activations.py`, which asks the networks' own code.
"""

import zlib

import numpy as np
import torch

HEIGHT, WIDTH = 130, 97
KEPT = 12  # activations of a network


def fill(state):
    """State dict with the names and shapes of another, filled with numbers that depend on nothing but these."""
    return {name: torch.from_numpy(_numbers(name, tuple(value.shape))).to(value.dtype) for name, value in state.items()}


def _numbers(name, shape):
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape)
    if name.endswith("running_var") or (name.endswith("weight") and len(shape) == 1):
        return rng.uniform(0.5, 1.5, shape)
    if len(shape) == 4:  # as He et al., ICCV 2015, have it: activations neither grow nor vanish
        return rng.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape)
    return rng.normal(0, 0.1, shape)


def photo():
    """float32 [1, 3, HEIGHT, WIDTH]."""
    return torch.from_numpy(np.random.default_rng(0).normal(0, 1, (1, 3, HEIGHT, WIDTH)).astype(np.float32))


def kept(activations):
    """Some activations of a map [1, D, h, w], and their shape."""
    flat = activations.double().flatten()
    places = np.random.default_rng(1).integers(0, len(flat), KEPT)
    return {"shape": list(activations.shape), "length": float(flat.norm()), "values": flat[places].tolist()}
