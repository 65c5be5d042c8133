"""What each experiment of a run gained over its untrained network, as a table.

    python bench/recipes.py RESULTS

mAP without whitening; in brackets the width of the one-sided 95 % bootstrap interval of the paired difference. `epoch` and `share` are what
validation chose: the best epoch, and how much of the way to its weights.
"""

import argparse
from pathlib import Path

from bow2cnn import artefact
from bow2cnn.evaluation.gains import main_rows
from bow2cnn.evaluation.results import read_gains


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    results = parser.parse_args().results
    gains = read_gains(results / "evaluation/gains.json")
    parts = [(row["benchmark"], row["protocol"]) for row in main_rows(next(iter(gains.values()))["rows"])]
    names = [benchmark if protocol == "all" else f"{benchmark}, {protocol}" for benchmark, protocol in parts]
    print("| experiment | epoch | share |", *(f"{name} |" for name in names))
    print("|---|" + "---|" * (2 + len(parts)))
    for experiment, found in gains.items():
        history = artefact.read(results / "experiments" / experiment / "history.h5", "history", ["tried/share", "tried/chosen"])
        share = history["tried/share"][history["tried/chosen"]]
        print(f"| {experiment} | {found['chosen_epoch']} | {share:g} |", *map(cell, main_rows(found["rows"])))


def cell(row):
    return f"{row['before']:.2f} {row['gain']:+.2f} ({row['width']:.2f}) |"


if __name__ == "__main__":
    main()
