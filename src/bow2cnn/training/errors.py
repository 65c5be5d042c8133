"""The errors of this room."""


class TrainingError(ValueError):
    """Settings or pairs that cannot be trained with; the message says in one line which and why."""


class Diverged(Exception):
    """The weights of a training no longer say anything; the message says how that shows. `Run` takes care of it."""
