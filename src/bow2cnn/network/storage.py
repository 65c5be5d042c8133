"""Writes a network as an artefact and reads it back."""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bow2cnn.core import artefact
from bow2cnn.network.errors import MissingLibraryError
from bow2cnn.network.input import Input
from bow2cnn.network.model import RetrievalNetwork
from bow2cnn.network.projection import Projection


def save_network(path: str | Path, model: RetrievalNetwork, params: dict | None = None) -> None:
    """Write a network as an artefact of kind `network`.

    The artefact holds `architecture` (JSON: the names of network and pooling), `pooling_p` (the exponent of `gem`, those of `gemmp`, else
    NaN), one array per tensor of the backbone in `weight/`, `projection/weight` and `projection/bias` if there is a projection, and the
    `Input` among the parameters.

    Args:
        path: the artefact.
        model: the network.
        params: further parameters of the artefact.

    Raises:
        WriteError: the disk is full or not writable.
    """
    arrays: dict[str, Any] = {"architecture": json.dumps({"network": model.network, "pooling": model.pooling.kind}, sort_keys=True)}
    arrays["pooling_p"] = np.float32(np.nan if model.pooling.p is None else model.pooling.p.detach().cpu().numpy())
    for key, value in model.backbone.state_dict().items():
        if not key.endswith("num_batches_tracked"):
            arrays[f"weight/{key}"] = value.detach().cpu().contiguous().numpy()
    if model.projection is not None:
        arrays |= {f"projection/{key}": value.detach().cpu().numpy() for key, value in model.projection.state_dict().items()}
    fields = dataclasses.asdict(model.input)
    content = hashlib.sha256(f"{arrays['architecture']} {json.dumps(fields, sort_keys=True)}".encode())
    for name in sorted(arrays.keys() - {"architecture"}):
        content.update(arrays[name].tobytes())
    artefact.write(path, "network", arrays, {**(params or {}), "input": fields, "lineage": content.hexdigest()[:16]})


def load_network(path: str | Path) -> RetrievalNetwork:
    """Read a network with the `Input` that it was trained with.

    Raises:
        ArtefactError: the file is damaged, or not a network.
        MissingLibraryError: the network needs a library that is not installed.
    """
    with artefact.Reader(path, "network") as reader:
        arrays, params = {name: reader[name] for name in reader.names()}, reader.params
    try:
        architecture = json.loads(arrays["architecture"])
        projection = _projection(arrays) if any(name.startswith("projection/") for name in arrays) else None
        model = RetrievalNetwork(architecture["network"], architecture["pooling"], input=Input(**params["input"]), projection=projection)
        state = model.backbone.state_dict()
        for key, value in state.items():
            if not key.endswith("num_batches_tracked"):
                stored = torch.from_numpy(arrays[f"weight/{key}"])
                if stored.shape != value.shape:
                    raise ValueError(f"{key} has another shape")
                value.copy_(stored)
        if model.pooling.p is not None:
            exponents = torch.as_tensor(np.asarray(arrays["pooling_p"], np.float32))
            if exponents.shape != model.pooling.p.shape:
                raise ValueError("pooling_p has another shape")
            with torch.no_grad():
                model.pooling.p.copy_(exponents)
    except MissingLibraryError as error:
        raise MissingLibraryError(f"{path}: {error}") from error
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise artefact.ArtefactError(f"{path}: the network in it is damaged ({error})") from error
    return model


def _projection(arrays):
    weight, bias = (torch.from_numpy(arrays[f"projection/{key}"]) for key in ("weight", "bias"))
    if weight.dim() != 2 or bias.shape != weight.shape[:1]:
        raise ValueError("the projection has another shape")
    return Projection(weight, bias)
