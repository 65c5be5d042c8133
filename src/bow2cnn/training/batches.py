"""The photos of a step's tuples, and the loss over them."""

import logging
from collections.abc import Sequence
from functools import partial

import numpy as np
import torch

from bow2cnn.photos.decode import PhotoError
from bow2cnn.training.augment import another_view, augment
from bow2cnn.training.cache import PhotoCache
from bow2cnn.training.gradient import Loss, Photo
from bow2cnn.training.loss import tuple_loss
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
    """

    def __init__(self, photos: PhotoCache, settings: Settings, seed: int, start: torch.Tensor | None) -> None:
        self._photos, self._settings, self._seed, self._start = photos, settings, seed, start

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
        settings = self._settings
        places = torch.full((len(placed), max(len(members) for _, members in placed)), -1, dtype=torch.int64)
        for line, (_, members) in enumerate(placed):
            places[line, : len(members)] = torch.tensor(members)
        value = tuple_loss(descriptors, places.to(descriptors.device), settings.loss, settings.margin)
        if self._start is None:
            return value
        # A photo counts once per tuple that has it. If it counted once per chunk, the loss would depend on the size of the chunks.
        members = [place for _, places in placed for place in places]
        before = self._start[[row for number, _ in placed for row in rows[number]]].to(descriptors.device)
        return value + settings.feature_distillation * ((descriptors[members] - before) ** 2).sum()


def _rows(tuples, number):
    """Collection rows of the photos of a tuple: query, positive, negatives."""
    negatives = [int(row) for row in tuples["photo"][number] if row >= 0]
    return [int(tuples["query"][number]), int(tuples["positive"][number]), *negatives]
