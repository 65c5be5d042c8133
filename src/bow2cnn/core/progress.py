"""Progress bars on stderr: live on a terminal, a line every ten seconds in a log file."""

import sys
from collections.abc import Iterable

from tqdm import tqdm


def progress(iterable: Iterable, label: str, total: int | None = None) -> tqdm:
    """Show a progress bar while the iterable is used.

    Args:
        iterable: the items.
        label: name of the bar. A function that passes a label on calls it `progress_label`, so that `bow2cnn.core.code_digest` ignores it.
        total: number of items, where the iterable has no length.
    """
    live = sys.stderr.isatty()
    return tqdm(
        iterable,
        desc=label,
        total=total,
        mininterval=0.2 if live else 10.0,
        maxinterval=30.0,
        file=sys.stderr,
        dynamic_ncols=live,
    )
