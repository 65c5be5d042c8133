"""Training of one experiment (Radenovic, Tolias, Chum, TPAMI 2018, section 4; talk slides 14 to 17).

Before every epoch the current network describes the photos, is validated, and finds the hardest negatives of every query; then it
learns from the tuples. Validation alone decides which of these networks is kept, the untrained one included.
"""

import hashlib
import json
import logging

import numpy as np
import torch

from bow2cnn.core import artefact
from bow2cnn.core.code_digest import digest
from bow2cnn.core.same_photos import check_photos
from bow2cnn.network.device import pick_device
from bow2cnn.network.model import RetrievalNetwork
from bow2cnn.network.storage import load_network, save_network
from bow2cnn.pairs.negatives import used_rows
from bow2cnn.training.cache import PhotoCache
from bow2cnn.training.checkpoint import Checkpoint
from bow2cnn.training.errors import TrainingError
from bow2cnn.training.pairs import read_pairs
from bow2cnn.training.settings import Settings
from bow2cnn.training.trainer import Trainer

_LOG = logging.getLogger("bow2cnn")


def train_experiment(
    positives, negatives, validation, collection, start, network, history, state, settings, seed, threads=None, device="cpu"
):
    """Fine-tune a network and write it with its history.

    Args:
        positives, negatives, validation: artefacts: the pairs of a source.
        collection, start: artefacts: the photos, the network to start from.
        network, history: artefacts to write, of kinds `network` and `history`.
        state: folder for what an interrupted run goes on from; removed at the end.
        settings: dict, see `Settings`.
        seed: of all random choices.
        threads: worker threads, torch's own number by default; the result does not depend on it.
        device: `cpu` or `cuda`.

    Raises:
        TrainingError: wrong settings or nothing to train on.
    """
    settings = Settings.of(settings)
    torch.use_deterministic_algorithms(True)
    threads = threads or torch.get_num_threads()
    pairs = positives, negatives, validation
    check_photos(collection, *pairs)
    table = artefact.read(collection, "collection", ["path", "sha256"])
    model = start_model(start, settings).to(pick_device(device))
    key = _key([*pairs, start], table["sha256"], settings, seed, device)
    checkpoint = Checkpoint(state, key)
    photos = PhotoCache(state, table["path"], used_rows(negatives), model.input, settings.image_size, threads, key)
    found = read_pairs(*pairs, settings.background_negatives, photos.missing)
    run = Trainer(model, found, photos, settings, seed, threads, checkpoint)
    run.run()
    _write(run, network, history, settings, seed)
    checkpoint.remove()


def start_model(path, settings):
    """The starting network with the experiment's pooling, frozen where the settings say so."""
    loaded = load_network(path)
    if loaded.network != settings.network:
        raise TrainingError(f"{path}: holds {loaded.network}, the experiment wants {settings.network}")
    model = RetrievalNetwork(settings.network, settings.pooling, input=loaded.input)
    model.backbone.load_state_dict(loaded.backbone.state_dict())
    if model.pooling.p is not None and loaded.pooling.p is not None:
        model.pooling.load_state_dict(loaded.pooling.state_dict())
    parts = len(model.backbone.parts())
    if settings.freeze >= parts:
        raise TrainingError(f"settings: freeze must be below the {parts} parts of {settings.network}, got {settings.freeze}")
    model.backbone.freeze(settings.freeze)
    if not settings.learn_norms:
        for norm in model.backbone.norms():
            norm.requires_grad_(False)
    return model


def _key(paths, sha256, settings, seed, device):
    """What the result depends on, as a text: the checkpoint of anything else is useless."""
    total = hashlib.sha256(json.dumps(settings.of_training(), sort_keys=True).encode())
    for path in paths:
        with open(path, "rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    total.update(np.ascontiguousarray(sha256).tobytes())
    total.update(f"{seed} {device} {digest(__file__)}".encode())
    return total.hexdigest()


def _write(run, network, history, settings, seed):
    """The chosen network and the history as artefacts."""
    chosen, curve = run.chosen, run.history
    params = {
        "settings": settings.of_training(),
        "seed": seed,
        "chosen_epoch": chosen["epoch"],
        "chosen_share": chosen["share"],
    }
    run.viewer.load_state_dict(chosen["weights"])
    save_network(network, run.viewer, params)
    arrays = {name: np.array(values, np.float64) for name, values in curve.items()}
    arrays |= {"epoch": np.arange(len(curve["validation_map"]), dtype=np.int32), "chosen": np.int32(chosen["epoch"])}
    arrays["diverged"] = np.int32(run.diverged)
    arrays |= {f"tried/{name}": values for name, values in run.tried.items()}
    shapes = {"query": (), "positive": (), "photo": (settings.negatives,), "similarity": (settings.negatives,)}
    for name, shape in shapes.items():
        values = np.zeros((len(run.tuples), run.plan.tuples, *shape), np.float32 if name == "similarity" else np.int32)
        for epoch, tuples in enumerate(run.tuples):
            values[epoch] = tuples[name]
        arrays[f"negatives/{name}"] = values
    artefact.write(history, "history", arrays, params)
    if chosen["epoch"] == 0 and settings.epochs and not run.diverged:
        _LOG.warning("training: no epoch validated better than the untrained network, which is kept")
