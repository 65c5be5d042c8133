"""The error of a stage that found nothing."""


class EmptyStageError(Exception):
    """A stage found nothing that the next one could go on with; the message says in one line what was found and what to do."""
