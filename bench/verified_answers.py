"""How reliable "verified" is in collections of every size: parts of a run's collection are searched with their own and with other photos.

    python bench/verified_answers.py RESULTS TRUTH.csv OTHERS OTHERS.csv [--sizes 100 300 1000 0] [--draws 3] [--graph] [--threads 2]

RESULTS is a run up to the stage `features`, TRUTH.csv has the columns photo, place (`-`: belongs to nothing). OTHERS is a folder with
photos of other places, OTHERS.csv has their labels (photos of a place that the run has too are left out); 100 of them are drawn. A part of
the collection is drawn place by place, at most a third of it from one place (size 0: the whole collection). Everything from the vocabulary
on is made anew for it, with the defaults. An answer is right if its photo has the label of the query; it does not count if both belong to
nothing. With `--graph` the graph of verified pairs is made for the part too.
"""

import argparse
import csv
import tempfile
from pathlib import Path

import numpy as np

from bow2cnn.clustering.growth import grow_graph
from bow2cnn.clustering.minhash import collide_sketches
from bow2cnn.clustering.seeds import find_seeds
from bow2cnn.config.model import Clustering
from bow2cnn.core import artefact
from bow2cnn.features.detector import Detector
from bow2cnn.features.store import FeatureStore
from bow2cnn.geometry.pair import PhotoFeatures
from bow2cnn.index.build import build_index
from bow2cnn.index.engine import Engine
from bow2cnn.index.query_words import quantise_query
from bow2cnn.index.watermarks import find_watermarks
from bow2cnn.index.words import quantise_shard
from bow2cnn.photos.decode import read_header
from bow2cnn.retrieval.calibrate_inliers import calibrate_verification, read_min_inliers
from bow2cnn.retrieval.verified_search import MIN_EVIDENCE, count_ranking_inliers, search
from bow2cnn.run.run import Run
from bow2cnn.search.searcher import DEFAULTS
from bow2cnn.vocabulary.train import train_vocabulary
from bow2cnn.vocabulary.vocabulary import Vocabulary

OTHERS, OWN = 100, 150  # queries
FIXED = 6  # inliers of a verified photo before these were calibrated
MAX_PIXELS = 100_000_000


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("truth")
    parser.add_argument("others", type=Path)
    parser.add_argument("others_truth")
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 300, 1000, 0])
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--graph", action="store_true")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    run = Run.open(options.results)
    labels = read_places(options.truth)
    place = np.array([labels.get(Path(name).name, "-") for name in run.photos["name"]])
    others = read_others(run, options, set(place))
    print(
        "photos, draw: words; inliers of a verified photo; queries of other places with an answer | "
        f"own queries: answers, right %, right ones in % of the right ones with {FIXED} inliers or more by words | pairs"
    )
    for size in options.sizes:
        for draw in range(options.draws if size else 1):
            rows = draw_rows(place, size, [size, draw]) if size else np.arange(len(place))
            with tempfile.TemporaryDirectory() as folder:
                print(f"{len(rows)}, {draw}: {measure(Path(folder), run, options, rows, place[rows], others)}", flush=True)


def read_places(path):
    with open(path, newline="", encoding="utf-8") as file:
        return {row["photo"]: row["place"] for row in csv.DictReader(file)}


def read_others(run, options, known):
    """Features of photos of other places."""
    labels = read_places(options.others_truth)
    names = sorted(path.name for path in options.others.iterdir())
    names = [name for name in names if labels.get(name, "-") not in known | {"-"}]
    rng = np.random.default_rng(0)
    with artefact.Reader(run.shards("features")[0], "features") as reader:
        detector = Detector(*(reader.params[name] for name in Detector._fields))
    found = []
    for number in np.sort(rng.choice(len(names), min(OTHERS, len(names)), replace=False)):
        path = options.others / names[number]
        header = read_header(str(path), 1, MAX_PIXELS)
        size = header["width"], header["height"]
        keypoint, descriptor, scale = detector.detect(str(path), *size)
        found.append(PhotoFeatures.unmasked(keypoint, descriptor, scale, size))
    return found


