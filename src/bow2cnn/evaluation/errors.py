"""The error of this room."""


class EvidenceError(ValueError):
    """Descriptors that nothing can be ranked by; the message says in one line why."""
