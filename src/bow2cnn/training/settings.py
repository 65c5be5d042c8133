"""The settings of a training: the keys of an experiment, which `bow2cnn.config.experiment` explains."""

from typing import Self

from pydantic import ValidationError

from bow2cnn.config.experiment import Experiment
from bow2cnn.config.messages import explain
from bow2cnn.network.backbones import find
from bow2cnn.training.errors import TrainingError


class Settings(Experiment):
    """Settings of one experiment."""

    @classmethod
    def of(cls, values: dict) -> Self:
        """Settings from a dict of some keys, checked; an `image_size` of 0 becomes the network's.

        Raises:
            TrainingError: an unknown key or a wrong value.
        """
        try:
            settings = cls.model_validate(values)
        except ValidationError as error:
            raise TrainingError(f"settings: {explain(error, cls)}") from None
        return settings if settings.image_size else settings.model_copy(update={"image_size": find(settings.network).training_size})
