"""The text files of the evaluation, read and checked, because anyone may edit them, cut them off or take them from another run."""

import csv
import io
import json
from pathlib import Path
from typing import Any

COLUMNS = ("system", "benchmark", "protocol", "postprocessing", "metric", "value", "low", "high", "details")
_NUMBERS = ("value", "low", "high")
_BOUNDS = ("low", "high", "width")  # of an interval; null where there is none
_GAIN = {"benchmark", "protocol", "postprocessing", "before", "after", "gain", *_BOUNDS, "clear", "queries", "places", "chosen_on"}


class ResultsError(ValueError):
    """A file is not as the evaluation wrote it; the message names the file and says why in one line."""


def read_gains(path: str | Path) -> dict[str, dict[str, Any]]:
    """Gains of every experiment, as `evaluation.gains` describes them; NaN stands for a number that an interval does not have.

    Raises:
        ResultsError: the file is damaged.
    """
    try:
        gains = json.loads(Path(path).read_text(encoding="utf-8"))
        whole = all(
            found["against"] and "diverged" in found and all(row.keys() >= _GAIN for row in found["rows"]) for found in gains.values()
        )
    except (ValueError, KeyError, TypeError, AttributeError):  # JSON of any other shape
        whole = False
    if not whole:
        raise _damaged(path, "not the gains of a run's experiments")
    nan = float("nan")
    return {
        name: {**found, "rows": [row | {key: nan for key in _BOUNDS if row[key] is None} for row in found["rows"]]}
        for name, found in gains.items()
    }


def read_table(path: str | Path, gains: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of the table as dicts; numbers are floats, NaN where there is none.

    Args:
        path: the CSV.
        gains: of the same run, as `read_gains` returned them. A table without the rows that they were computed from is cut off.

    Raises:
        ResultsError: the file is damaged, or of another run.
    """
    try:
        text = Path(path).read_bytes().decode()
        header, *lines = csv.reader(io.StringIO(text, newline=""), strict=True)
        rows: list[dict[str, Any]] = [dict(zip(COLUMNS, line, strict=True)) for line in lines]
        rows = [{**row, **{name: float(row[name] or "nan") for name in _NUMBERS}} for row in rows]
    except (ValueError, csv.Error) as error:
        raise _damaged(path, "not a table") from error
    if tuple(header) != COLUMNS or not text.endswith("\n"):
        raise _damaged(path, "not a table")
    if not _complete(rows, gains):
        raise _damaged(path, "rows are missing that the gains were computed from")
    return rows


def _complete(rows, gains):
    """Whether a table has the rows that gains were computed from.

    An experiment has the rows of the network off the shelf that it is compared with, after as many steps as it takes itself; and that
    network has none that no experiment has. How two systems are whitened may differ.
    """
    measured, together = {}, {}
    for row in rows:
        measured.setdefault(row["system"], set()).add((*_place(row), row["metric"]))
    for name, found in gains.items():
        own, shelf = measured.get(name, set()), measured.get(found["against"], set())
        counts = {steps for _, _, steps, _ in own}
        compared = {(*_place(row), "mAP") for row in found["rows"]}
        if not compared <= own or own != {place for place in shelf if place[2] in counts}:
            return False
        together.setdefault(found["against"], set()).update(own)
    return all(measured.get(name, set()) == own for name, own in together.items())


def _place(row):
    """Benchmark, protocol and number of steps of a row."""
    steps = row["postprocessing"]
    return row["benchmark"], row["protocol"], steps.count("+") + bool(steps)


def _damaged(path, why):
    return ResultsError(f"{path}: damaged ({why}); delete the file and run the stage again")
