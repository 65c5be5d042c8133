"""The photos of a step's tuples, and the loss over them."""

import logging
from collections.abc import Sequence
from functools import partial

import numpy as np
import torch

from bow2cnn.pairs.exclusions import NegativeRule
from bow2cnn.photos.decode import PhotoError
from bow2cnn.training.augment import another_view, augment
from bow2cnn.training.cache import PhotoCache
from bow2cnn.training.gradient import Loss, Photo
from bow2cnn.training.loss import OVER_THE_BATCH, batch_loss, tuple_loss
from bow2cnn.training.settings import Settings

_AUGMENT, _COPY = 55, 58
_LOG = logging.getLogger("bow2cnn")


class TupleLoader:
    """Loads and augments the photos of mined tuples, and makes the loss over them.

    Args:
        photos: the photos of the collection.
        settings: of the experiment.
        seed: of all random choices.
        start: descriptors of the photos by the starting network, float32 [n, D], for the feature distillation; None without it.
        rule: which photos of other tuples may be negatives of a query, for the losses over the batch.
    """

    def __init__(self, photos: PhotoCache, settings: Settings, seed: int, start: torch.Tensor | None, rule: NegativeRule) -> None:
        self._photos, self._settings, self._seed, self._start, self._rule = photos, settings, seed, start, rule

    def make(self, tuples: dict[str, np.ndarray], numbers: Sequence[int], epoch: int) -> tuple[list[list[Photo]], Loss]:
        """Photos of some tuples, and their loss, for `Gradient.accumulate`.

        Args:
            tuples: all tuples of the epoch, see `EpochSampler.mine`.
            numbers: the numbers of those that are wanted.
            epoch: part of the seed of the augmentation.
        """
        rows = [_rows(tuples, number) for number in numbers]
        photos = [self._load(members, number, epoch) for members, number in zip(rows, numbers, strict=True)]
        for members, number, (query, positive, *_) in zip(photos, numbers, rows, strict=True):
            if query == positive:
                members[1] = ("copy", number), partial(self._copy, query, number, epoch)
        return photos, lambda descriptors, placed: self._loss(descriptors, placed, rows)

    def _load(self, rows, number, epoch):
        """A `Photo` for each row of a tuple."""
        settings = self._settings
        if settings.augmentation == "none" and not settings.flip:
            return [(row, partial(self._photo, row)) for row in rows]
        mirror = self._mirrored(number, epoch)

        def load(row, place):
            generator = np.random.default_rng([self._seed, _AUGMENT, epoch, number, place])
            return augment(self._photo(row), settings.augmentation, mirror, generator)

        return [((number, place), lambda row=row, place=place: load(row, place)) for place, row in enumerate(rows)]

    def _mirrored(self, number, epoch):
        """Whether all photos of a tuple are mirrored."""
        return self._settings.flip and np.random.default_rng([self._seed, _AUGMENT, epoch, number]).random() < 0.5

    def _copy(self, row, number, epoch):
        photo = augment(self._photo(row), "none", self._mirrored(number, epoch), None)
        return another_view(photo, np.random.default_rng([self._seed, _COPY, epoch, number]))

    def _photo(self, row):
        """A photo, or a grey one where a photo outside the cache was damaged or deleted after the training began."""
        try:
            return self._photos[row]
        except PhotoError as error:
            _LOG.warning("training: photo %d of the collection cannot be read any more, a grey photo replaces it: %s", row, error)
            return self._photos.blank()

    def _loss(self, descriptors, placed, rows):
        if self._settings.loss in OVER_THE_BATCH:
            value = self._batch_loss(descriptors, placed, rows)
        else:
            value = self._tuple_loss(descriptors, placed)
        if self._start is None:
            return value
        # A photo counts once per tuple that has it. If it counted once per chunk, the loss would depend on the size of the chunks.
        members = [place for _, places in placed for place in places]
        before = self._start[[row for number, _ in placed for row in rows[number]]].to(descriptors.device)
        return value + self._settings.feature_distillation * ((descriptors[members] - before) ** 2).sum()

    def _tuple_loss(self, descriptors, placed):
        settings = self._settings
        places = torch.full((len(placed), max(len(members) for _, members in placed)), -1, dtype=torch.int64)
        for line, (_, members) in enumerate(placed):
            places[line, : len(members)] = torch.tensor(members)
        return tuple_loss(descriptors, places.to(descriptors.device), settings.loss, settings.margin)

    def _batch_loss(self, descriptors, placed, rows):
        settings = self._settings
        pairs = torch.tensor([members[:2] for _, members in placed])
        negatives = torch.from_numpy(self._negatives(len(descriptors), placed, rows))
        return batch_loss(descriptors, pairs.to(descriptors.device), negatives.to(descriptors.device), settings.loss, settings.temperature)

    def _negatives(self, count, placed, rows):
        """Which photos of the batch are negatives of the query of each tuple, bool [t, count].

        A photo of the collection counts once per query, though the batch may have several copies of it, each augmented in another way: the
        one in the tuple of the query if there is one, else the first.
        """
        row_of = np.zeros(count, np.int64)
        for number, members in placed:
            row_of[members] = rows[number]
        negatives = np.zeros((len(placed), count), bool)
        for line, (_, members) in enumerate(placed):
            own_first = np.concatenate([members, np.setdiff1d(np.arange(count), members)])
            photos, first = np.unique(row_of[own_first], return_index=True)
            negatives[line, own_first[first]] = self._rule.allowed(row_of[members[0]], photos)
        return negatives


def _rows(tuples, number):
    """Collection rows of the photos of a tuple: query, positive, negatives."""
    negatives = [int(row) for row in tuples["photo"][number] if row >= 0]
    return [int(tuples["query"][number]), int(tuples["positive"][number]), *negatives]
