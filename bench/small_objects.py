"""The teacher beside the networks when the queries of a benchmark are cut to a small region.

    python bench/small_objects.py RESULTS [BENCHMARK ...] [--shares 1 0.5 0.25 0.125 0.0625] [--window matches|centre] [--threads 2]

RESULTS is a finished run with benchmarks (all of them by default). A share is that of the region in the area of the query, which is the
photo, or its own region where the benchmark gives one; the region has the form of the query. Share 1 is the query as it is.

A region has to show an object of the right photos. `--window matches` (the default) matches all local features of the query with those of
every right photo, without words and index, and verifies the matches by geometry: a photo counts from the number of inliers on to which the
run is calibrated. The region is the window about one of these matches that has most of them, moved into the query where it would stick out.
It is the same for all systems and depends on no ranking, but it favours local features a little, because they match something there.
`--window centre` takes the middle of the query. This favours no system, but the region may show no object. A query without a verified match
gets the middle in both cases.

The teacher takes the features of the photo that lie in the region. Networks see the region at the scale that it has in the photo, as the
evaluation describes regions; `enlarged` is the same region as a photo of its own, up to the image size of the network. The rows are those
of `growing_distractors.py`, without distractors.
"""

import argparse
from pathlib import Path

import numpy as np
from distractors import Pool
from networks import TEACHER, add_options, networks_of, print_tables

from bow2cnn.geometry.pair import PhotoFeatures, verify_pair
from bow2cnn.index.region import lies_in
from bow2cnn.retrieval.calibrate_inliers import read_min_inliers
from bow2cnn.run.run import Run


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("benchmarks", nargs="*")
    parser.add_argument("--shares", type=float, nargs="+", default=[1, 0.5, 0.25, 0.125, 0.0625])
    parser.add_argument("--window", choices=["matches", "centre"], default="matches")
    add_options(parser)
    options = parser.parse_args()
    run = Run.open(options.results)
    networks = networks_of(run, options)
    for benchmark in options.benchmarks or run.benchmarks:
        pool = Pool(options.results, benchmark)
        frame = frames(run, pool.truth, benchmark)
        points = [np.zeros((0, 2))] * len(frame)
        if options.window == "matches":
            points = matched_points(run, pool, benchmark)
            print(f"{sum(len(own) > 0 for own in points)} of {len(points)} queries have verified matches with a right photo")
        rows = {}
        for share in options.shares:
            region = np.array([window(*both, share) for both in zip(frame, points, strict=True)])
            for name, ranked in [*teacher(pool, region, share), *students(networks, pool, benchmark, region, share)]:
                rows.setdefault(name, []).append(pool.scores(ranked))
        print_tables(benchmark, [f"{share:g}" for share in options.shares], rows)


def frames(run, truth, benchmark):
    """Left, top, right and bottom of every query, float64 [q, 4], pixels: of its region, or of the photo."""
    photos = run.arrays("benchmark_photos", benchmark)
    size = np.stack([photos["width"], photos["height"]], 1)[truth.query]
    return np.where(np.isnan(truth.region), np.concatenate([np.zeros_like(size), size], 1), truth.region)


def matched_points(run, pool, benchmark):
    """Per query the places of its features that match a right photo, float [k, 2], pixels; once for each photo that they match."""
    photos = run.arrays("benchmark_photos", benchmark)
    size = np.stack([photos["width"], photos["height"]], 1)

    def features(row):
        return PhotoFeatures.unmasked(*pool.own[row], pool.own.scale(row), size[row])

    found, least = [], read_min_inliers(run.path("verification")).features
    for number, row in enumerate(pool.truth.query.tolist()):
        positives = np.unique(np.concatenate([answers[number][0] for answers in pool.truth.protocols.values()]))
        query, region = features(row), pool.truth.region_of(number)
        pairs = [verify_pair(query, features(other), least) for other in positives.tolist() if other != row]
        points = np.concatenate([np.zeros((0, 2)), *(query.keypoint[pair.match[:, 0], :2] for pair in pairs if pair is not None)])
        found.append(points if region is None else points[lies_in(points, region)])
    return found


def window(frame, points, share):
    """The region of a query: the window about one of the points in which most points lie; in the middle of the query without points.

    Args:
        frame: left, top, right, bottom of the query, pixels.
        points: float [k, 2], pixels.
        share: of the area of the frame, 0 to 1.

    Returns:
        left, top, right, bottom, float64 [4]; the form is that of the frame.
    """
    corner, end = np.reshape(np.asarray(frame, np.float64), (2, 2))
    side = (end - corner) * share**0.5
    centre = np.asarray(points, np.float64) if len(points) else (corner + end)[None] / 2
    first = np.clip(centre - side / 2, corner, end - side)
    inside = [np.count_nonzero(lies_in(points, [*low, *(low + side)])) for low in first]
    low = first[int(np.argmax(inside))]
    return np.concatenate([low, low + side])


def teacher(pool, region, share):
    """The teacher's rankings by the name of the row."""
    for name, ranked in pool.teacher(np.zeros(0, int), None if share == 1 else region).items():
        yield TEACHER if name == "plain" else f"{TEACHER}, {name}", ranked


def students(networks, pool, benchmark, region, share):
    """The rankings of networks by the name of the row."""
    truth = pool.truth
    for network in networks:
        whole, own, missing = network.of_benchmark(benchmark)
        for words, enlarged in (("", False), ("enlarged", True)):
            queries = whole if share == 1 else network.of_regions(benchmark, truth.query, region, enlarged)
            yield from network.rank(queries, own[truth.database], missing[truth.database], words)


if __name__ == "__main__":
    main()
