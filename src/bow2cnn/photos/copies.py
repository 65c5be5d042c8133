"""Files with the same bytes as a photo of the collection: copies of it under another name."""

from typing import Any, Protocol

_SAME = "same bytes as "


class Columns(Protocol):
    """Arrays and lists by name: a dict, or an artefact that reads them when they are asked for."""

    def __getitem__(self, name: str, /) -> Any: ...


def copy_of(path: str) -> str:
    """The reason for which a copy of the photo at a path is rejected."""
    return f"{_SAME}{path}"


def is_copy(reason: str) -> bool:
    """Whether a file was rejected for this reason because it is a copy."""
    return reason.startswith(_SAME)


def copies_of(photos: Columns) -> list[tuple[str, int]]:
    """List the copies in a collection.

    Args:
        photos: the lists of str `path`, `rejected/path` and `rejected/reason` of the `collection` artefact.

    Returns:
        (path, row of the photo) of every copy.
    """
    row_of = {copy_of(path): row for row, path in enumerate(photos["path"])}
    rejected = zip(photos["rejected/path"], photos["rejected/reason"], strict=True)
    return [(path, row_of[reason]) for path, reason in rejected if reason in row_of]
