"""The error that the evaluation raises."""


class EvidenceError(ValueError):
    """Nothing can be ranked by some descriptors; the message says in one line why."""
