"""The reasons for rejected files: counted by kind, with advice."""

import logging
from collections import Counter
from collections.abc import Iterable

from bow2cnn.photos.copies import is_copy

_LOG = logging.getLogger("bow2cnn")
_COPY = "copies of other photos"
# Advice for kinds of reasons that do not contain any.
_ADVICE = {
    "too large": "`collection.max_pixels` is the limit",
    "too small": "`collection.min_side` is the limit",
    "too narrow": "cut them into parts",
    "symbolic link": "`follow_links: true` in `collection` follows them",
    "outside the folders of the config": "name their folder in `photos`, or `follow_links: true` in `collection`",
}


def kind_of(reason: str) -> str:
    """The kind of a reason: its text without numbers and details."""
    return _COPY if is_copy(reason) else reason.split(" (")[0]


def with_advice(kind: str) -> str:
    """A kind with the advice for it, if there is one."""
    return f"{kind} ({_ADVICE[kind]})" if kind in _ADVICE else kind


def list_kinds(reasons: Iterable[str]) -> str:
    """The number of reasons of every kind, most frequent first, with advice, in one line."""
    rows = sorted(Counter(map(kind_of, reasons)).items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{number} {with_advice(kind)}" for kind, number in rows)


def warn_rejected(reasons: list[str], files: int, noun: str) -> None:
    """Log the number of rejected files and the reasons, if there are any.

    Args:
        reasons: one per rejected file.
        files: number of all files.
        noun: name of the files in the message.
    """
    if reasons:
        _LOG.warning("collection: %d of %d %s are left out: %s", len(reasons), files, noun, list_kinds(reasons))
