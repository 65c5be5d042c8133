"""The gains of the training, and which of them stand first in summaries."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy as np

from bow2cnn.evaluation.bootstrap import paired_gain


def find_gains(
    scores: Mapping[tuple[str, str, str, str], Mapping[str, np.ndarray]],
    places: Mapping[str, np.ndarray],
    pairings: Mapping[str, str],
    epochs: Mapping[str, int],
    validations: Collection[str],
    seed: int,
    bootstrap: int,
) -> dict[str, dict[str, Any]]:
    """Gains in mAP of every experiment over the untrained network.

    Epoch, share of the way and strength of the whitening were chosen on the validation queries. Their gain can hardly be negative, whatever
    it is on other queries, so it is never called clear.

    Args:
        scores: by (system, benchmark, protocol, postprocessing) a dict of metric to float64 [q].
        places: by benchmark the place of every query, int64 [q].
        pairings: experiment to the system that it is compared with.
        epochs: experiment to the epoch that was chosen.
        validations: names, among those of the benchmarks, on which networks are chosen.
        seed: of the resampling.
        bootstrap: number of resamplings.

    Returns:
        per experiment `against`, `chosen_epoch`, `rows`: `benchmark`, `protocol`, `postprocessing`, `before`, `after`, `chosen_on` (whether
        the network was chosen on these very queries), and the keys of `paired_gain`. There is a row for every postprocessing that both
        systems have: where one is whitened by PCA and the other not, their whitened rows are not compared.
    """
    found: dict[str, dict[str, Any]] = {}
    for experiment, against in pairings.items():
        rows = []
        for (system, benchmark, protocol, postprocessing), metrics in scores.items():
            if system != experiment or (against, benchmark, protocol, postprocessing) not in scores:
                continue
            before, after = scores[against, benchmark, protocol, postprocessing]["mAP"], metrics["mAP"]
            gain = paired_gain(after, before, places[benchmark], seed, bootstrap)
            if gain["queries"]:
                row: dict[str, Any] = {"benchmark": benchmark, "protocol": protocol, "postprocessing": postprocessing}
                row |= {"chosen_on": benchmark in validations, "before": float(np.nanmean(before)), "after": float(np.nanmean(after))}
                rows.append({**row, **gain, **({"clear": ""} if row["chosen_on"] else {})})
        found[experiment] = {"against": against, "chosen_epoch": epochs[experiment], "rows": rows}
    return found


def main_rows(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of `evaluation/gains.json` without any step after the descriptor, and without the protocols easy and hard."""
    return [row for row in rows if not row["postprocessing"] and row["protocol"] in ("all", "medium")]
