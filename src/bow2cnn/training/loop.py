"""The loop of one training: validate, mine, learn, epoch by epoch; resumed from a checkpoint if there is one.

The last checkpoint is saved after the last step, before the last epoch is validated. A training with more epochs resumes there: it
validates this epoch and mines for the next one, as a training of this number of epochs from the start does.
"""

import copy
import logging
import math
from typing import Any

import numpy as np
import torch

from bow2cnn.core.progress import progress
from bow2cnn.descriptors.describe import describe_photos
from bow2cnn.descriptors.fault import find_fault
from bow2cnn.evaluation.validation import validation_scores
from bow2cnn.network.model import RetrievalNetwork
from bow2cnn.network.workers import Workers
from bow2cnn.training.batches import TupleLoader
from bow2cnn.training.cache import PhotoCache
from bow2cnn.training.checkpoint import Checkpoint
from bow2cnn.training.collapse import find_collapse
from bow2cnn.training.errors import Diverged, TrainingError
from bow2cnn.training.gradient import Gradient
from bow2cnn.training.interpolation import error_of, mean_of, one_standard_error_choice
from bow2cnn.training.loss import OVER_THE_BATCH
from bow2cnn.training.moving_average import copy_weights, interpolate, moving_average, pooling_exponent
from bow2cnn.training.optimiser import make_optimiser, make_schedule
from bow2cnn.training.pairs import Pairs
from bow2cnn.training.settings import Settings
from bow2cnn.training.tuple_sampler import EpochSampler

_LOG = logging.getLogger("bow2cnn")


