"""Compare what a run finds in the same photos at other resolutions: verified pairs and their inliers.

    python bench/resolution.py CONFIG FOLDER [--factors 2.5 5] [--cores 2]

CONFIG is a run's config (tests/configs/riviera.yaml). In FOLDER, new, the photos are enlarged by each factor (JPEG of quality 95, bicubic),
the run goes up to the clusters with the photos as they are and with each enlarged copy, and the verified pairs are compared by the names of
the photos. Enlarged photos show nothing more than the others, so the run causes every difference.
"""

import argparse
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import yaml
from added_photos import list_photos, run
from PIL import Image, ImageOps

from bow2cnn.core.progress import progress
from bow2cnn.run.run import Run


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--factors", type=float, nargs="+", default=[2.5, 5.0])
    parser.add_argument("--cores", type=int, default=2)
    options = parser.parse_args()
    config = yaml.safe_load(Path(options.config).read_text())
    options.folder.mkdir(parents=True)
    photos = list_photos(config["photos"], options.folder / "list")
    first = None
    for factor in [1.0, *options.factors]:
        name = f"{factor:g}x"
        enlarge(photos, options.folder / name, factor, options.cores)
        mine = {**config, "photos": [str(options.folder / name)], "results": str(options.folder / f"results-{name}"), "benchmarks": {}}
        run(mine, options.folder / f"{name}.yaml", options.cores, ["clustering"])
        found = read_pairs(Run.open(mine["results"]))
        first = first or found
        print(f"{name}: {describe(found, first)}", flush=True)


def enlarge(photos, folder, factor, workers):
    """Fill a folder with enlarged upright copies; also for a factor of 1, so that all are saved the same way."""
    folder.mkdir()
    with ThreadPoolExecutor(workers) as pool:
        list(progress(pool.map(lambda photo: _enlarge(photo, folder, factor), photos), f"photos {factor:g}x", len(photos)))


def _enlarge(photo, folder, factor):
    with Image.open(photo) as image:
        upright = ImageOps.exif_transpose(image).convert("RGB")
    size = [round(side * factor) for side in upright.size]
    upright.resize(size, Image.Resampling.BICUBIC).save(folder / f"{photo.stem}.jpg", quality=95, subsampling=0)


def read_pairs(results):
    """Inliers of the verified pairs, by the names of their two photos."""
    names, graph = np.array(results.photos["name"]), results.graph
    return {tuple(sorted(pair)): inliers for pair, inliers in zip(names[graph["pair"]].tolist(), graph["inliers"].tolist(), strict=True)}


def describe(found, first):
    common = found.keys() & first.keys()
    pairs, inliers = len(found) / len(first) - 1, sum(found.values()) / sum(first.values()) - 1
    same = sum(found[pair] for pair in common) / sum(first[pair] for pair in common) - 1
    return (
        f"{len(found)} pairs ({pairs:+.1%}), {sum(found.values())} inliers ({inliers:+.1%}); "
        f"{len(common)} pairs in common, their inliers {same:+.1%}"
    )


if __name__ == "__main__":
    main()
