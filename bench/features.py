"""Compare local features with pycolmap's SIFT at the same mean number of features: processor time per photo, and verified pairs.

    python bench/features.py PHOTOS TRUTH.csv [--pairs 3000] [--max-features 4096] [--seed 0] [--threads 2]

`--pairs` pairs of photos of one place, and as many of two places, are drawn from TRUTH.csv (place `-`: no place).
Features of both kinds are matched by the same code (mutual nearest neighbours that pass the ratio test) and verified by pycolmap; a pair
with 20 inliers or more is verified. pycolmap keeps at most `--max-features` places, each with up to two directions. bow2cnn keeps all
features above the contrast that gives the same mean number on some of the photos. Extraction runs on one thread, from the file to the
descriptors. The two take turns of some photos each, in processes of their own.
"""

import argparse
import multiprocessing
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pycolmap
from threadpoolctl import threadpool_limits
from truth import read_labels

from bow2cnn.core.memory import keep_memory
from bow2cnn.features.distances import distance_pool
from bow2cnn.features.sift import detect
from bow2cnn.geometry.matching import match_descriptors
from bow2cnn.photos.decode import read_rgb

INLIERS = 20
TURN = 50  # photos
ALL = 10**6


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
    places = read_labels([options.truth])
    names = sorted(name for name in places if (options.photos / name).is_file())
    pairs, same = draw_pairs(np.array([places[name] for name in names]), options)
    names, pairs = [names[row] for row in np.unique(pairs)], np.unique(pairs, return_inverse=True)[1].reshape(pairs.shape)
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(1):
        contrast = match_mean(names[:: len(names) // 150 or 1], options)
        theirs, ours = extract_in_turns(names, contrast, options)
        print(f"photos: {len(names)}, pairs of one place: {same.sum()}, of two: {(~same).sum()}")
        for name, (features, seconds) in {"pycolmap": theirs, "bow2cnn": ours}.items():
            mean = np.mean([len(xy) for xy, _ in features])
            print(f"{name}: {mean:.0f} features, {seconds / len(names):.3f} s of processor time per photo", flush=True)
        print(f"bow2cnn takes 1/{theirs[1] / ours[1]:.2f} of pycolmap's time")
        theirs, ours = theirs[0], ours[0]
        found = {}
        for name, features, seeds in (("pycolmap", theirs, (0, 1)), ("bow2cnn", ours, (0,))):
            matches = match(features, pairs, options)
            for seed in seeds:
                label = f"{name}, another seed" if seed else name
                found[label] = verify(Path(folder) / f"{label}.db", features, pairs, matches, options, seed)
    for name, verified in found.items():
        kept = (verified & found["pycolmap"] & same).sum() / (found["pycolmap"] & same).sum()
        line = f"of one place {(verified & same).sum()}, of two {(verified & ~same).sum()}; of pycolmap's of one place {100 * kept:.1f} %"
        print(f"verified by {name}: {line}")


def draw_pairs(place, options):
    """Draw pairs of rows, int [2 p, 2], and whether both photos show one place."""
    generator, same, other = np.random.default_rng(options.seed), set(), set()
    labelled = np.flatnonzero(place != "-")
    while min(len(same), len(other)) < options.pairs:
        a = int(generator.choice(labelled))
        b = int(generator.choice(np.flatnonzero(place == place[a]) if len(same) < options.pairs else len(place)))
        chosen = same if place[a] == place[b] else other
        if a != b and len(chosen) < options.pairs:
            chosen.add((min(a, b), max(a, b)))
    return np.array([*sorted(same), *sorted(other)]), np.arange(2 * options.pairs) < options.pairs


def match_mean(names, options):
    """The contrast at which our mean number of features on some photos is the same."""
    mean = np.mean([len(xy) for xy, _ in colmap_features(names, options.photos, options.max_features)[0]])
    low, high = 0.002, 0.04
    for _ in range(7):
        middle = np.sqrt(low * high)
        found, _ = our_features(names, options.photos, middle)
        low, high = (low, middle) if np.mean([len(xy) for xy, _ in found]) < mean else (middle, high)
    return low


def extract_in_turns(names, contrast, options):
    """Features of all photos by both sides, with the processor time of each."""
    sides = [([], [], colmap_features, options.max_features), ([], [], our_features, contrast)]
    fork = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(1, fork) as first, ProcessPoolExecutor(1, fork) as second:
        for start in range(0, len(names), TURN):
            for pool, (features, seconds, extract, limit) in zip((first, second), sides, strict=True):
                found, spent = pool.submit(extract, names[start : start + TURN], options.photos, limit).result()
                features += found
                seconds.append(spent)
    return [(features, sum(seconds)) for features, seconds, *_ in sides]


def colmap_features(names, photos, most):
    """pycolmap's features: per photo xy float32 [N, 2] and descriptors uint8 [N, 128]; and the processor time."""
    settings = pycolmap.FeatureExtractionOptions(num_threads=1, use_gpu=False)
    settings.sift.max_num_features = most
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "theirs.db"
        begin = time.process_time()
        pycolmap.extract_features(path, photos, names, extraction_options=settings)
        seconds = time.process_time() - begin
        with pycolmap.Database.open(path) as database:
            images = {image.name: image.image_id for image in database.read_all_images()}
            found = [(database.read_keypoints(images[name])[:, :2], database.read_descriptors(images[name])) for name in names]
    return [(np.ascontiguousarray(xy), np.asarray(getattr(d, "data", d))) for xy, d in found], seconds


def our_features(names, photos, contrast):
    """Our features in the same form, made in a process like those of the stage."""
    keep_memory()
    begin = time.process_time()
    found = []
    for name in names:
        keypoint, descriptor = detect(cv2.cvtColor(read_rgb(str(photos / name)), cv2.COLOR_RGB2GRAY), ALL, contrast=contrast)
        found.append((keypoint[:, :2], descriptor))
    return found, time.process_time() - begin


def match(features, pairs, options):
    """Matching rows, int32 [k, 2], of every pair."""
    with distance_pool(options.threads) as pool:
        return list(pool.map(lambda pair: match_descriptors(features[pair[0]][1], features[pair[1]][1]), pairs.tolist()))


def verify(path, features, pairs, matches, options, seed):
    """Which pairs have enough inliers, bool [p]."""
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
