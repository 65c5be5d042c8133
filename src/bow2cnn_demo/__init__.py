"""A demo collection of rendered photos of little landmarks, with held-out ones for a benchmark."""

from .collection import make_collection

__all__ = ["make_collection"]
