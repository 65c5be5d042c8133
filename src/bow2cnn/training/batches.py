"""The photos of a step's tuples, and the loss over them."""

import logging
from functools import partial

import numpy as np
import torch

from bow2cnn.photos.decode import PhotoError
from bow2cnn.training.augment import another_view, augment
from bow2cnn.training.loss import tuple_loss

_AUGMENT, _COPY = 55, 58
_LOG = logging.getLogger("bow2cnn")


class TupleLoader:
    """Turns mined tuples into what `Gradient` eats.

    Args:
        photos: `PhotoCache`.
        settings: `Settings`.
        seed: of the run.
        start: float32 tensor [n, D], descriptors by the starting network, if the settings pull towards them; else None.
    """

    def __init__(self, photos, settings, seed, start):
        self._photos, self._settings, self._seed, self._start = photos, settings, seed, start

    def make(self, tuples, numbers, epoch):
        """Photos of some tuples, and their loss, as `Gradient.add` wants them.

        Args:
            tuples: what `Plan.mine` returned.
            numbers: which of them.
            epoch: seeds the augmentation.
        """
        rows = [_rows(tuples, number) for number in numbers]
        photos = [self._load(members, number, epoch) for members, number in zip(rows, numbers, strict=True)]
        for members, number, (query, positive, *_) in zip(photos, numbers, rows, strict=True):
            if query == positive:
                members[1] = ("copy", number), partial(self._copy, query, number, epoch)
        return photos, lambda descriptors, placed: self._loss(descriptors, placed, rows)

    def _load(self, rows, number, epoch):
        """(key, function that loads) of each photo of a tuple."""
        settings = self._settings
        if settings.augmentation == "none" and not settings.flip:
            return [(row, partial(self._photo, row)) for row in rows]
        mirror = self._mirrored(number, epoch)

        def load(row, place):
            generator = np.random.default_rng([self._seed, _AUGMENT, epoch, number, place])
            return augment(self._photo(row), settings.augmentation, mirror, generator)

        return [((number, place), lambda row=row, place=place: load(row, place)) for place, row in enumerate(rows)]

    def _mirrored(self, number, epoch):
        """Whether a tuple is mirrored: all of its photos, because a mirrored place is another place."""
        return self._settings.flip and np.random.default_rng([self._seed, _AUGMENT, epoch, number]).random() < 0.5

    def _copy(self, row, number, epoch):
        photo = augment(self._photo(row), "none", self._mirrored(number, epoch), None)
        return another_view(photo, np.random.default_rng([self._seed, _COPY, epoch, number]))

    def _photo(self, row):
        """The pixels; grey for a photo outside the cache that broke or vanished since the training began, which is no reason to end it."""
        try:
            return self._photos[row]
        except PhotoError as error:
            _LOG.warning("training: photo %d of the collection is gone (%s)", row, error)
            return self._photos.blank()

    def _loss(self, descriptors, placed, rows):
        settings = self._settings
        places = torch.full((len(placed), 2 + settings.negatives), -1, dtype=torch.int64)
        for line, (_, members) in enumerate(placed):
            places[line, : len(members)] = torch.tensor(members)
        value = tuple_loss(descriptors, places.to(descriptors.device), settings.loss, settings.margin)
        if self._start is None:
            return value
        # A photo counts in every tuple that has it: once for all of a chunk would depend on how many tuples fit into memory together.
        members = [place for _, places in placed for place in places]
        before = self._start[[row for number, _ in placed for row in rows[number]]].to(descriptors.device)
        return value + settings.feature_distillation * ((descriptors[members] - before) ** 2).sum()


def _rows(tuples, number):
    """Collection rows of a tuple: query, positive, the negatives there are."""
    negatives = [int(row) for row in tuples["photo"][number] if row >= 0]
    return [int(tuples["query"][number]), int(tuples["positive"][number]), *negatives]
