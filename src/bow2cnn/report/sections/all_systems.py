"""The table: every system on every benchmark and on validation."""

from bow2cnn.report import charts
from bow2cnn.run.run import Run

_MAIN = "mAP"


def all_systems(run: Run) -> dict:
    """Pivots by metric (mAP first) and a bar chart of mAP for each benchmark and protocol."""
    metrics = list(dict.fromkeys(row["metric"] for row in run.table))
    metrics.sort(key=lambda name: name != _MAIN)
    return {
        "pivots": [_pivot([row for row in run.table if row["metric"] == metric], metric) for metric in metrics],
        "teacher": any(row["system"] == "bow" for row in run.table),
        "charts": _charts(run, [row for row in run.table if row["metric"] == _MAIN]),
    }


def _pivot(rows, metric):
    columns = list(dict.fromkeys((row["benchmark"], row["protocol"]) for row in rows))
    lines = list(dict.fromkeys((row["system"], row["postprocessing"]) for row in rows))
    cell = {(row["system"], row["postprocessing"], row["benchmark"], row["protocol"]): row for row in rows}
    details = {(row["system"], row["postprocessing"]): row["details"] for row in rows}
    best = {column: max(row["value"] for row in rows if (row["benchmark"], row["protocol"]) == column) for column in columns}
    return {
        "metric": metric,
        "columns": [_column(*column) for column in columns],
        "lines": [
            {
                "system": system,
                "postprocessing": postprocessing,
                "details": details[system, postprocessing],
                "first": number == 0 or lines[number - 1][0] != system,
                "cells": [_cell(cell.get((system, postprocessing, *column)), best[column]) for column in columns],
            }
            for number, (system, postprocessing) in enumerate(lines)
        ],
    }


def _cell(row, best):
    return None if row is None else {**row, "best": row["value"] >= best}


def _charts(run, rows):
    found = []
    for benchmark, protocol in dict.fromkeys((row["benchmark"], row["protocol"]) for row in rows):
        here = [row for row in rows if (row["benchmark"], row["protocol"]) == (benchmark, protocol)]
        bars = [(_label(row), row["value"], row["low"], row["high"], _style(run, row["system"])) for row in here]
        found.append({"title": _column(benchmark, protocol), "svg": charts.bars(bars)})
    return found


def _label(row):
    return "+".join(filter(None, (row["system"], row["postprocessing"])))


def _column(benchmark, protocol):
    return benchmark if protocol == "all" else f"{benchmark} ({protocol})"


def _style(run, system):
    return "tuned" if system in run.experiments else "teacher" if system == "bow" else "shelf"
