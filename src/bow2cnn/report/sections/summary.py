"""What was gained, on what and with which interval; and the run in a row of numbers."""

import math

import numpy as np

from bow2cnn.evaluation.bootstrap import LEAST_PLACES, LEAST_QUERIES
from bow2cnn.evaluation.gains import main_rows
from bow2cnn.report import charts
from bow2cnn.split.sides import TRAIN, VALIDATION

_POSTS = {"": "", "lw": ", whitened", "pca": ", whitened by PCA"}
_STYLES = {"gain": "better", "loss": "worse"}


def summary(run):
    """The experiments with their gains, and the key figures."""
    experiments = [_experiment(run, name, run.gains.get(name, {})) for name in run.histories]
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
        return "What these photos hold"
    first = experiments[0]
    if not first["learned"]:
        return f"{first['name']} {'diverged' if first['diverged'] else 'learned nothing'}"
    gains = [
        f"{row['text']} mAP on {row['benchmark']}{' (which chose it)' if row['chosen_on'] else ''}" for row in main_rows(first["rows"])
    ]
    return f"{first['name']}: {', '.join(gains) or 'trained, and nothing to measure it on'}"


def _experiment(run, name, gains):
    history, rows = run.history[name], gains.get("rows", [])
    plain = sorted((row for row in rows if not row["post"]), key=lambda row: not row["chosen_on"])
    whitened = sorted((row for row in rows if row["post"]), key=lambda row: not row["chosen_on"])
    bars = [(_where(row), row["gain"], row["low"], row["high"], _STYLES.get(row.get("clear"), "even")) for row in plain + whitened]
    return {
        "name": name,
        "against": gains.get("against", run.pairings.get(name, "the untrained network")),
        "chosen": history["chosen"],
        "percent": round(100 * history["tried/share"][history["tried/chosen"]]),
        "epochs": len(history["loss"]),
        "learned": history["chosen"] > 0,
        "diverged": int(history["diverged"]),
        "validated": bool(np.isfinite(history["validation_map"]).any()),
        "gained": [_row(row) for row in plain + whitened if row.get("clear") == "gain"],
        "lost": [_row(row) for row in plain + whitened if row.get("clear") == "loss"],
        "rows": [_row(row) for row in plain + whitened],
        "judged": any(not row["chosen_on"] and math.isfinite(row["low"]) for row in rows),
        "chart": charts.forest(bars) if bars else None,
    }


def _row(row):
    return {**row, "where": _where(row), "text": charts.signed(row["gain"]), "interval": interval(row)}


def interval(row):
    """The interval of a difference as text."""
    if not math.isfinite(row["low"]):
        return "too few queries or places"
    return f"{charts.signed(row['low'])} to {charts.signed(row['high'])}"


def _where(row):
    protocol = "" if row["protocol"] == "all" else f", {row['protocol']}"
    return f"{row['benchmark']}{protocol}{_POSTS.get(row['post'], ', ' + row['post'])}"


def _figures(run):
    rejected = len(run.photos["rejected/path"])
    return [
        (len(run.photos["path"]), "photos", f"{rejected:,} files rejected"),
        *(_of_teacher(run) if run.clusters else []),
        *(_of_models(run) if run.models else []),
        *(figure for source in run.positives for figure in _of_pairs(run, source)),
    ]


def _of_pairs(run, source):
    """Queries of both sides; the source is named where there are several."""
    side = run.rules[source].side[run.positives[source].query]
    pool = np.array([len(pool["photo"]) for pool in run.positives[source].pools], int)
    by = f" by {source}" if len(run.positives) > 1 else ""
    names = {TRAIN: "training queries", VALIDATION: "validation queries"}
    return [
        (int(np.count_nonzero(side == of)), f"{name}{by}", f"{int(pool[side == of].sum()):,} candidate pairs") for of, name in names.items()
    ]


def _of_teacher(run):
    return [
        (len(run.graph["pair"]), "verified pairs", _refused(run.graph["refused"])),
        (len(run.clusters["offset"]) - 1, "clusters", f"{len(run.clusters['photo']):,} photos in them"),
    ]


def _of_models(run):
    models = run.models
    outside = f"{count_background(run):,} more serve as negatives" if run.clusters else ""
    return [
        (len(models["cluster"]), "3D models", f"{len(models['point']):,} points"),
        (int(np.count_nonzero(models["model"] >= 0)), "photos registered", outside),
    ]


def count_background(run):
    """Number of background photos (outside every model) that are used as negatives."""
    return int(np.count_nonzero(run.rules["models"].used & (run.models["model"] < 0)))


def _refused(count):
    return f"{count:,} refused" if count is not None else ""
