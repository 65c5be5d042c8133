"""Local features beside pycolmap's SIFT, at the same mean number of features: processor time per photo, and the pairs they verify.

    python bench/features.py PHOTOS TRUTH.csv [--pairs 3000] [--max-features 4096] [--seed 0] [--threads 2]

So many pairs of photos of one place, and as many of two (place `-`: belongs to nothing), are drawn from TRUTH.csv. Either side's features
are matched by the same code (mutual nearest neighbours that pass the ratio test) and verified by pycolmap; a pair is verified from 20
inliers on. pycolmap keeps `--max-features` at most; ours then keep as many as give the same mean. Extraction runs on one thread, from
the file to the descriptors.
"""

import argparse
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pycolmap
from threadpoolctl import threadpool_limits
from truth import read_places

from bow2cnn.collection.photo import read_rgb
from bow2cnn.discovery.matching import match_descriptors
from bow2cnn.features.sift import detect

INLIERS = 20


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("truth")
    parser.add_argument("--pairs", type=int, default=3000)
    parser.add_argument("--max-features", type=int, default=4096)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    pycolmap.logging.minloglevel = int(pycolmap.logging.Level.FATAL)
    places = read_places([options.truth])
    names = sorted(name for name in places if (options.photos / name).is_file())
    pairs, same = draw_pairs(np.array([places[name] for name in names]), options)
    names, pairs = [names[row] for row in np.unique(pairs)], np.unique(pairs, return_inverse=True)[1].reshape(pairs.shape)
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(1):
        theirs, seconds = colmap_features(Path(folder), names, options)
        mean = np.mean([len(xy) for xy, _ in theirs])
        print(f"photos: {len(names)}, pairs of one place: {same.sum()}, of two: {(~same).sum()}")
        print(f"pycolmap: {mean:.0f} features, {seconds / len(names):.3f} s of processor time per photo")
        most = match_mean(names, mean, options)
        ours, seconds = our_features(names, most, options)
        print(f"bow2cnn: {np.mean([len(xy) for xy, _ in ours]):.0f} features, {seconds / len(names):.3f} s of processor time per photo")
        found = {
            name: verify(Path(folder), features, pairs, options, seed)
            for name, features, seed in (("pycolmap", theirs, 0), ("pycolmap, another seed", theirs, 1), ("bow2cnn", ours, 0))
        }
    for name, verified in found.items():
        kept = (verified & found["pycolmap"] & same).sum() / (found["pycolmap"] & same).sum()
        line = f"of one place {(verified & same).sum()}, of two {(verified & ~same).sum()}; of pycolmap's of one place {100 * kept:.1f} %"
        print(f"verified by {name}: {line}")


def draw_pairs(place, options):
    """Pairs int [2 p, 2] of rows, and whether both show one place."""
    generator, same, other = np.random.default_rng(options.seed), set(), set()
    labelled = np.flatnonzero(place != "-")
    while min(len(same), len(other)) < options.pairs:
        a = int(generator.choice(labelled))
        b = int(generator.choice(np.flatnonzero(place == place[a]) if len(same) < options.pairs else len(place)))
        chosen = same if place[a] == place[b] else other
        if a != b and len(chosen) < options.pairs:
            chosen.add((min(a, b), max(a, b)))
    return np.array([*sorted(same), *sorted(other)]), np.arange(2 * options.pairs) < options.pairs


def colmap_features(folder, names, options):
    """Per photo xy float32 [N, 2] and descriptors uint8 [N, 128], and the processor time."""
    settings = pycolmap.FeatureExtractionOptions(num_threads=1, use_gpu=False)
    settings.sift.max_num_features = options.max_features
    begin = time.process_time()
    pycolmap.extract_features(folder / "theirs.db", options.photos, names, extraction_options=settings)
    seconds = time.process_time() - begin
    with pycolmap.Database.open(folder / "theirs.db") as database:
        images = {image.name: image.image_id for image in database.read_all_images()}
        found = [(database.read_keypoints(images[name])[:, :2], database.read_descriptors(images[name])) for name in names]
    return [(np.ascontiguousarray(xy), np.asarray(getattr(d, "data", d))) for xy, d in found], seconds


def match_mean(names, mean, options):
    """How many features ours may keep for the same mean number, from a tenth of the photos."""
    counts = np.array([len(extract(options.photos / name, 10**6)[0]) for name in names[::10]])
    low, high = 1, int(counts.max())
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if np.minimum(counts, middle).mean() < mean else (low, middle)
    return low


def our_features(names, most, options):
    begin = time.process_time()
    found = [extract(options.photos / name, most) for name in names]
    return found, time.process_time() - begin


def extract(path, most):
    keypoint, descriptor = detect(cv2.cvtColor(read_rgb(str(path)), cv2.COLOR_RGB2GRAY), most)
    return keypoint[:, :2], descriptor


def verify(folder, features, pairs, options, seed):
    """Which pairs have enough inliers, bool [p]."""
    path = folder / f"{time.monotonic_ns()}.db"
    with ThreadPoolExecutor(options.threads) as pool:
        matches = list(pool.map(lambda pair: match_descriptors(features[pair[0]][1], features[pair[1]][1]), pairs.tolist()))
    with pycolmap.Database.open(path) as database:
        for number, (xy, _) in enumerate(features, 1):
            camera = pycolmap.Camera.create_from_model_name(number, "SIMPLE_RADIAL", 1000, 800, 800)
            database.write_camera(camera, use_camera_id=True)
            database.write_image(pycolmap.Image(name=str(number), camera_id=number, image_id=number), use_image_id=True)
            database.write_keypoints(number, np.ascontiguousarray(xy, np.float32))
        for (a, b), match in zip(pairs.tolist(), matches, strict=True):
            database.write_matches(a + 1, b + 1, np.ascontiguousarray(match, np.uint32))
    settings = pycolmap.TwoViewGeometryOptions()
    settings.ransac.random_seed = seed
    verifier = pycolmap.GeometricVerifierOptions(num_threads=options.threads)
    pycolmap.geometric_verification(path, verifier, two_view_geometry_options=settings)
    with pycolmap.Database.open(path) as database:
        return np.array([len(database.read_two_view_geometry(a + 1, b + 1).inlier_matches) >= INLIERS for a, b in pairs.tolist()])


if __name__ == "__main__":
    main()
