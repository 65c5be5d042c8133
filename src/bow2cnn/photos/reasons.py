"""Why files are no photos of the collection: the reasons by kind, and what to do about them."""

import logging
from collections import Counter

from bow2cnn.photos.copies import is_copy

_LOG = logging.getLogger("bow2cnn")
_COPY = "copies of other photos"
# What to do about a kind of reason, where it does not say so itself.
_ADVICE = {
    "too large": "`collection.max_pixels` is the limit",
    "too small": "`collection.min_side` is the limit",
    "too narrow": "cut them into parts",
    "symbolic link": "`follow_links: true` in `collection` follows them",
    "outside the folders of the config": "name their folder in `photos`, or `follow_links: true` in `collection`",
}


def kind_of(reason: str) -> str:
    """What reasons have in common that differ in numbers and details."""
    return _COPY if is_copy(reason) else reason.split(" (")[0]


def with_advice(kind: str) -> str:
    """A kind with what to do about it."""
    return f"{kind} ({_ADVICE[kind]})" if kind in _ADVICE else kind


def list_kinds(reasons) -> str:
    """How many reasons are of which kind, most frequent first, and what to do about them: one line."""
    rows = sorted(Counter(map(kind_of, reasons)).items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{number} {with_advice(kind)}" for kind, number in rows)


def tell_rejected(reasons: list[str], files: int, what: str) -> None:
    """Warn of the files that are left out, if there are any, of so many that are called `what`."""
    if reasons:
        _LOG.warning("collection: %d of %d %s are left out: %s", len(reasons), files, what, list_kinds(reasons))
