"""Training of one experiment (Radenovic, Tolias, Chum, TPAMI 2018; Chum's talk, slides 14 to 17).

Before every epoch the current network describes the photos, is validated, and mines the hardest negatives of every query. Then it learns
from the tuples. Validation alone decides which of these networks is kept; it may be the starting one.
"""

import hashlib
import json
import logging
from pathlib import Path

import numpy as np
import torch

from bow2cnn.core import artefact
from bow2cnn.core.code_digest import digest
from bow2cnn.core.same_photos import check_photos
from bow2cnn.network.device import pick_device
from bow2cnn.network.model import RetrievalNetwork
from bow2cnn.network.projection import Projection
from bow2cnn.network.storage import load_network, save_network
from bow2cnn.pairs.exclusions import used_rows
from bow2cnn.training.cache import PhotoCache
from bow2cnn.training.checkpoint import Checkpoint
from bow2cnn.training.errors import TrainingError
from bow2cnn.training.loop import Trainer
from bow2cnn.training.pairs import read_pairs
from bow2cnn.training.settings import Settings

_LOG = logging.getLogger("bow2cnn")


def train_experiment(
    positives: str | Path,
    negatives: str | Path,
    validation: str | Path,
    collection: str | Path,
    start: str | Path,
    network: str | Path,
    history: str | Path,
    state: str | Path,
    settings: dict,
    seed: int,
    threads: int | None = None,
    device: str = "cpu",
    projection: str | Path | None = None,
) -> None:
    """Fine-tune a network and write it with its history.

    Args:
        positives, negatives, validation: artefacts, the pairs of a source.
        collection: artefact, the photos.
        start: artefact, the network to start from.
        network, history: artefacts to write, of kinds `network` and `history`.
        state: folder for the state of the training, see `Checkpoint`. An interrupted training goes on from it, and so does a finished one
            that gets more epochs. At the end only the checkpoint is left, and nothing if the training diverged.
        settings: keys of the experiment, see `Settings`.
        seed: of all random choices.
        threads: number of worker threads, torch's own number by default; the result does not depend on it.
        device: `cpu` or `cuda`.
        projection: artefact of kind `whitening`, with which the projection layer starts; None if the experiment has no such layer.

    Raises:
        TrainingError: the settings are wrong, the starting network does not suit them, or there is nothing to train on.
        NetworkError: the device cannot be used, or the projection does not suit the network.
        ArtefactError: an artefact cannot be used.
        WriteError: the disk is full or not writable.
    """
    experiment = Settings.of(settings)
    torch.use_deterministic_algorithms(True)
    threads = threads or torch.get_num_threads()
    pairs = positives, negatives, validation
    check_photos(collection, *pairs)
    table = artefact.read(collection, "collection", ["path", "sha256"])
    model = start_model(start, experiment, projection).to(pick_device(device))
    key = _key([*pairs, start, *([] if projection is None else [projection])], table["sha256"], experiment, seed, device)
    checkpoint = Checkpoint(state, key)
    photos = PhotoCache(state, table["path"], used_rows(negatives), model.input, experiment.image_size, threads, key)
    usable = read_pairs(*pairs, experiment.background_negatives, photos.missing, unmatched=experiment.positives == "geometry")
    trainer = Trainer(model, usable, photos, experiment, seed, threads, checkpoint)
    trainer.run()
    _write(trainer, network, history, experiment, seed)
    if trainer.diverged:
        checkpoint.remove()  # otherwise more epochs would go on into the divergence
    else:
        checkpoint.remove_all_else()


def start_model(path: str | Path, settings: Settings, projection: str | Path | None = None) -> RetrievalNetwork:
    """The starting network with pooling and projection of the experiment; the weights that the settings freeze do not learn.

    Args:
        path: artefact of kind `network`.
        settings: of the experiment.
        projection: artefact of kind `whitening`, with which the projection layer starts.

    Raises:
        TrainingError: the network is another one, all of its parts are frozen, or there is no projection to start with.
        NetworkError: the projection does not suit the network.
        ArtefactError: an artefact cannot be used.
    """
    loaded = load_network(path)
    if loaded.network != settings.network:
        raise TrainingError(f"{path}: holds {loaded.network}, the experiment wants {settings.network}")
    layer = None
    if settings.projection != "none":
        if projection is None:
            raise TrainingError(f"settings: projection {settings.projection} needs a whitening to start with")
        layer = Projection.of_whitening(**artefact.read(projection, "whitening", ["mean", "projection"])).requires_grad_(
            settings.train_projection
        )
    model = RetrievalNetwork(settings.network, settings.pooling, input=loaded.input, projection=layer)
    model.backbone.load_state_dict(loaded.backbone.state_dict())
    if model.pooling.p is not None and loaded.pooling.p is not None:
        with torch.no_grad():
            same = loaded.pooling.p.shape == model.pooling.p.shape
            model.pooling.p.copy_(loaded.pooling.p if same else loaded.pooling.p.mean())
    parts = len(model.backbone.parts())
    if settings.freeze >= parts:
        raise TrainingError(f"settings: freeze must be below the {parts} parts of {settings.network}, got {settings.freeze}")
    model.backbone.freeze(settings.freeze)
    if not settings.learn_norms:
        for norm in model.backbone.norms():
            norm.requires_grad_(False)
    return model


def _key(paths, sha256, settings, seed, device):
    """Digest of everything on which the epochs depend; a checkpoint with another key is not used.

    The number of epochs changes none of them (`Trainer` compares it), and `interpolation` counts only after the last.
    """
    keys = {name: value for name, value in settings.of_training().items() if name not in ("epochs", "interpolation")}
    total = hashlib.sha256(json.dumps(keys, sort_keys=True).encode())
    for path in paths:
        with open(path, "rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    total.update(np.ascontiguousarray(sha256).tobytes())
    total.update(f"{seed} {device} {digest(__file__)}".encode())
    return total.hexdigest()


def _write(trainer, network, history, settings, seed):
    """The chosen network and the history as artefacts."""
    chosen, curve = trainer.chosen, trainer.history
    params = {
        "settings": settings.of_training(),
        "seed": seed,
        "chosen_epoch": chosen["epoch"],
        "chosen_share": chosen["alpha"],
    }
    trainer.eval_model.load_state_dict(chosen["weights"])
    save_network(network, trainer.eval_model, params)
    arrays = {name: np.array(values, np.float64) for name, values in curve.items()}
    arrays |= {"epoch": np.arange(len(curve["validation_map"]), dtype=np.int32), "chosen": np.int32(chosen["epoch"])}
    arrays["diverged"] = np.int32(trainer.diverged)
    arrays |= {f"tried/{name}": values for name, values in trainer.tried.items()}
    most = max((tuples["photo"].shape[1] for tuples in trainer.tuples), default=settings.negatives)
    shapes = {"query": (), "positive": (), "photo": (most,), "similarity": (most,)}
    for name, shape in shapes.items():
        values = np.zeros((len(trainer.tuples), trainer.plan.tuples, *shape), np.float32 if name == "similarity" else np.int32)
        for epoch, tuples in enumerate(trainer.tuples):
            values[epoch] = tuples[name]
        arrays[f"negatives/{name}"] = values
    artefact.write(history, "history", arrays, params)
    if chosen["epoch"] == 0 and settings.epochs and not trainer.diverged:
        _LOG.warning("training: no epoch validated better than the starting network, which is kept")
