"""One training from the first look at the photos to the last, going on from a checkpoint if there is one."""

import copy
import logging
import time

import numpy as np
import torch

from bow2cnn.description.describe import describe_photos
from bow2cnn.evaluation.validation import validation_map
from bow2cnn.network.workers import Workers
from bow2cnn.progress import progress
from bow2cnn.training.batches import Batches
from bow2cnn.training.gradient import Gradient
from bow2cnn.training.optimiser import make_optimiser, set_rate
from bow2cnn.training.plan import Plan
from bow2cnn.training.weights import average_weights, between, copy_weights

_LOG = logging.getLogger("bow2cnn")
_SAVE_EVERY = 60.0  # seconds within an epoch


class Run:
    """A training; its state is what `_save` saves.

    Args:
        model: the starting network, its frozen weights marked.
        pairs: `Pairs`.
        photos: `PhotoCache`.
        settings: `Settings`.
        seed: of all random choices.
        threads: worker threads.
        checkpoint: `Checkpoint`.

    Attributes:
        best: the network to keep: `score`, `epoch`, `share`, `weights`.
        history: lists per epoch (the untrained network is epoch 0).
        tuples: per epoch what `Plan.mine` returned.
        viewer: a network of the same kind to load weights into.
    """

    def __init__(self, model, pairs, photos, settings, seed, threads, checkpoint):
        self._model, self._pairs, self._photos, self._settings = model, pairs, photos, settings
        self._threads, self._checkpoint = threads, checkpoint
        self._start = copy_weights(model)
        self._mean = copy_weights(model) if settings.average else None
        self._optimiser = make_optimiser(model, settings)
        self.viewer = copy.deepcopy(model)
        self._epoch, self._step, self._loss = 0, 0, 0.0
        self.best, self.tuples = None, []
        self.history = {"loss": [], "validation_map": [], "share": [], "pooling_p": []}
        self._first = self._describe(self._start, np.flatnonzero(pairs.group >= 0), "start")
        self.plan = Plan(pairs, settings, seed, self._first)
        self._batches = Batches(photos, settings, seed, torch.from_numpy(self._first) if settings.keep else None)

    def run(self):
        """All epochs."""
        if self._load():
            self._learn()
        self._look()
        while self._epoch < self._settings.epochs:
            self._epoch, self._step, self._loss = self._epoch + 1, 0, 0.0
            self._save()
            self._learn()
            self._look()

    def _learn(self):
        """The rest of an epoch's steps."""
        set_rate(self._optimiser, self._settings, self._epoch)
        batch, saved = self._settings.batch, time.monotonic()
        steps = -(-self.plan.tuples // batch)
        with Workers(self._threads) as workers:
            gradient = Gradient(self._model, workers, self._settings.image_size)
            for step in progress(range(self._step, steps), f"epoch {self._epoch}"):
                numbers = range(step * batch, min((step + 1) * batch, self.plan.tuples))
                self._loss += gradient.add(*self._batches.make(self.tuples[-1], numbers, self._epoch))
                self._optimiser.step()
                if self._mean is not None:
                    average_weights(self._mean, self._model, self._settings.average)
                self._step = step + 1
                if time.monotonic() - saved >= _SAVE_EVERY or self._step == steps:
                    self._save()
                    saved = time.monotonic()
        self.history["loss"].append(self._loss / self.plan.tuples)

    def _look(self):
        """Between two epochs: describe the photos, validate, mine the next epoch's negatives."""
        last = self._epoch == self._settings.epochs
        rows = self.plan.validation_rows()
        wanted = rows if last else np.union1d(rows, self.plan.needed(self._epoch + 1))
        learned = copy_weights(self._model) if self._mean is None else self._mean
        descriptors = self._describe(learned, wanted, f"look {self._epoch}") if self._epoch else self._first
        shares = self._settings.interpolation if self._epoch else (1.0,)
        scores = []
        for share in shares:
            weights = between(self._start, learned, share)
            seen = descriptors if share == 1.0 else self._describe(weights, rows, f"look {self._epoch}, {share:g}")
            score = validation_map(self.plan.validation, seen)
            if not np.isfinite(seen).all():
                score = -1.0  # the training diverged
            scores.append(float("nan") if score is None else score)
            self._keep_best(scores[-1], share, weights)
        self._record(scores, shares)
        if not last:
            self.tuples.append(self.plan.mine(self._epoch + 1, descriptors))

    def _keep_best(self, score, share, weights):
        """Keep a network that validates better than all before it; without any validation, the last one."""
        if self.best is None or not np.isfinite(score) or score > self.best["score"]:
            kept = {name: value.detach().clone() for name, value in weights.items()}
            self.best = {"score": score, "epoch": self._epoch, "share": share, "weights": kept}

    def _record(self, scores, shares):
        best = int(np.argmax(scores))
        exponent = self._model.pooling.exponent()
        self.history["validation_map"].append(scores[best])
        self.history["share"].append(shares[best])
        self.history["pooling_p"].append(float("nan") if exponent is None else exponent)
        tried = ", ".join(f"{score:.2f} (share {share:g})" for score, share in zip(scores, shares, strict=True))
        _LOG.info("training: epoch %d, validation mAP %s", self._epoch, tried)

    def _describe(self, weights, rows, label):
        """Descriptors float32 [n, D] by collection row of some rows, zero elsewhere."""
        descriptors = np.zeros((len(self._pairs.group), self.viewer.dimension), np.float32)
        if len(rows):
            self.viewer.load_state_dict(weights)
            loads = [self._photos.load(row) for row in rows]
            descriptors[rows], _ = describe_photos(self.viewer, loads, (1.0,), self._threads, label)
        return descriptors

    def _save(self):
        tuples = [{name: torch.from_numpy(value) for name, value in epoch.items()} for epoch in self.tuples]
        state = {"position": [self._epoch, self._step, self._loss], "tuples": tuples, "history": self.history, "best": self.best}
        state |= {"model": self._model.state_dict(), "mean": self._mean, "optimiser": self._optimiser.state_dict()}
        self._checkpoint.save(state)

    def _load(self):
        """Take up the checkpoint; whether there was one."""
        saved = self._checkpoint.load()
        if saved is None:
            return False
        self._epoch, self._step, self._loss = saved["position"]
        self._model.load_state_dict(saved["model"])
        self._optimiser.load_state_dict(saved["optimiser"])
        self._mean, self.best, self.history = saved["mean"], saved["best"], saved["history"]
        self.tuples = [{name: value.numpy() for name, value in epoch.items()} for epoch in saved["tuples"]]
        _LOG.info("training: going on in epoch %d after %d steps", self._epoch, self._step)
        return True
