"""The settings of a training: the keys of an experiment, which `bow2cnn.config.experiment` explains."""

from typing import Self

from pydantic import ValidationError

from bow2cnn.config.experiment import Experiment
from bow2cnn.config.messages import explain
from bow2cnn.training.errors import TrainingError


class Settings(Experiment):
    """Settings of one experiment."""

    @classmethod
    def of(cls, values: dict) -> Self:
        """Settings from a dict of some keys, checked, with the sizes that 0 stands for.

        Raises:
            TrainingError: an unknown key or a wrong value.
        """
        try:
            return cls.model_validate(values).with_sizes()
        except ValidationError as error:
            raise TrainingError(f"settings: {explain(error, cls)}") from None
