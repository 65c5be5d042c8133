"""The renderer of the demo: a collection of photos of small landmarks, and a benchmark of landmarks that are not in it."""

from .collection import make_collection

__all__ = ["make_collection"]
