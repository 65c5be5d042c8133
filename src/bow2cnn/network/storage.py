"""A network as an artefact."""

import dataclasses
import hashlib
import json

import numpy as np
import torch

from bow2cnn.core import artefact
from bow2cnn.network.errors import MissingLibraryError
from bow2cnn.network.input import Input
from bow2cnn.network.model import RetrievalNetwork


def save_network(path, model, params=None):
    """Write a `RetrievalNetwork` as an artefact of kind `network`: `architecture`, `pooling_p`, one array per tensor in `weight/`, and its
    `Input` among the parameters.
    """
    arrays = {"architecture": json.dumps({"network": model.network, "pooling": model.pooling.kind}, sort_keys=True)}
    arrays["pooling_p"] = np.float32(np.nan if model.pooling.p is None else model.pooling.p.detach().cpu().numpy())
    for key, value in model.backbone.state_dict().items():
        if not key.endswith("num_batches_tracked"):
            arrays[f"weight/{key}"] = value.detach().cpu().contiguous().numpy()
    seen = dataclasses.asdict(model.input)
    content = hashlib.sha256(f"{arrays['architecture']} {json.dumps(seen, sort_keys=True)}".encode())
    for name in sorted(arrays.keys() - {"architecture"}):
        content.update(arrays[name].tobytes())
    artefact.write(path, "network", arrays, {**(params or {}), "input": seen, "lineage": content.hexdigest()[:16]})


def load_network(path):
    """Read a `RetrievalNetwork` back, with the `Input` that it was trained with.

    Raises:
        artefact.ArtefactError: damaged, or not a network.
        MissingLibraryError: it is of a library that is missing here.
    """
    with artefact.Reader(path, "network") as reader:
        arrays, params = {name: reader[name] for name in reader.names()}, reader.params
    try:
        architecture = json.loads(arrays["architecture"])
        model = RetrievalNetwork(architecture["network"], architecture["pooling"], input=Input(**params["input"]))
        state = model.backbone.state_dict()
        for key, value in state.items():
            if not key.endswith("num_batches_tracked"):
                stored = torch.from_numpy(arrays[f"weight/{key}"])
                if stored.shape != value.shape:
                    raise ValueError(f"{key} has another shape")
                value.copy_(stored)
        if model.pooling.p is not None:
            with torch.no_grad():
                model.pooling.p.fill_(float(arrays["pooling_p"]))
    except MissingLibraryError as error:
        raise MissingLibraryError(f"{path}: {error}") from error
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise artefact.ArtefactError(f"{path}: the network in it is damaged ({error})") from error
    return model
