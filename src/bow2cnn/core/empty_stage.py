"""The error of a stage with an empty result."""


class EmptyStageError(Exception):
    """A stage found nothing that the next stage could use; the message says in one line why, and how to change that."""
