"""The table of all systems, the gains of the training, and the rankings behind both."""

import csv
import io
import itertools
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bow2cnn.benchmarks.truth import read_truth
from bow2cnn.core import artefact
from bow2cnn.core.atomic_files import write_bytes
from bow2cnn.core.same_photos import check_photos
from bow2cnn.evaluation.bootstrap import interval
from bow2cnn.evaluation.gains import find_gains
from bow2cnn.evaluation.metrics import in_percent, score_ranking
from bow2cnn.evaluation.results import COLUMNS
from bow2cnn.evaluation.systems import bow_rankings, details_of_steps, network_rankings

_TEACHER = "bow"
_SHOWN = 20  # photos of a ranking that are kept for pictures
_COLLECTION = "collection"


def write_table(
    systems: Mapping[str, Mapping[str, Any]],
    benchmarks: Mapping[str, Mapping[str, Any]],
    validations: Mapping[str, str | Path],
    pairings: Mapping[str, str],
    chosen: Mapping[str, str | Path],
    table: str | Path,
    gains: str | Path,
    rankings: Mapping[str, str | Path],
    seed: int,
    bootstrap: int,
    expansion_photos: int,
    expansion_alpha: float,
) -> None:
    """Evaluate all systems on all benchmarks, and each on the validation of the pairs that it belongs to.

    Args:
        systems: by name {"descriptors": {"collection": artefact, BENCHMARK: artefact, ...}, "steps": lists of steps after the descriptor,
            "learned": {step: the artefact that it learned}, "validation": a key of `validations`}.
        benchmarks: by name {"truth", "collection", "ranking"}; `ranking` is the teacher's artefact, or None.
        validations: name to artefact of kind `truth`.
        pairings: experiment to the off-the-shelf system it is compared with.
        chosen: experiment to its `history` artefact, which knows the epoch that validation chose.
        table: the CSV to write: columns `COLUMNS`, one row per system, benchmark, protocol, postprocessing and metric; values are 0 to
            100, `low` and `high` the ends of their 95 % bootstrap interval over places, empty where there are too few places or queries;
            `details` is what validation chose for the postprocessing.
        gains: the JSON to write, see `find_gains`, and the epoch in which a training `diverged` (0: it did not). null stands for a
            number that an interval does not have.
        rankings: by benchmark and validation the artefact of kind `ranking` to write: per system its first photos without any step after
            the descriptor, `SYSTEM/offset`, `SYSTEM/photo`, `SYSTEM/score`, and `SYSTEM/ap/PROTOCOL` [q]; after steps
            `SYSTEM/after/POSTPROCESSING/PROTOCOL` [q].
        seed: of the bootstrap.
        bootstrap: resamplings.
        expansion_photos, expansion_alpha: see `bow2cnn.descriptors.expand_queries`.

    Raises:
        EvidenceError: nothing can be ranked by some descriptors.
        ArtefactError: an artefact is damaged, or two are of different photos.
    """
    _check_photos(systems, benchmarks, validations)
    settings = {"expansion_photos": expansion_photos, "expansion_alpha": expansion_alpha}
    truths = {name: read_truth(files["truth"]) for name, files in benchmarks.items()}
    for name, path in validations.items():
        truths[name] = _validation(path, [files for files in systems.values() if files["validation"] == name])
    scores: dict[tuple[str, str, str, str], dict[str, np.ndarray]] = {}
    for name, truth in truths.items():
        shown = {"query": truth.query.astype(np.int32)}
        teacher = benchmarks.get(name, {}).get("ranking")
        if teacher is not None:
            lists = bow_rankings(truth, teacher, name)
            _score(scores, name, truth, _TEACHER, [(label, ((ranking, ranking) for ranking in found)) for label, found in lists.items()])
        for system, files in systems.items():
            if name not in (*benchmarks, files["validation"]):
                continue
            source = files["descriptors"][name if name in benchmarks else _COLLECTION]
            found = network_rankings(truth, source, name in benchmarks, files["steps"], files["learned"], settings)
            first = _score(scores, name, truth, system, found)
            shown |= _shown(system, first[""])
            for label, protocol in itertools.product(first, truth.protocols):
                kind = f"after/{label}" if label else "ap"
                shown[f"{system}/{kind}/{protocol}"] = scores[system, name, protocol, label]["mAP"]
        if name in rankings:
            artefact.write(rankings[name], "ranking", shown, {"benchmark": name, "shown": _SHOWN})
    places = {name: truth.place for name, truth in truths.items()}
    details = {
        (name, label): text
        for name, files in systems.items()
        for label, text in details_of_steps(files["steps"], files["learned"], settings).items()
    }
    write_bytes(table, _table_text(scores, details, places, seed, bootstrap).encode())
    histories = {name: artefact.read(path, "history", ["chosen", "diverged"]) for name, path in chosen.items()}
    epochs = {name: int(arrays["chosen"]) for name, arrays in histories.items()}
    gained = find_gains(scores, places, pairings, epochs, set(validations), seed, bootstrap)
    for name, experiment in gained.items():
        experiment["diverged"] = int(histories[name]["diverged"])
        experiment["rows"] = [{key: _plain(value) for key, value in row.items()} for row in experiment["rows"]]
    write_bytes(gains, (json.dumps(gained, indent=1, sort_keys=True, allow_nan=False) + "\n").encode())


