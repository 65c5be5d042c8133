"""What the training gained, and which of an experiment's gains are told first."""

import numpy as np

from bow2cnn.evaluation.bootstrap import paired_gain


def find_gains(scores, places, pairings, epochs, validations, seed, bootstrap):
    """Gains in mAP of every experiment over the untrained network.

    Epoch, share of the way and strength of the whitening were chosen on the validation queries. Their gain can hardly be negative, whatever
    it is elsewhere, so nothing about it is called clear.

    Args:
        scores: by (system, benchmark, protocol, post) a dict of metric to float64 [q].
        places: by benchmark the place of every query, int64 [q].
        pairings: experiment to the system that it is compared with.
        epochs: experiment to the epoch that was chosen.
        validations: names, among those of the benchmarks, of what networks are chosen on.
        seed, bootstrap: see `paired_gain`.

    Returns:
        per experiment `against`, `chosen_epoch`, `rows`: `benchmark`, `protocol`, `post`, `before`, `after`, `chosen_on` (whether the
        network was chosen on these very queries), and the keys of `paired_gain`. Whitened rows are there for systems whitened in the same
        way.
    """
    found = {}
    for experiment, against in pairings.items():
        rows = []
        for (system, benchmark, protocol, post), metrics in scores.items():
            if system != experiment or (against, benchmark, protocol, post) not in scores:
                continue
            before, after = scores[against, benchmark, protocol, post]["mAP"], metrics["mAP"]
            gain = paired_gain(after, before, places[benchmark], seed, bootstrap)
            if gain["queries"]:
                row = {"benchmark": benchmark, "protocol": protocol, "post": post, "chosen_on": benchmark in validations}
                means = {"before": float(np.nanmean(before)), "after": float(np.nanmean(after))}
                rows.append({**row, **means, **gain, **({"clear": ""} if row["chosen_on"] else {})})
        found[experiment] = {"against": against, "chosen_epoch": epochs[experiment], "rows": rows}
    return found


def main_rows(rows):
    """Rows of `evaluation/gains.json` without whitening, easy and hard left out where there is a medium."""
    return [row for row in rows if not row["post"] and row["protocol"] in ("all", "medium")]
