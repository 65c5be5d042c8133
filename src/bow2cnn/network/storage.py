"""A network as an artefact."""

import hashlib
import json

import numpy as np
import torch

from bow2cnn import artefact
from bow2cnn.network.model import RetrievalNetwork


def save_network(path, model, params=None):
    """Write a `RetrievalNetwork` as an artefact of kind `network`: `architecture`, `pooling_p`, one array per tensor in `weight/`."""
    arrays = {"architecture": json.dumps({"network": model.network, "pooling": model.pooling.kind}, sort_keys=True)}
    arrays["pooling_p"] = np.float32(np.nan if model.pooling.p is None else model.pooling.p.detach().cpu().numpy())
    for key, value in model.backbone.state_dict().items():
        if not key.endswith("num_batches_tracked"):
            arrays[f"weight/{key}"] = value.detach().cpu().contiguous().numpy()
    content = hashlib.sha256(arrays["architecture"].encode())
    for name in sorted(arrays.keys() - {"architecture"}):
        content.update(arrays[name].tobytes())
    artefact.write(path, "network", arrays, {**(params or {}), "lineage": content.hexdigest()[:16]})


def load_network(path):
    """Read a `RetrievalNetwork` back.

    Raises:
        artefact.ArtefactError: damaged, or not a network.
    """
    arrays = artefact.read(path, "network")
    try:
        architecture = json.loads(arrays["architecture"])
        model = RetrievalNetwork(architecture["network"], architecture["pooling"])
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
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise artefact.ArtefactError(f"{path}: the network in it is damaged ({error})") from error
    return model
