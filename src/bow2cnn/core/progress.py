"""Progress bars on stderr: live on a terminal, a line every ten seconds in a log file."""

import sys

from tqdm import tqdm


def progress(iterable, label, total=None):
    """The iterable with a bar named `label`.

    A function that passes a label on calls it `progress_label`: no result depends on that, says `bow2cnn.core.code_digest`.
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
