"""Files with the bytes of a photo that the collection has already: they are that photo, under another name."""

_SAME = "same bytes as "


def copy_of(path) -> str:
    """The reason why a file with the bytes of the photo at a path is no photo of its own."""
    return f"{_SAME}{path}"


def is_copy(reason: str) -> bool:
    """Whether a reason says so."""
    return reason.startswith(_SAME)


def copies_of(photos):
    """(path, row of the photo) of every copy in a collection, given `path`, `rejected/path` and `rejected/reason` of it."""
    row_of = {copy_of(path): row for row, path in enumerate(photos["path"])}
    rejected = zip(photos["rejected/path"], photos["rejected/reason"], strict=True)
    return [(path, row_of[reason]) for path, reason in rejected if reason in row_of]
