"""The error of this room."""


class TrainingError(ValueError):
    """Settings or pairs that cannot be trained with; the message says in one line which and why."""
