"""What the evaluation wrote as text, read again: files that anyone may edit, cut off or take from another run."""

import csv
import io
import json
from pathlib import Path

COLUMNS = ("system", "benchmark", "protocol", "post", "metric", "value", "low", "high")
_NUMBERS = ("value", "low", "high")
_BOUNDS = ("low", "high", "width")  # of an interval; null where there is none
_GAIN = {"benchmark", "protocol", "post", "before", "after", "gain", *_BOUNDS, "clear", "queries", "places", "chosen_on"}


class ResultsError(ValueError):
    """A file that is not as the evaluation wrote it; the message names it and says why in one line."""


def read_gains(path):
    """Gains of every experiment, as `evaluation.gains` describes them; NaN stands for what an interval cannot say.

    Raises:
        ResultsError: the file is damaged.
    """
    try:
        gains = json.loads(Path(path).read_text(encoding="utf-8"))
        whole = all(
            found["against"] and "diverged" in found and all(row.keys() >= _GAIN for row in found["rows"]) for found in gains.values()
        )
    except (ValueError, KeyError, TypeError, AttributeError):  # whatever JSON that is not ours happens to break
        whole = False
    if not whole:
        raise _damaged(path, "not the gains of a run's experiments")
    nan = float("nan")
    return {
        name: {**found, "rows": [row | {key: nan for key in _BOUNDS if row[key] is None} for row in found["rows"]]}
        for name, found in gains.items()
    }


def read_table(path, gains):
    """Rows of the table as dicts; numbers are floats, NaN where there is none.

    Args:
        path: the CSV.
        gains: of the same run. The table has a row for each, and the same rows for both systems that are compared, or it is cut off.

    Raises:
        ResultsError: the file is damaged, or of another run.
    """
    try:
        text = Path(path).read_bytes().decode()
        header, *lines = csv.reader(io.StringIO(text, newline=""), strict=True)
        rows = [dict(zip(COLUMNS, line, strict=True)) for line in lines]
        rows = [{**row, **{name: float(row[name] or "nan") for name in _NUMBERS}} for row in rows]
    except (ValueError, csv.Error) as error:
        raise _damaged(path, "not a table") from error
    if tuple(header) != COLUMNS or not text.endswith("\n"):
        raise _damaged(path, "not a table")
    if not _complete(rows, gains):
        raise _damaged(path, "rows are missing that the gains were computed from")
    return rows


def _complete(rows, gains):
    measured = {}
    for row in rows:
        # How the two systems of a pair are whitened may differ.
        measured.setdefault(row["system"], set()).add((row["benchmark"], row["protocol"], bool(row["post"]), row["metric"]))
    for name, found in gains.items():
        compared = {(row["benchmark"], row["protocol"], bool(row["post"]), "mAP") for row in found["rows"]}
        if not compared <= measured.get(name, set()) or measured.get(name) != measured.get(found["against"]):
            return False
    return True


def _damaged(path, why):
    return ResultsError(f"{path}: damaged ({why}); delete the file and run the stage again")
