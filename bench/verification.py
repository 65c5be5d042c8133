"""Spatial verification compared with pycolmap's and OpenCV's, on the same tentative matches of real photos, each on one thread.

    python bench/verification.py RESULTS TRUTH.csv [--queries 400] [--shortlist 50] [--seed 0]

RESULTS is a run up to the stage `index`. Labelled photos, drawn at random, are queries; every pair of a query and a photo of its shortlist
has its tentative matches (same word, similar signature) verified by all methods. A pair is right if both photos have the same place in
TRUTH.csv. Each method accepts pairs from the number of inliers at which 98 % of its accepted pairs are right; recall is the share of all
right pairs that it then accepts. With fewer matches than a minimal sample a pair has 0 inliers.
"""

import argparse
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import pycolmap
from truth import read_labels

from bow2cnn.geometry.verify import match_words, verify
from bow2cnn.index.engine import TOLERANCE, Engine
from bow2cnn.run.run import Run

PRECISION = 0.98
PIXELS = 4.0  # of the peers: pycolmap's default


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("truth")
    parser.add_argument("--queries", type=int, default=400)
    parser.add_argument("--shortlist", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    run = Run.open(options.results)
    places = read_labels([options.truth])
    place = np.array([places.get(Path(name).name, "-") for name in run.photos["name"]])
    engine = Engine.load(run.path("index"), max_hamming=24)
    pairs = list_pairs(engine, np.flatnonzero(place != "-"), options)
    right = place[pairs[:, 0]] == place[pairs[:, 1]]
    words = {int(photo): engine.words(int(photo)) for photo in np.unique(pairs)}
    matches = [match_words(words[a].word, words[a].signature, words[b].word, words[b].signature, 24) for a, b in pairs.tolist()]
    print(f"pairs: {len(pairs)}, right {right.sum()}; tentative matches per pair: {np.mean([len(m) for m in matches]):.0f}")
    sides = {"bow2cnn": ours, "pycolmap": colmap, "OpenCV USAC, fundamental": fundamental, "OpenCV USAC, homography": homography}
    for name, side in sides.items():
        inliers, seconds = side(words, pairs.tolist(), matches)
        threshold, recall = best_recall(inliers, right)
        print(f"{name}: recall {100 * recall:.1f} % from {threshold} inliers, {len(pairs) / seconds:.0f} pairs per second")


def list_pairs(engine, labelled, options):
    """Queries with the photos of their shortlists, int [p, 2]; no pair twice."""
    queries = np.random.default_rng(options.seed).permutation(labelled)[: options.queries]
    found = [(int(query), int(photo)) for query in queries for photo in engine.rank(engine.words(query), options.shortlist + 1)[0]]
    return np.unique(np.sort([pair for pair in found if pair[0] != pair[1]], axis=1), axis=0)


def best_recall(inliers, right):
    """The smallest number of inliers from which at least 98 % of the pairs are right, and the recall there."""
    best = (0, 0.0)
    for threshold in np.unique(inliers[inliers > 0]):
        accepted = inliers >= threshold
        if right[accepted].mean() >= PRECISION and (recall := (accepted & right).sum() / right.sum()) > best[1]:
            best = int(threshold), recall
    return best


def ours(words, pairs, matches):
    def run(some):
        return [
            len(verify(words[a].keypoint, words[a].feature, words[b].keypoint, m, TOLERANCE * max(words[b].size))[1]) for (a, b), m in some
        ]

    run([(pairs[0], matches[0])])  # compiled before the clock starts
    return timed(run, pairs, matches)


def fundamental(words, pairs, matches):
    return timed(
        lambda some: [usac(cv2.findFundamentalMat, 8, words, *one, cv2.USAC_MAGSAC, PIXELS, 0.999, 2000) for one in some], pairs, matches
    )


def homography(words, pairs, matches):
    return timed(
        lambda some: [usac(cv2.findHomography, 4, words, *one, cv2.USAC_MAGSAC, PIXELS, None, 2000, 0.999) for one in some], pairs, matches
    )


def usac(estimate, least, words, pair, match, *arguments):
    if len(match) < least:
        return 0
    a, b = (words[photo].keypoint[match[:, side], :2].astype(np.float64) for side, photo in enumerate(pair))
    try:
        model, mask = estimate(a, b, *arguments)
    except cv2.error:
        return 0
    return 0 if model is None else len(np.unique(match[mask.ravel() > 0], axis=0))


def timed(run, pairs, matches):
    begin = time.perf_counter()
    inliers = run(list(zip(pairs, matches, strict=True)))
    return np.array(inliers), time.perf_counter() - begin


def colmap(words, pairs, matches):
    """pycolmap's side. The database is written before the clock starts; pycolmap reads it and writes its geometries."""
    pycolmap.logging.minloglevel = int(pycolmap.logging.Level.FATAL)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "database.db"
        with pycolmap.Database.open(path) as database:
            for photo, own in words.items():
                width, height = map(int, own.size)
                camera = pycolmap.Camera.create_from_model_name(photo + 1, "SIMPLE_RADIAL", 1.2 * max(own.size), width, height)
                database.write_camera(camera, use_camera_id=True)
                database.write_image(pycolmap.Image(name=str(photo), camera_id=photo + 1, image_id=photo + 1), use_image_id=True)
                database.write_keypoints(photo + 1, np.ascontiguousarray(own.keypoint[:, :2], np.float32))
            for (a, b), match in zip(pairs, matches, strict=True):
                database.write_matches(a + 1, b + 1, np.ascontiguousarray(match, np.uint32))
        begin = time.perf_counter()
        pycolmap.geometric_verification(path, pycolmap.GeometricVerifierOptions(num_threads=1))
        seconds = time.perf_counter() - begin
        with pycolmap.Database.open(path) as database:
            found = [database.read_two_view_geometry(a + 1, b + 1).inlier_matches for a, b in pairs]
    return np.array([len(match) for match in found]), seconds


if __name__ == "__main__":
    main()
