"""The errors of this room."""


class TrainingError(ValueError):
    """Settings or pairs with which no training is possible; the message says in one line which and why."""


class Diverged(Exception):
    """The weights became useless during the training; the message says how this shows. `Trainer` handles it."""
