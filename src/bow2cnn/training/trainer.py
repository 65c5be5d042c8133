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
from bow2cnn.training.moving_average import copy_weights, interpolate, moving_average, pooling_exponent
from bow2cnn.training.optimiser import make_optimiser, make_schedule
from bow2cnn.training.sampler import EpochSampler

_LOG = logging.getLogger("bow2cnn")
_SAVE_EVERY = 60.0  # seconds within an epoch


class Trainer:
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
        chosen: the network to keep: `epoch` (0 for the start), `share` of the way from the start to that epoch's weights, `weights`.
        tried: the networks from the start to the best epoch: `share` [s], `validation_map` [s], its standard `error` [s] over queries, and
            `chosen`, the row of the one kept.
        history: lists per epoch (the untrained network is epoch 0), NaN where the training diverged.
        diverged: the epoch in which it did, 0 if it did not.
        tuples: per epoch what `Plan.mine` returned.
        viewer: a network of the same kind to load weights into.
    """

    def __init__(self, model, pairs, photos, settings, seed, threads, checkpoint):
        self._model, self._pairs, self._photos, self._settings = model, pairs, photos, settings
        self._threads, self._checkpoint = threads, checkpoint
        self._start = copy_weights(model)
        self._average = moving_average(model, settings.ema_decay)
        self._optimiser = make_optimiser(model, settings)
        self._schedule = make_schedule(self._optimiser, settings)
        self.viewer = copy.deepcopy(model)
        self._epoch, self._step, self._loss = 0, 0, 0.0
        self._best, self.tuples, self.diverged = None, [], 0
        self.history = {"loss": [], "validation_map": [], "pooling_p": []}
        try:
            self._first = self._describe(self._start, pairs.rule.rows(), progress_label="start")
        except Diverged as error:
            raise TrainingError(f"the network to start from overflows or is damaged: {error}; take other weights") from error
        self.plan = EpochSampler(pairs, settings, seed, self._first)
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
                self._average.update_parameters(self._model)
                self._step = step + 1
                if self._step == steps:
                    self._schedule.step()
                if time.monotonic() - saved >= _SAVE_EVERY or self._step == steps:
                    self._save()
                    saved = time.monotonic()
        self.history["loss"].append(self._loss / self.plan.tuples)

    def _validate_and_mine(self):
        """Between two epochs: describe the photos, validate, mine the next epoch's negatives."""
        last = self._epoch == self._settings.epochs
        rows = self.plan.validation_rows()
        wanted = rows if last else np.union1d(rows, self.plan.needed(self._epoch + 1))
        if self._epoch and not len(wanted):  # without validation something else has to tell a network that diverged
            wanted = np.unique(self.tuples[-1]["query"])
        learned = copy_weights(self._average.module)
        descriptors = self._describe(learned, wanted, progress_label=f"look {self._epoch}") if self._epoch else self._first
        score = mean_of(self._validate(descriptors))
        # Without any validation the last epoch is the best.
        if self._epoch and (self._best is None or not score <= self._best["score"]):
            self._best = {"score": score, "epoch": self._epoch, "weights": learned}
        self.history["validation_map"].append(score)
        self.history["pooling_p"].append(pooling_exponent(learned))
        _LOG.info("training: epoch %d, %s", self._epoch, _told(score))
        if not last:
            self.tuples.append(self.plan.mine(self._epoch + 1, descriptors))

    def _choose(self):
        """The network to keep of those on the way from the start to the best epoch."""
        rows, networks, scores = self.plan.validation_rows(), [(0, 0.0, self._start)], [self._validate(self._first)]
        for share in sorted(self._settings.interpolation) if self._best else []:
            weights = interpolate(self._start, self._best["weights"], share)
            networks.append((self._best["epoch"], share, weights))
            scores.append(self._validate(self._describe(weights, rows, progress_label=f"share {share:g}")))
            _LOG.info("training: %g of the way to epoch %d, %s", share, self._best["epoch"], _told(mean_of(scores[-1])))
        chosen = one_standard_error_choice(scores)
        self.chosen = dict(zip(("epoch", "share", "weights"), networks[chosen], strict=True))
        shares = np.array([share for _, share, _ in networks])
        means, errors = (np.array([of(values) for values in scores]) for of in (mean_of, error_of))
        self.tried = {"share": shares, "validation_map": means, "error": errors, "chosen": np.int32(chosen)}

    def _validate(self, descriptors):
        """AP of the validation queries, float [q]."""
        return validation_scores(self.plan.validation, descriptors)

    def _describe(self, weights, rows, progress_label):
        """Descriptors float32 [n, D] by collection row of some rows, zero elsewhere; `Diverged` where they say nothing."""
        descriptors = np.zeros((len(self._pairs.rule), self.viewer.dimension), np.float32)
        if len(rows):
            self.viewer.load_state_dict(weights)
            loads = [self._photos.load(row) for row in rows]
            found, lost = describe_photos(self.viewer, loads, (1.0,), self._threads, progress_label)
            fault = find_fault(found, lost)
            if fault:
                raise Diverged(fault)
            descriptors[rows] = found
        return descriptors

    def _parts(self):
        """The objects of torch whose state belongs to the training's, by the name it has in a checkpoint."""
        return {"model": self._model, "average": self._average, "optimiser": self._optimiser, "schedule": self._schedule}

    def _save(self):
        tuples = [{name: torch.from_numpy(value) for name, value in epoch.items()} for epoch in self.tuples]
        state = {"position": [self._epoch, self._step, self._loss], "tuples": tuples, "history": self.history, "best": self._best}
        state |= {name: part.state_dict() for name, part in self._parts().items()}
        self._checkpoint.save(state)

    def _load(self):
        """Take up the checkpoint; whether there was one."""
        saved = self._checkpoint.load()
        if saved is None:
            return False
        self._epoch, self._step, self._loss = saved["position"]
        for name, part in self._parts().items():
            part.load_state_dict(saved[name])
        self._best, self.history = saved["best"], saved["history"]
        self.tuples = [{name: value.numpy() for name, value in epoch.items()} for epoch in saved["tuples"]]
        _LOG.info("training: going on in epoch %d after %d steps", self._epoch, self._step)
        return True


def _told(score):
    return f"validation mAP {score:.2f}" if math.isfinite(score) else "no validation queries"
