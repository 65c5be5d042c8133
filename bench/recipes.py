"""Print the gain of each experiment of a run over its untrained network, as a table.

    python bench/recipes.py RESULTS

The numbers are mAP without whitening. In brackets is the width of the one-sided 95 % bootstrap interval of the paired difference, over
places (nan for too few queries or places). Validation chose `epoch`, the best epoch, and `share`, how much of the way to its weights was
gone. So the gain on validation, marked by *, does not prove a gain elsewhere.
"""

import argparse
from pathlib import Path

from networks import column_title

from bow2cnn.evaluation.gains import main_rows
from bow2cnn.run.run import Run


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    run = Run.open(parser.parse_args().results)
    gains = run.gains
    names = [title(row) for row in main_rows(next(iter(gains.values()))["rows"])]
    print("| experiment | epoch | share |", *(f"{name} |" for name in names))
    print("|---|" + "---|" * (2 + len(names)))
    for experiment, found in gains.items():
        history = run.history(experiment)
        share = history["tried/share"][history["tried/chosen"]]
        print(f"| {experiment} | {found['chosen_epoch']} | {share:g} |", *map(cell, main_rows(found["rows"])))


def title(row):
    title = column_title(row["benchmark"], row["protocol"])
    return f"{title}{'*' if row['chosen_on'] else ''} ({row['queries']} queries, {row['places']} places)"


def cell(row):
    return f"{row['before']:.2f} {row['gain']:+.2f} ({row['width']:.2f}) |"


if __name__ == "__main__":
    main()
