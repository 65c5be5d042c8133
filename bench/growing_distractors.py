"""The teacher beside the networks when photos of a run's own collection are added to the database of a benchmark.

    python bench/growing_distractors.py RESULTS [BENCHMARK ...] [--shares 0 0.125 0.25 0.5 1] [--threads 2]

RESULTS is a finished run with benchmarks (all of them by default). The distractors are drawn at random, and those of a smaller share are
among those of a larger one. Photos that match a photo of any benchmark are not drawn, nor are photos of the same cluster or place as these;
photos of a benchmark's places that the run did not find out would count as wrong for all systems.

The teacher has the settings of the run: `bag of words`, spatially verified (`sv`) and with query expansion (`sv+qe`). Its index is made of
all photos of the database together, with the vocabulary of the run. Networks have their descriptors as they are, whitened as in the run
(`w`, or the name of another whitening), and with query expansion after it (`qe`, the step `expanded`). Without distractors the figures are
those of the run.
"""

import argparse
from pathlib import Path

import numpy as np
from distractors import Pool
from networks import TEACHER, add_options, networks_of, print_tables

from bow2cnn.run.run import Run


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("benchmarks", nargs="*")
    parser.add_argument("--shares", type=float, nargs="+", default=[0, 0.125, 0.25, 0.5, 1])
    parser.add_argument("--seed", type=int, default=0)
    add_options(parser)
    options = parser.parse_args()
    run = Run.open(options.results)
    clean = clean_photos(run)
    drawn = draw(clean, options.shares, options.seed)
    print(f"{len(clean)} of {len(run.photos['path'])} photos show no place of a benchmark, as far as the run knows")
    networks = networks_of(run, options)
    for benchmark in options.benchmarks or run.benchmarks:
        pool, rows = Pool(options.results, benchmark), {}
        for distractors in drawn:
            for name, ranked in [*teacher(pool, distractors), *students(networks, pool, benchmark, distractors)]:
                rows.setdefault(name, []).append(pool.scores(ranked))
        print_tables(benchmark, [f"{len(distractors)} distractors" for distractors in drawn], rows)


def clean_photos(run):
    """The photos of a collection that show no place of a benchmark, as far as the run knows, int64."""
    contaminated, models = run.split["contaminated"], run.models
    members = np.split(models["photo"], models["photo_offset"][1:-1])
    places = [np.concatenate([members[m] for m in np.flatnonzero(run.split["place"] == p)]) for p in np.unique(run.split["place"])]
    clusters = np.split(run.clusters["photo"], run.clusters["offset"][1:-1]) if "clusters" in run else []
    return np.flatnonzero(~spread(contaminated, [*clusters, *places]))


def spread(marked, groups):
    """Marked photos, and all photos of the groups that have one; photos that this marks do not mark others.

    Args:
        marked: bool [n].
        groups: rows of the photos of each group, int [k].

    Returns:
        bool [n].
    """
    found = marked.copy()
    for rows in groups:
        if marked[rows].any():
            found[rows] = True
    return found


def draw(rows, shares, seed):
    """Rows drawn at random, sorted, for every share; those of a smaller share are among those of a larger one."""
    order = np.random.default_rng(seed).permutation(rows)
    return [np.sort(order[: round(share * len(rows))]) for share in shares]


def teacher(pool, distractors):
    """The teacher's rankings by the name of the row."""
    for name, ranked in pool.teacher(distractors).items():
        yield TEACHER if name == "plain" else f"{TEACHER}, {name}", ranked


def students(networks, pool, benchmark, distractors):
    """The rankings of networks by the name of the row."""
    for network in networks:
        queries, own, missing = network.of_benchmark(benchmark)
        others, gone = network.of_collection(distractors)
        database = np.concatenate([own[pool.truth.database], others])
        yield from network.rank(queries, database, np.concatenate([missing[pool.truth.database], gone]))


if __name__ == "__main__":
    main()