class Trainer:
    """One training. `_save` and `_load` define its state.

    Negatives are mined among photos as the training sees them. Validation describes its photos as at test time.

    Args:
        model: the starting network; the weights that do not require a gradient are frozen.
        pairs: the pairs of a source.
        photos: the photos of the collection.
        settings: of the experiment.
        seed: of all random choices.
        threads: number of worker threads.
        checkpoint: where the state is saved.

    Attributes:
        chosen: the network to keep: `epoch` (0 for the start), `alpha` (the step from the starting weights to those of the epoch: 0 is the
            start, 1 the epoch, see `interpolate`) and `weights`.
        tried: the networks among which `chosen` was chosen, in the columns of the history artefact: `share` [s] (their alpha),
            `validation_map` [s], its standard `error` [s] over queries, and `chosen`, the row of the chosen one.
        history: lists with a value per epoch (epoch 0 is the starting network): `loss`, from epoch 1, `validation_map` and `pooling_p`; NaN
            in the epoch in which the training diverged.
        diverged: the epoch in which the training diverged, 0 if it did not.
        plan: draws and mines the tuples.
        tuples: for each epoch its tuples, see `EpochSampler.mine`.
        eval_model: a network of the same kind, into which the weights that are validated or written are loaded.

    Raises:
        TrainingError: the starting network overflows or is damaged, or the pairs do not suit the settings.
    """

    def __init__(
        self,
        model: RetrievalNetwork,
        pairs: Pairs,
        photos: PhotoCache,
        settings: Settings,
        seed: int,
        threads: int,
        checkpoint: Checkpoint,
    ) -> None:
        self._model, self._pairs, self._settings = model, pairs, settings
        self._threads, self._checkpoint = threads, checkpoint
        self._start = copy_weights(model)
        self._average = moving_average(model, settings.ema_decay)
        self._optimiser = make_optimiser(model, settings)
        self._schedule = make_schedule(self._optimiser, settings)
        self.eval_model = copy.deepcopy(model)
        self._epoch, self._step, self._loss = 0, 0, 0.0
        self._best: dict[str, Any] | None = None
        self.tuples: list[dict[str, np.ndarray]] = []
        self.diverged = 0
        self.history: dict[str, list[float]] = {"loss": [], "validation_map": [], "pooling_p": []}
        # How photos are described: the photos, and the scales.
        self._for_mining = photos, (1.0,)
        try:
            self._initial_descriptors = self._describe(self._start, pairs.rule.rows(), self._for_mining, "descriptors, start")
            self.plan = EpochSampler(pairs, settings, seed, self._initial_descriptors)
            rows = self.plan.validation_rows()
            self._for_validation = photos.at_size(settings.test.image_size, rows), tuple(settings.test.scales)
            self._initial_validated = self._initial_descriptors
            if self._for_validation != self._for_mining:
                self._initial_validated = self._describe(self._start, rows, self._for_validation, "descriptors for validation, start")
        except Diverged as error:
            raise TrainingError(f"the network to start from overflows or is damaged: {error}; take other weights") from error
        start = torch.from_numpy(self._initial_descriptors) if settings.feature_distillation else None
        self._batches = TupleLoader(photos, settings, seed, start, self.plan.rule)

    def run(self) -> None:
        """Train all epochs and choose the network to keep. If the training diverges, it ends, and the starting network is kept."""
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
        """Train the steps of the epoch that are not done yet."""
        batch = self._settings.batch
        steps = -(-self.plan.tuples // batch)
        with Workers(self._threads) as workers:
            gradient = Gradient(self._model, workers, self._settings.image_size, self._settings.loss in OVER_THE_BATCH)
            for step in progress(range(self._step, steps), f"epoch {self._epoch}"):
                numbers = range(step * batch, min((step + 1) * batch, self.plan.tuples))
                loss = gradient.accumulate(*self._batches.make(self.tuples[-1], numbers, self._epoch))
                if not math.isfinite(loss):
                    raise Diverged(f"the loss of step {step + 1} is not finite")
                self._loss += loss
                self._optimiser.step()
                self._average.update_parameters(self._model)
                self._step = step + 1
                if self._step == steps:
                    self._schedule.step()
                if self._checkpoint.is_due() or self._step == steps:
                    self._save()
        self.history["loss"].append(self._loss / self.plan.tuples)

    def _validate_and_mine(self):
        """Between two epochs: describe the photos, validate, mine the next epoch's negatives."""
        last = self._epoch == self._settings.epochs
        learned = copy_weights(self._average.module)
        descriptors, validated = self._initial_descriptors, self._initial_validated
        if self._epoch:
            mined = np.zeros(0, np.int64) if last else self.plan.needed(self._epoch + 1)
            if last and not len(self.plan.validation_rows()):
                mined = np.unique(self.tuples[-1]["query"])  # without validation, these show whether the training diverged
            descriptors, validated = self._describe_both(learned, mined)
        scores = self._validate(validated)
        score = mean_of(scores)
        # Without any validation the last epoch is the best.
        if self._epoch and (self._best is None or not score <= self._best["score"]):
            self._best = {"score": score, "scores": scores.tolist(), "epoch": self._epoch, "weights": learned}
        self.history["validation_map"].append(score)
        self.history["pooling_p"].append(pooling_exponent(learned))
        _LOG.info("training: epoch %d, %s", self._epoch, _score_text(score))
        if not last:
            self.tuples.append(self.plan.mine(self._epoch + 1, descriptors))

    def _choose(self):
        """Choose the network to keep among those between the start and the best epoch."""
        rows, networks, scores = self.plan.validation_rows(), [(0, 0.0, self._start)], [self._validate(self._initial_validated)]
        for alpha in sorted(self._settings.interpolation) if self._best else []:
            weights = interpolate(self._start, self._best["weights"], alpha)
            networks.append((self._best["epoch"], alpha, weights))
            if alpha == 1.0:
                scores.append(np.array(self._best["scores"]))  # the epoch itself
            else:
                described = self._describe(weights, rows, self._for_validation, f"descriptors, interpolation {alpha:g}")
                scores.append(self._validate(described))
            score = _score_text(mean_of(scores[-1]))
            _LOG.info("training: interpolation %g between the start and epoch %d, %s", alpha, self._best["epoch"], score)
        chosen = one_standard_error_choice(scores)
        self.chosen = dict(zip(("epoch", "alpha", "weights"), networks[chosen], strict=True))
        alphas = np.array([alpha for _, alpha, _ in networks])
        means, errors = (np.array([statistic(values) for values in scores]) for statistic in (mean_of, error_of))
        self.tried = {"share": alphas, "validation_map": means, "error": errors, "chosen": np.int32(chosen)}

    def _validate(self, descriptors):
        """AP of the validation queries, float [q]."""
        return validation_scores(self.plan.validation, descriptors)

    def _describe_both(self, weights, mined):
        """Describe the photos to mine among, and those of validation: two arrays float32 [n, D], or twice one if the ways are the same."""
        rows, label = self.plan.validation_rows(), f"descriptors, epoch {self._epoch}"
        if self._for_validation == self._for_mining:
            both = self._describe_learned(weights, np.union1d(rows, mined), self._for_mining, self._initial_descriptors, label)
            return both, both
        return (
            self._describe_learned(weights, mined, self._for_mining, self._initial_descriptors, label),
            self._describe_learned(weights, rows, self._for_validation, self._initial_validated, f"{label}, validation"),
        )

    def _describe_learned(self, weights, rows, way, start, progress_label):
        """Like `_describe`; raises `Diverged` also if the descriptors have collapsed, compared with those of the start."""
        described = self._describe(weights, rows, way, progress_label)
        fault = find_collapse(described[rows], start[rows])
        if fault:
            raise Diverged(fault)
        return described

    def _describe(self, weights, rows, way, progress_label):
        """Describe some photos: float32 [n, D] by collection row, zero for all others; raises `Diverged` if the descriptors are useless.

        Args:
            weights: of the network.
            rows: int [r].
            way: `PhotoCache`, and the scales at which the photos are described.
            progress_label: of the progress bar.
        """
        photos, scales = way
        descriptors = np.zeros((len(self._pairs.rule), self.eval_model.dimension), np.float32)
        if len(rows):
            self.eval_model.load_state_dict(weights)
            loads = [photos.load(row) for row in rows]
            found, lost = describe_photos(self.eval_model, loads, scales, self._threads, progress_label)
            fault = find_fault(found, lost)
            if fault:
                raise Diverged(fault)
            descriptors[rows] = found
        return descriptors

    def _parts(self):
        """The objects that have a state dict, by its name in the checkpoint."""
        return {"model": self._model, "average": self._average, "optimiser": self._optimiser, "schedule": self._schedule}

    def _save(self):
        tuples = [{name: torch.from_numpy(value) for name, value in epoch.items()} for epoch in self.tuples]
        state = {"position": [self._epoch, self._step, self._loss], "tuples": tuples, "history": self.history, "best": self._best}
        state |= {name: part.state_dict() for name, part in self._parts().items()}
        self._checkpoint.save(state)

    def _load(self):
        """Restore the state of the checkpoint. Returns whether there was one that is not of a later epoch than the last one wanted."""
        saved = self._checkpoint.load()
        if saved is None:
            return False
        if saved["position"][0] > self._settings.epochs:
            _LOG.info("training: starting from the first epoch, because the checkpoint is of epoch %d", saved["position"][0])
            return False
        self._epoch, self._step, self._loss = saved["position"]
        for name, part in self._parts().items():
            part.load_state_dict(saved[name])
        self._best, self.history = saved["best"], saved["history"]
        self.tuples = [{name: value.numpy() for name, value in epoch.items()} for epoch in saved["tuples"]]
        _LOG.info("training: resumed in epoch %d after %d steps", self._epoch, self._step)
        return True


def _score_text(score):
    return f"validation mAP {score:.2f}" if math.isfinite(score) else "no validation queries"
