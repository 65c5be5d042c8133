"""Draws the tuples of every epoch. Each choice depends on (seed, purpose, epoch) alone, so that a checkpoint need not hold it."""

import numpy as np

from bow2cnn.benchmarks.truth import ALL
from bow2cnn.training.errors import TrainingError
from bow2cnn.training.hard_negatives import HARD, draw_negatives, mine_negatives
from bow2cnn.training.pairs import Pairs
from bow2cnn.training.positives import candidates, check_evidence, draw, needs_similarity
from bow2cnn.training.settings import Settings

_QUERIES, _POSITIVES, _POOL, _DATABASE, _EXEMPLARS, _ORDER, _NEGATIVES = 51, 52, 53, 54, 56, 57, 59
_VALIDATION_PHOTOS = 20000  # maximum number of photos in the database of validation that are right for no query; drawn once


class EpochSampler:
    """Draws the queries and positives of every epoch and mines their negatives.

    Args:
        pairs: the pairs of a source.
        settings: of the experiment.
        seed: of all random choices.
        start: float32 [n, D], descriptors of every usable photo by the starting network.

    Attributes:
        tuples: number of tuples per epoch.
        rule: which photos may be negatives of which query.
        validation: the truth of validation, its database limited to a size that can be described in every epoch.

    Raises:
        TrainingError: the pairs lack evidence that the settings need, or no query has a positive.
    """

    def __init__(self, pairs: Pairs, settings: Settings, seed: int, start: np.ndarray) -> None:
        self._pairs, self._settings, self._seed = pairs, settings, seed
        check_evidence(pairs.pools[0], settings, pairs.source)
        options = [
            candidates(pool, settings, _similarity(start, query, pool, settings))
            for query, pool in zip(pairs.query, pairs.pools, strict=True)
        ]
        usable = [number for number, photos in enumerate(options) if len(photos)]
        if not usable:
            raise TrainingError(f"settings: no training query has a positive by the rule {settings.positives}; try another rule")
        self._queries = pairs.query[usable]
        self._options = [options[number] for number in usable]
        self.validation = self._validation()
        self._background = pairs.negative[pairs.rule.background[pairs.negative]]
        self._matched = min(settings.queries_per_epoch, len(usable))
        self._exemplars = min(settings.exemplars, len(self._background))
        self.tuples = self._matched + self._exemplars
        self.rule = pairs.rule.wary(start)

    def queries(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows of an epoch's queries, int64 [t], in the order of training, and of their positives, int64 [t].

        An exemplar, whose positive is an augmented copy of the query, has the query itself as its positive here.
        """
        drawn = self._generator(_QUERIES, epoch).permutation(len(self._queries))[: self._matched]
        positives = draw(self._options, self._generator(_POSITIVES, epoch if self._settings.resample_positives else 0))
        exemplars = self._generator(_EXEMPLARS, epoch).permutation(self._background)[: self._exemplars]
        order = self._generator(_ORDER, epoch).permutation(self.tuples)
        return np.concatenate([self._queries[drawn], exemplars])[order], np.concatenate([positives[drawn], exemplars])[order]

    def pool(self, epoch: int) -> np.ndarray:
        """Rows of the photos among which negatives are mined in an epoch, int64, sorted."""
        photos = self._pairs.negative
        if len(photos) <= self._settings.negative_pool_size:
            return photos
        return np.sort(self._generator(_POOL, epoch).choice(photos, self._settings.negative_pool_size, replace=False))

    def validation_rows(self) -> np.ndarray:
        """Rows of the photos whose descriptors validation needs, int64, sorted; none without queries."""
        if not len(self.validation.query):
            return np.zeros(0, np.int64)
        return np.union1d(self.validation.query, self.validation.database)

    def _validation(self):
        """The truth of validation; if its database is large, a random part of the photos that are right for no query."""
        full = self._pairs.validation
        kept = np.unique(np.concatenate([full.query, *(positives for positives, _ in full.protocols[ALL])]).astype(np.int64))
        others = np.setdiff1d(full.database, kept)
        if len(others) > _VALIDATION_PHOTOS:
            others = self._generator(_DATABASE, 0).choice(others, _VALIDATION_PHOTOS, replace=False)
        return full._replace(database=np.union1d(kept, others))

    def needed(self, epoch: int) -> np.ndarray:
        """Rows of the photos whose descriptors mining for an epoch needs, int64, sorted."""
        if self._settings.negative_mining not in HARD:
            return np.zeros(0, np.int64)
        return np.union1d(self.queries(epoch)[0], self.pool(epoch))

    def mine(self, epoch: int, descriptors: np.ndarray) -> dict[str, np.ndarray]:
        """Mine the negatives of an epoch.

        Args:
            epoch: number of the epoch, from 1.
            descriptors: float32 [n, D], by collection row; only those of `needed` are used.

        Returns:
            the tuples: rows of `query`, int64 [t], `positive`, int64 [t], and the negatives in `photo`, int64 [t, k], with their
            `similarity` to the query, float32 [t, k]; -1 and NaN if a query has fewer negatives. The similarity is NaN too if the
            negatives are drawn.
        """
        query, positive = self.queries(epoch)
        pool, count, mining = self.pool(epoch), self._settings.negatives, self._settings.negative_mining
        if mining in HARD:
            photo, similarity = mine_negatives(descriptors, query, pool, self.rule, count, mining)
        else:
            generator = self._generator(_NEGATIVES, epoch) if mining == "random" else None
            photo = draw_negatives(query, pool, self.rule, count, generator)
            similarity = np.full(photo.shape, np.nan, np.float32)
        return {"query": query, "positive": positive, "photo": photo, "similarity": similarity}

    def _generator(self, purpose, epoch):
        return np.random.default_rng([self._seed, purpose, epoch])


def _similarity(start, query, pool, settings):
    return start[pool["photo"]] @ start[query] if needs_similarity(settings) else None
