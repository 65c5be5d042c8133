"""The gains with their intervals, and the main numbers of the run."""

import math
from collections.abc import Mapping

import numpy as np

from bow2cnn.evaluation.bootstrap import LEAST_PLACES, LEAST_QUERIES
from bow2cnn.evaluation.gains import main_rows
from bow2cnn.report import charts
from bow2cnn.run.run import Run
from bow2cnn.split.sides import TRAIN, VALIDATION

# What the steps after the descriptor do, by their labels.
_STEPS = {"w": "whitened", "lw": "whitened from pairs", "pca": "whitened by PCA", "lw-pca": "whitened from both", "qe": "expanded"}
_STYLES = {"gain": "better", "loss": "worse"}


def summary(run: Run, pairings: Mapping[str, str]) -> dict:
    """The experiments with their gains, and the key figures.

    Args:
        run: the run.
        pairings: experiment to the system that it is compared with.
    """
    experiments = [_experiment(run, name, pairings.get(name, "the untrained network")) for name in run.experiments]
    return {
        "headline": _headline(experiments),
        "experiments": experiments,
        "figures": _figures(run),
        "least_queries": LEAST_QUERIES,
        "least_places": LEAST_PLACES,
    }


def _headline(experiments):
    """The first experiment in a line."""
    if not experiments:
        return "What was found in the photos"
    first = experiments[0]
    if not first["learned"]:
        return f"{first['name']} {'diverged' if first['diverged'] else 'learned nothing'}"
    gains = [
        f"{row['text']} mAP on {row['benchmark']}{' (used to choose it)' if row['chosen_on'] else ''}" for row in main_rows(first["rows"])
    ]
    return f"{first['name']}: {', '.join(gains) or 'trained, but not measured'}"


def _experiment(run, name, untrained):
    history, gains = run.history(name), run.gains.get(name, {})
    rows, chosen = gains.get("rows", []), int(history["chosen"])
    plain = sorted((row for row in rows if not row["postprocessing"]), key=lambda row: not row["chosen_on"])
    processed = sorted((row for row in rows if row["postprocessing"]), key=lambda row: not row["chosen_on"])
    bars = [(_where(row), row["gain"], row["low"], row["high"], _STYLES.get(row.get("clear"), "even")) for row in plain + processed]
    return {
        "name": name,
        "against": gains.get("against", untrained),
        "chosen": chosen,
        "percent": round(100 * history["tried/share"][history["tried/chosen"]]),
        "epochs": len(history["loss"]),
        "learned": chosen > 0,
        "diverged": int(history["diverged"]),
        "validated": bool(np.isfinite(history["validation_map"]).any()),
        "gained": [_row(row) for row in plain + processed if row.get("clear") == "gain"],
        "lost": [_row(row) for row in plain + processed if row.get("clear") == "loss"],
        "rows": [_row(row) for row in plain + processed],
        "judged": any(not row["chosen_on"] and math.isfinite(row["low"]) for row in rows),
        "chart": charts.forest(bars) if bars else None,
    }


def _row(row):
    return {**row, "where": _where(row), "text": charts.signed(row["gain"]), "interval": interval(row)}


def interval(row: dict) -> str:
    """The interval of a difference as text."""
    if not math.isfinite(row["low"]):
        return "too few queries or places"
    return f"{charts.signed(row['low'])} to {charts.signed(row['high'])}"


def _where(row):
    protocol = "" if row["protocol"] == "all" else f", {row['protocol']}"
    steps = [_STEPS.get(label, label) for label in row["postprocessing"].split("+") if label]
    return ", ".join([f"{row['benchmark']}{protocol}", *steps])


def _figures(run):
    rejected = len(run.photos["rejected/path"])
    return [
        (len(run.photos["path"]), "photos", f"{rejected:,} files rejected"),
        *(_of_teacher(run) if "clusters" in run else []),
        *(_of_models(run) if "models" in run else []),
        *(figure for source in run.sources for figure in _of_pairs(run, source)),
    ]


def _of_pairs(run, source):
    """Queries of both sides; the source is named where there are several."""
    positives = run.positives(source)
    side = run.negatives(source).side[positives.query]
    pool = np.array([len(pool["photo"]) for pool in positives.pools], int)
    by = f" by {source}" if len(run.sources) > 1 else ""
    names = {TRAIN: "training queries", VALIDATION: "validation queries"}
    return [
        (int(np.count_nonzero(side == of)), f"{name}{by}", f"{int(pool[side == of].sum()):,} candidate pairs") for of, name in names.items()
    ]


def _of_teacher(run):
    refused = count_refused(run)
    return [
        (len(run.graph["pair"]), "verified pairs", "" if refused is None else f"{refused:,} refused"),
        (len(run.clusters["offset"]) - 1, "clusters", f"{len(run.clusters['photo']):,} photos in them"),
    ]


def _of_models(run):
    models = run.models
    outside = f"{count_background(run):,} more are used as negatives" if "clusters" in run else ""
    return [
        (len(models["cluster"]), "3D models", f"{len(models['point']):,} points"),
        (int(np.count_nonzero(models["model"] >= 0)), "photos registered", outside),
    ]


def count_background(run: Run) -> int:
    """Number of background photos (outside every model) that are used as negatives."""
    return int(np.count_nonzero(run.negatives("models").used & (run.models["model"] < 0)))


def count_refused(run: Run) -> int | None:
    """Number of pairs that geometry refused; None if the graph does not say."""
    return run.graph.shape("refused")[0] if "refused" in run.graph else None
