"""One training from the first look at the photos to the last, going on from a checkpoint if there is one."""

import copy
import logging
import math
import time

import numpy as np
import torch

from bow2cnn.core.progress import progress
from bow2cnn.descriptors.describe import describe_photos
from bow2cnn.descriptors.fault import find_fault
from bow2cnn.evaluation.validation import validation_scores
from bow2cnn.network.workers import Workers
from bow2cnn.training.batches import TupleLoader
from bow2cnn.training.errors import Diverged, TrainingError
from bow2cnn.training.gradient import Gradient
from bow2cnn.training.interpolation import error_of, mean_of, one_standard_error_choice
from bow2cnn.training.moving_average import average_weights, copy_weights, interpolate, pooling_exponent
from bow2cnn.training.optimiser import make_optimiser, set_rate
from bow2cnn.training.sampler import EpochSampler

_LOG = logging.getLogger("bow2cnn")
_SAVE_EVERY = 60.0  # seconds within an epoch


class Trainer:
    """A training; its state is what `_save` saves.

    Negatives are mined among photos as the training sees them. Validation describes its photos as at test time.

    Args:
        model: the starting network, its frozen weights marked.
        pairs: `Pairs`.
        photos: `PhotoCache`.
        settings: `Settings`.
        seed: of all random choices.
        threads: worker threads.
        checkpoint: `Checkpoint`.

    Attributes:
        chosen: the network to keep: `epoch` (0 for the start), `share` of the way from the start to that epoch's weights, `weights`.
        tried: the networks from the start to the best epoch: `share` [s], `validation_map` [s], its standard `error` [s] over queries, and
            `chosen`, the row of the one kept.
        history: lists per epoch (the untrained network is epoch 0), NaN where the training diverged.
        diverged: the epoch in which it did, 0 if it did not.
        tuples: per epoch what `Plan.mine` returned.
        viewer: a network of the same kind to load weights into.
    """

    def __init__(self, model, pairs, photos, settings, seed, threads, checkpoint):
        self._model, self._pairs, self._settings = model, pairs, settings
        self._threads, self._checkpoint = threads, checkpoint
        self._start = copy_weights(model)
        self._mean = copy_weights(model) if settings.ema_decay else None
        self._optimiser = make_optimiser(model, settings)
        self.viewer = copy.deepcopy(model)
        self._epoch, self._step, self._loss = 0, 0, 0.0
        self._best, self.tuples, self.diverged = None, [], 0
        self.history = {"loss": [], "validation_map": [], "pooling_p": []}
        # How photos are described: the photos, and the scales.
        self._for_mining = photos, (1.0,)
        try:
            self._first = self._describe(self._start, pairs.rule.rows(), self._for_mining, progress_label="start")
            self.plan = EpochSampler(pairs, settings, seed, self._first)
            rows = self.plan.validation_rows()
            self._for_validation = photos.at_size(settings.test.image_size, rows), tuple(settings.test.scales)
            self._first_validated = self._first
            if self._for_validation != self._for_mining:
                self._first_validated = self._describe(self._start, rows, self._for_validation, progress_label="start, as at test time")
        except Diverged as error:
            raise TrainingError(f"the network to start from overflows or is damaged: {error}; take other weights") from error
        self._batches = TupleLoader(photos, settings, seed, torch.from_numpy(self._first) if settings.feature_distillation else None)

    def run(self):
        """All epochs. A training that diverges is given up, and the network that it started from is kept."""
        try:
            self._train()
            self._choose()
        except Diverged as error:
            _LOG.warning(
                "training: diverged in epoch %d (%s): the network it started from is kept; try a smaller learning_rate", self._epoch, error
            )
            self.diverged, self._best = self._epoch, None
            for name, values in self.history.items():
                values += [math.nan] * (self._epoch + (name != "loss") - len(values))
            self._choose()

    def _train(self):
        if self._load():
            self._train_epoch()
        self._validate_and_mine()
        while self._epoch < self._settings.epochs:
            self._epoch, self._step, self._loss = self._epoch + 1, 0, 0.0
            self._save()
            self._train_epoch()
            self._validate_and_mine()

    def _train_epoch(self):
        """The rest of an epoch's steps."""
        set_rate(self._optimiser, self._settings, self._epoch)
        batch, saved = self._settings.batch, time.monotonic()
        steps = -(-self.plan.tuples // batch)
        with Workers(self._threads) as workers:
            gradient = Gradient(self._model, workers, self._settings.image_size)
            for step in progress(range(self._step, steps), f"epoch {self._epoch}"):
                numbers = range(step * batch, min((step + 1) * batch, self.plan.tuples))
                loss = gradient.accumulate(*self._batches.make(self.tuples[-1], numbers, self._epoch))
                if not math.isfinite(loss):
                    raise Diverged(f"the loss of step {step + 1} is no number")
                self._loss += loss
                self._optimiser.step()
                if self._mean is not None:
                    average_weights(self._mean, self._model, self._settings.ema_decay)
                self._step = step + 1
                if time.monotonic() - saved >= _SAVE_EVERY or self._step == steps:
                    self._save()
                    saved = time.monotonic()
        self.history["loss"].append(self._loss / self.plan.tuples)

    def _validate_and_mine(self):
        """Between two epochs: describe the photos, validate, mine the next epoch's negatives."""
        last = self._epoch == self._settings.epochs
        learned = copy_weights(self._model) if self._mean is None else self._mean
        descriptors, validated = self._first, self._first_validated
        if self._epoch:
            mined = np.zeros(0, np.int64) if last else self.plan.needed(self._epoch + 1)
            if last and not len(self.plan.validation_rows()):  # without validation something else has to tell a network that diverged
                mined = np.unique(self.tuples[-1]["query"])
            descriptors, validated = self._describe_both(learned, mined)
        score = mean_of(self._validate(validated))
        # Without any validation the last epoch is the best.
        if self._epoch and (self._best is None or not score <= self._best["score"]):
            kept = {name: value.detach().clone() for name, value in learned.items()}
            self._best = {"score": score, "epoch": self._epoch, "weights": kept}
        self.history["validation_map"].append(score)
        self.history["pooling_p"].append(pooling_exponent(learned))
        _LOG.info("training: epoch %d, %s", self._epoch, _told(score))
        if not last:
            self.tuples.append(self.plan.mine(self._epoch + 1, descriptors))

    def _choose(self):
        """The network to keep of those on the way from the start to the best epoch."""
        rows, networks, scores = self.plan.validation_rows(), [(0, 0.0, self._start)], [self._validate(self._first_validated)]
        for share in sorted(self._settings.interpolation) if self._best else []:
            weights = interpolate(self._start, self._best["weights"], share)
            networks.append((self._best["epoch"], share, weights))
            described = self._describe(weights, rows, self._for_validation, progress_label=f"share {share:g}")
            scores.append(self._validate(described))
            _LOG.info("training: %g of the way to epoch %d, %s", share, self._best["epoch"], _told(mean_of(scores[-1])))
        chosen = one_standard_error_choice(scores)
        self.chosen = dict(zip(("epoch", "share", "weights"), networks[chosen], strict=True))
        shares = np.array([share for _, share, _ in networks])
        means, errors = (np.array([of(values) for values in scores]) for of in (mean_of, error_of))
        self.tried = {"share": shares, "validation_map": means, "error": errors, "chosen": np.int32(chosen)}

    def _validate(self, descriptors):
        """AP of the validation queries, float [q]."""
        return validation_scores(self.plan.validation, descriptors)

    def _describe_both(self, weights, mined):
        """Descriptors float32 [n, D] for mining, of some rows, and those for validation, of its rows; one array where the two agree."""
        rows, label = self.plan.validation_rows(), f"look {self._epoch}"
        if self._for_validation == self._for_mining:
            both = self._describe(weights, np.union1d(rows, mined), self._for_mining, progress_label=label)
            return both, both
        return (
            self._describe(weights, mined, self._for_mining, progress_label=label),
            self._describe(weights, rows, self._for_validation, progress_label=f"{label}, as at test time"),
        )

    def _describe(self, weights, rows, way, progress_label):
        """Descriptors float32 [n, D] by collection row of some rows, zero elsewhere; `Diverged` where they say nothing.

        Args:
            weights: of the network.
            rows: int [r].
            way: photos, and the scales at which they are described.
            progress_label: of the progress bar.
        """
        photos, scales = way
        descriptors = np.zeros((len(self._pairs.rule), self.viewer.dimension), np.float32)
        if len(rows):
            self.viewer.load_state_dict(weights)
            loads = [photos.load(row) for row in rows]
            found, lost = describe_photos(self.viewer, loads, scales, self._threads, progress_label)
            fault = find_fault(found, lost)
            if fault:
                raise Diverged(fault)
            descriptors[rows] = found
        return descriptors

    def _save(self):
        tuples = [{name: torch.from_numpy(value) for name, value in epoch.items()} for epoch in self.tuples]
        state = {"position": [self._epoch, self._step, self._loss], "tuples": tuples, "history": self.history, "best": self._best}
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
        self._mean, self._best, self.history = saved["mean"], saved["best"], saved["history"]
        self.tuples = [{name: value.numpy() for name, value in epoch.items()} for epoch in saved["tuples"]]
        _LOG.info("training: going on in epoch %d after %d steps", self._epoch, self._step)
        return True


def _told(score):
    return f"validation mAP {score:.2f}" if math.isfinite(score) else "no validation queries"
