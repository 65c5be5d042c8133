"""Print the component table of the talk (slides 18 and 20) for a run, and draw it as a bar chart.

    python bench/component.py CONFIG RESULTS CHART.svg

RESULTS is a run of CONFIG, `tests/configs/component.yaml`, whose order of experiments the table has. Experiments whose names differ only in
the number at the end are repetitions with different seeds: the table has their mean mAP, and in brackets the standard deviation over the
seeds. Beside it is the gain over the last row above without whitening, and in brackets the width of its one-sided 95 % interval over the
places of the benchmark (mean over the seeds).
"""

import argparse
import re
from pathlib import Path

import numpy as np
import yaml
from networks import column_title

from bow2cnn.core.atomic_files import write_bytes
from bow2cnn.evaluation.bootstrap import paired_gain
from bow2cnn.run.run import Run

_SAMPLES = 10_000  # resamplings
_STEPS = {"": "", "lw": " + whitening"}  # column `postprocessing` of the table -> what a row is called
_COLOURS = ("#9db7d5", "#2f6690", "#f4a259", "#bc4b51")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("chart", type=Path)
    options = parser.parse_args()
    run = Run.open(options.results)
    order = yaml.safe_load(options.config.read_text())["experiments"]
    columns = [(name, protocol) for name in run.benchmarks for protocol in run.truth(name).protocols if protocol != "easy"]
    rows = {label: [_scores(run, systems, step, column) for column in columns] for label, (systems, step) in _rows(run, order).items()}
    titles = [column_title(*column) for column in columns]
    print("| pooling, positives + negatives |", *(f"{title} | gain |" for title in titles))
    print("|---|" + "---|---|" * len(titles))
    above = None
    for label, scores in rows.items():
        print(f"| {label} |", *(_cell(run, *cell) for cell in zip(columns, scores, above or [None] * len(columns), strict=True)))
        if not label.endswith(_STEPS["lw"]):
            above = scores
    means = {label: [float(np.nanmean(own)) for own in scores] for label, scores in rows.items()}
    write_bytes(options.chart, chart(titles, means).encode())


def _rows(run, order):
    """Label to the systems of a row and to its `postprocessing`, in the order of the experiments; untrained networks first."""
    groups = {}
    for experiment in order:
        groups.setdefault(re.sub(r"-\d+$", "", experiment), []).append((experiment, run.gains[experiment]["against"]))
    rows, steps = {}, {row["postprocessing"] for row in run.table}
    for group, members in groups.items():
        shelf = members[0][1]
        rows.setdefault(f"{shelf.removeprefix('off-the-shelf:')}, off the shelf", ([shelf], ""))
        for step, words in _STEPS.items():
            if step in steps:
                rows[f"{group}{words}"] = [experiment for experiment, _ in members], step
    return rows


def _scores(run, systems, step, column):
    """mAP of every query, float [systems, q], in percent."""
    name, protocol = column
    arrays, kind = run.arrays("rankings", name), f"after/{step}" if step else "ap"
    return np.stack([arrays[f"{system}/{kind}/{protocol}"] for system in systems])


def _cell(run, column, own, above):
    means = np.nanmean(own, axis=1)
    text = f"{means.mean():.1f} ({means.std(ddof=1):.1f}) |" if len(means) > 1 else f"{means[0]:.1f} |"
    if above is None:
        return f"{text} |"
    gain = paired_gain(own.mean(0), above.mean(0), run.truth(column[0]).place, 0, _SAMPLES)
    return f"{text} {gain['gain']:+.1f} ({gain['width']:.1f}) |"


def chart(titles: list[str], means: dict[str, list[float]]) -> str:
    """A bar chart as SVG: a group of bars per row of the table, a bar per column."""
    bar, label, width = 14, 300, 760
    group = bar * len(titles) + 12
    height = group * len(means) + 30 + 18 * len(titles)
    scale = (width - label - 50) / 100
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">']
    parts.append(f'<rect width="{width}" height="{height}" fill="white"/>')
    for row, (name, values) in enumerate(means.items()):
        top = row * group + 6
        parts.append(f'<text x="{label - 10}" y="{top + group / 2}" text-anchor="end">{name}</text>')
        for column, value in enumerate(values):
            y, colour = top + column * bar, _COLOURS[column % len(_COLOURS)]
            parts.append(f'<rect x="{label}" y="{y}" width="{value * scale:.1f}" height="{bar - 2}" fill="{colour}"/>')
            parts.append(f'<text x="{label + value * scale + 5:.1f}" y="{y + 10}" font-size="10">{value:.1f}</text>')
    for column, title in enumerate(titles):
        y = group * len(means) + 20 + 18 * column
        parts.append(f'<rect x="{label}" y="{y}" width="12" height="12" fill="{_COLOURS[column % len(_COLOURS)]}"/>')
        parts.append(f'<text x="{label + 18}" y="{y + 10}">{title}, mAP</text>')
    return "\n".join([*parts, "</svg>\n"])


if __name__ == "__main__":
    main()
