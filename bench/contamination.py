"""Changed photos of a benchmark planted in a run's collection: how many are found, and how many clean models are lost with them.

    python bench/contamination.py RESULTS BENCHMARK [--photos 100] [--inliers 15] [--seed 0] [--threads 2]

RESULTS is a run up to the stage `split` with the benchmark BENCHMARK, whose places the collection does not show. Every planted photo is cut
to half its area, scaled, changed in colour and gamma, and compressed strongly. The run itself is not changed: the planted photos get
features and words of the run's vocabulary, and a new index with them is built in a temporary folder. A planted photo counts as found if the
stage finds it for any photo of the benchmark. A model is lost if the stage finds one of its photos, which are all clean.
"""

import argparse
import hashlib
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance

from bow2cnn.config.model import Split
from bow2cnn.core import artefact
from bow2cnn.features.detector import Detector
from bow2cnn.features.extract import extract_features
from bow2cnn.index.build import build_index
from bow2cnn.index.words import quantise_shard
from bow2cnn.photos.decode import read_rgb
from bow2cnn.run.run import Run
from bow2cnn.search.searcher import DEFAULTS
from bow2cnn.split.contamination import find_contamination


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("benchmark")
    parser.add_argument("--photos", type=int, default=100)
    parser.add_argument("--inliers", type=int, default=Split().contamination_inliers)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    run = Run.open(options.results)
    known = len(run.photos["width"])
    with tempfile.TemporaryDirectory() as folder:
        found = find(Path(folder), run, options)
    planted = np.unique(found["verified/photo"][found["verified/photo"] >= known])
    model = run.models["model"]
    clean = np.unique(found["verified/photo"][found["verified/photo"] < known])
    lost = np.unique(model[clean][model[clean] >= 0])
    print(f"planted: {options.photos} photos of {options.benchmark} among {known}, found: {len(planted)}")
    print(f"clean photos found: {len(clean)}; clean models lost: {len(lost)} of {model.max() + 1}")


def find(folder, run, options):
    """The photos that the stage finds with the planted photos in the index; planted photos have the last rows."""
    vocabulary, photos = run.path("vocabulary"), run.path("benchmark_photos", options.benchmark)
    plant(photos, folder, options)
    with artefact.Reader(run.shards("features")[0], "features") as reader:
        detector = Detector(*(reader.params[name] for name in Detector._fields))
    extract_features(folder / "planted.h5", folder / "features.h5", options.threads, *detector)
    quantise_shard(folder / "features.h5", vocabulary, folder / "words.h5", options.threads)
    join(run.path("collection"), "collection", folder / "planted.h5", folder / "collection.h5")
    mark(run.path("watermarks"), folder)
    words = [*run.shards("words"), folder / "words.h5"]
    build_index(folder / "collection.h5", words, folder / "watermarks.h5", vocabulary, folder / "index.h5")
    features = run.path("benchmark_features", options.benchmark)
    paths = folder / "index.h5", vocabulary, photos, features, folder / "found.h5"
    find_contamination(*paths, DEFAULTS["shortlist"], DEFAULTS["max_hamming"], options.inliers, options.threads)
    return artefact.read(folder / "found.h5", "ranking")


def plant(benchmark, folder, options):
    """Write the changed photos, and `planted.h5`, their collection."""
    rng = np.random.default_rng(options.seed)
    paths = artefact.read(benchmark, "collection", ["path"])["path"]
    rows = {"path": [], "width": [], "height": [], "sha256": []}
    for number in rng.choice(len(paths), options.photos, replace=False).tolist():
        path = folder / f"{number}.jpg"
        image = change(Image.fromarray(read_rgb(paths[number])), rng)
        image.save(path, quality=int(rng.integers(20, 41)))
        content = np.frombuffer(hashlib.sha256(path.read_bytes()).digest(), np.uint8)
        for name, value in zip(rows, (str(path), *image.size, content), strict=True):
            rows[name].append(value)
    arrays = {"path": rows["path"], "sha256": np.stack(rows["sha256"])}
    artefact.write(folder / "planted.h5", "collection", arrays | {name: np.array(rows[name], np.int32) for name in ("width", "height")})


def change(image, rng):
    """Change a photo: half of it, in another size and other colours."""
    width, height = (round(side * 0.5**0.5) for side in image.size)
    left, top = (int(rng.integers(side - part + 1)) for side, part in zip(image.size, (width, height), strict=True))
    image = image.crop((left, top, left + width, top + height))
    scale = rng.uniform(0.7, 1.3)
    image = image.resize([round(side * scale) for side in image.size], Image.Resampling.LANCZOS)
    image = ImageEnhance.Color(image).enhance(rng.uniform(0.3, 1.7))
    gamma, gain = rng.uniform(0.6, 1.6), rng.uniform(0.8, 1.2, 3)
    return Image.fromarray((255 * np.clip((np.asarray(image) / 255) ** gamma * gain, 0, 1)).astype(np.uint8))


def join(first, kind, second, out):
    """Write the arrays that both artefacts have, concatenated."""
    with artefact.Reader(second, kind) as reader:
        names = [name for name in reader.names() if name != "path"]
    parts = [artefact.read(path, kind, names) for path in (first, second)]
    artefact.write(out, kind, {name: np.concatenate([part[name] for part in parts]) for name in names})


def mark(watermarks, folder):
    """Write the run's `watermarks` with the planted photos, which have no masked features."""
    arrays = artefact.read(watermarks, "watermarks")
    offset = artefact.read(folder / "words.h5", "words", ["offset"])["offset"]
    arrays["offset"] = np.concatenate([arrays["offset"], arrays["offset"][-1] + offset[1:]])
    arrays["masked"] = np.concatenate([arrays["masked"], np.zeros(offset[-1], arrays["masked"].dtype)])
    arrays["sha256"] = artefact.read(folder / "collection.h5", "collection", ["sha256"])["sha256"]
    artefact.write(folder / "watermarks.h5", "watermarks", arrays)


if __name__ == "__main__":
    main()