def draw_rows(place, size, seed):
    """Rows of a part of the collection, sorted; a photo that belongs to nothing is a place of its own."""
    rng = np.random.default_rng(seed)
    key = np.array([name if name != "-" else f"-{row}" for row, name in enumerate(place)])
    rows = []
    for name in rng.permutation(np.unique(key)):
        rows += rng.permutation(np.flatnonzero(key == name))[: max(10, size // 3)].tolist()
        if len(rows) >= size:
            break
    return np.sort(rows[:size])


def measure(folder, run, options, rows, place, others):
    """One line on a part of the collection."""
    collection, features = write_part(run, rows, folder)
    vocabulary, words, watermarks, index = (folder / f"{name}.h5" for name in ("vocabulary", "words", "watermarks", "index"))
    threads, max_hamming = options.threads, DEFAULTS["max_hamming"]
    train_vocabulary([features], vocabulary, words=0, sample=10_000_000, iterations=12, seed=0, threads=threads)
    quantise_shard(features, vocabulary, words, threads)
    find_watermarks(collection, [words], watermarks, max_hamming, min_photos=4, seed=0)
    build_index(collection, [words], watermarks, vocabulary, index)
    verification = folder / "verification.h5"
    shortlist, soft_words = DEFAULTS["shortlist"], DEFAULTS["soft_words"]
    calibrate_verification(index, [features], verification, soft_words, shortlist, max_hamming, min_inliers=0, seed=0, threads=threads)
    least = read_min_inliers(verification).features
    engine, known, store = Engine.load(index, max_hamming), Vocabulary.load(vocabulary, threads), FeatureStore([features])

    def answers(query):
        """Photos whose words agree with the query in some geometry, their inliers by words, and those by all features."""
        words = quantise_query(query.keypoint, query.descriptor, tuple(query.size), known, soft_words)
        ranking = search(engine, words, shortlist, MIN_EVIDENCE, max_expansion=0, expansion_inliers=DEFAULTS["expansion_inliers"])["sv"]
        inliers = count_ranking_inliers(engine, store, query, ranking, threads)
        rows = ranking.inliers >= MIN_EVIDENCE
        return ranking.photo[rows], ranking.inliers[rows], inliers[rows]

    answered = sum((answers(other)[2] >= least).any() for other in others)
    right = wrong = before = 0
    for row in np.sort(np.random.default_rng(1).permutation(len(rows))[:OWN]).tolist():
        found, by_words, inliers = answers(PhotoFeatures.unmasked(*store[row], store.scale(row), engine.size[row]))
        counted = (found != row) & ((place[found] != "-") | (place[row] != "-"))
        same, verified = place[found] == place[row], inliers >= least
        before += int((counted & same & (by_words >= FIXED)).sum())
        right += int((counted & same & verified).sum())
        wrong += int((counted & ~same & verified).sum())
    own = f"{right + wrong}, {100 * right / max(right + wrong, 1):.1f}, {100 * right / max(before, 1):.1f}"
    line = f"{len(known)}; {least}; {answered} of {len(others)} | {own}"
    return f"{line} | {pairs(folder, index, features, place, threads)}" if options.graph else line


def pairs(folder, index, features, place, threads):
    """Number of pairs in the graph, and number of right ones among those with a label."""
    collisions, seeds, graph = (folder / f"{name}.h5" for name in ("collisions", "seeds", "graph"))
    max_hamming, found = DEFAULTS["max_hamming"], Clustering()
    settings = found.model_dump(include={"sketch_size", "sketches", "min_similarity"})
    collide_sketches(index, collisions, 0, 1, seed=0, threads=threads, **settings)
    find_seeds(index, [collisions], folder / "verification.h5", seeds, max_hamming, threads)
    settings = found.model_dump(include={"orphan_shortlist", "view_shortlist", "neighbour_shortlist", "min_word_inliers", "min_inliers"})
    grow_graph(index, seeds, [features], graph, DEFAULTS["shortlist"], max_hamming, threads=threads, **settings)
    ends = place[artefact.read(graph, "graph", ["pair"])["pair"]]
    counted = (ends != "-").any(1)
    right = counted & (ends[:, 0] == ends[:, 1])
    return f"{counted.sum()} with a label, {100 * right.sum() / max(counted.sum(), 1):.2f} % right"


def write_part(run, rows, folder):
    """The collection and the features of some rows, as artefacts of one shard."""
    arrays = artefact.read(run.path("collection"), "collection")
    count = len(arrays["path"])
    chosen = {name: [values[row] for row in rows] if len(values) == count else values for name, values in arrays.items()}
    chosen = {name: np.array(values) if isinstance(arrays[name], np.ndarray) else values for name, values in chosen.items()}
    artefact.write(folder / "collection.h5", "collection", chosen, run.photos.params)
    parts = [artefact.read(path, "features") for path in run.shards("features")]
    counts = np.concatenate([np.diff(part["offset"]) for part in parts])
    starts = artefact.offsets(counts)
    taken = np.concatenate([np.arange(starts[row], starts[row + 1]) for row in rows])
    arrays = {name: np.concatenate([part[name] for part in parts])[taken] for name in ("keypoint", "descriptor")}
    arrays |= {name: np.concatenate([part[name] for part in parts])[rows] for name in ("sha256", "content", "scale")}
    arrays |= {"offset": artefact.offsets(counts[rows]), "error": [""] * len(rows)}
    with artefact.Reader(run.shards("features")[0], "features") as reader:
        artefact.write(folder / "features.h5", "features", arrays, reader.params)
    return folder / "collection.h5", folder / "features.h5"


if __name__ == "__main__":
    main()