def _validation(path, systems):
    """A truth of validation, less the photos that one of its systems could not describe."""
    gone = [artefact.read(files["descriptors"][_COLLECTION], "descriptors", ["missing"])["missing"] for files in systems]
    truth = read_truth(path)
    return truth.without(np.any(gone, axis=0)) if gone else truth


def _check_photos(systems, benchmarks, validations):
    """Refuse to compare artefacts of different photos."""
    check_photos(*validations.values(), *(files["descriptors"][_COLLECTION] for files in systems.values()))
    for name, files in benchmarks.items():
        rankings = [files["ranking"]] if files["ranking"] is not None else []
        check_photos(files["collection"], files["truth"], *rankings, *(system["descriptors"][name] for system in systems.values()))


def _score(scores, name, truth, system, rankings):
    """Add scores by (system, benchmark, protocol, postprocessing): dict of metric to float64 [q]. One ranking at a time is in memory.

    Args:
        name: of the benchmark, or of the validation; `truth`: its `Truth`.
        rankings: pairs of a postprocessing and, per query, (rows, similarities).

    Returns:
        by postprocessing, per query the first `_SHOWN` of both.
    """
    first, rows = {}, {}
    for postprocessing, found in rankings:
        first[postprocessing] = []
        for number, (ranking, similarity) in enumerate(found):
            first[postprocessing].append((ranking[:_SHOWN].copy(), similarity[:_SHOWN].copy()))
            for protocol, answers in truth.protocols.items():
                rows.setdefault((protocol, postprocessing), []).append(score_ranking(ranking, *answers[number]))
    for protocol in truth.protocols:
        for postprocessing in first:
            scores[system, name, protocol, postprocessing] = in_percent(rows.get((protocol, postprocessing), []))
    return first


def _shown(system, first):
    photos, similarities = ([part[i] for part in first] for i in (0, 1))
    return {
        f"{system}/offset": artefact.offsets([len(photo) for photo in photos]),
        f"{system}/photo": np.concatenate([np.zeros(0, np.int32), *photos]).astype(np.int32),
        f"{system}/score": np.concatenate([np.zeros(0, np.float32), *similarities]).astype(np.float32),
    }


def _plain(value):
    """A value as JSON has it: null for NaN, which JSON does not know."""
    return None if isinstance(value, float) and math.isnan(value) else value


def _table_text(scores, details, places, seed, bootstrap):
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for names, metrics in scores.items():
        for metric, values in metrics.items():
            numbers = interval(values, places[names[1]], seed, bootstrap)
            if np.isfinite(numbers[0]):
                texts = ["" if np.isnan(number) else f"{number:.2f}" for number in numbers]
                writer.writerow([*names, metric, *texts, details.get((names[0], names[3]), "")])
    return text.getvalue()
