"""The teacher's plain ranking beside ASMK's, on the same features, with a whole collection as distractors; each on one thread.

    python -m pip install cython && python -m pip install --no-build-isolation asmk
    python bench/scoring.py RESULTS FOLDER BENCHMARK [--words 16k] [--sample 200000]

RESULTS is a run up to the stage `retrieval` with the benchmark BENCHMARK, whose photos and gnd.json lie in FOLDER. The database is the
benchmark's and all photos of the collection; both codebooks are trained on the collection. ASMK (Tolias, Avrithis, Jegou, ICCV 2013; the
authors' package, binary, with the parameters of their HOW configuration) trains `--words` words on `--sample` features. The time of a
query is from its features to its ranking; features are not counted.
"""

import argparse
import time
from pathlib import Path

import faiss
import numpy as np
from asmk.asmk_method import ASMKMethod
from threadpoolctl import threadpool_limits

from bow2cnn import artefact
from bow2cnn.evaluation.scores import score_rankings
from bow2cnn.evaluation.systems import benchmark_task
from bow2cnn.features.sift import DESCRIPTOR_SCALE
from bow2cnn.features.store import FeatureStore
from bow2cnn.index.build import index_arrays, read_words
from bow2cnn.index.words import sorted_words
from bow2cnn.lookup.lookup import DEFAULTS
from bow2cnn.retrieval.benchmark_photos import BenchmarkPhotos
from bow2cnn.retrieval.engine import Engine, Words

STEPS = {
    "index": {"gpu_id": None},
    "build_ivf": {"kernel": {"binary": True}, "ivf": {"use_idf": False}, "quantize": {"multiple_assignment": 1}, "aggregate": {}},
    "query_ivf": {
        "quantize": {"multiple_assignment": 5},
        "aggregate": {},
        "search": {"topk": None},
        "similarity": {"similarity_threshold": 0.0, "alpha": 3.0},
    },
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("benchmark")
    parser.add_argument("--words", default="16k")
    parser.add_argument("--sample", type=int, default=200_000)
    options = parser.parse_args()
    faiss.omp_set_num_threads(1)
    folder = options.results / "benchmarks" / options.benchmark
    task = benchmark_task(options.benchmark, options.folder / "gnd.json", options.folder / "photos", folder / "collection.h5")
    own = FeatureStore([folder / "features.h5"])
    distractors = FeatureStore(sorted((options.results / "features").glob("shard-*.h5")))
    print(f"database: {len(task.database)} photos and {len(distractors)} distractors, {len(task.query)} queries")
    with threadpool_limits(1):
        for name, method in {
            "bow2cnn": Ours(options.results, folder, task),
            f"ASMK {options.words}": Asmk(own, distractors, task, options),
        }.items():
            rankings, seconds = [], 0.0
            for query in task.query.tolist():
                features = own[query]
                begin = time.perf_counter()
                found = method.rank(*features)
                seconds += time.perf_counter() - begin
                # Rows of the benchmark's photos; what lies beyond are distractors.
                rankings.append(np.where(found < len(task.database), task.database[found % len(task.database)], len(own) + found))
            scores = {protocol: np.nanmean(score_rankings(rankings, truth)["mAP"]) for protocol, truth in task.truth.items()}
            maps = ", ".join(f"{protocol} {score:.2f}" for protocol, score in scores.items())
            print(f"{name}: mAP {maps}; {1000 * seconds / len(rankings):.1f} ms per query")


class Ours:
    """The index of the benchmark's database and the distractors; no watermarks are left out, since ASMK sees them too."""

    def __init__(self, results, folder, task):
        photos = BenchmarkPhotos(results / "vocabulary/vocabulary.h5", folder / "collection.h5", folder / "features.h5", 1)
        others = read_words(sorted((results / "words").glob("shard-*.h5")))
        sizes = artefact.read(results / "collection/collection.h5", "collection", ["width", "height"])
        first = photos.forward(task.database)
        forward = {name: np.concatenate([first[name], others[name]]) for name in first if name != "offset"}
        forward["offset"] = artefact.offsets(np.concatenate([np.diff(first["offset"]), np.diff(others["offset"])]))
        size = np.concatenate([photos.size[task.database], np.stack(list(sizes.values()), 1)])
        self._vocabulary, self._soft = photos.vocabulary, DEFAULTS["soft_words"]
        self._engine = Engine(index_arrays(forward, size, len(self._vocabulary)), max_hamming=24)

    def rank(self, keypoint, descriptor):
        words = sorted_words(descriptor, keypoint, np.array([0, len(descriptor)]), self._vocabulary, self._soft)
        query = Words(words["word"], words["signature"], words["keypoint"], words["feature"], (0, 0))
        return self._engine.rank(query, len(self._engine))[0]


class Asmk:
    """ASMK's codebook and inverted file of the same photos."""

    def __init__(self, own, distractors, task, options):
        steps = STEPS | {"train_codebook": {"codebook": {"size": options.words}}}
        method = ASMKMethod.initialize_untrained(steps).train_codebook(_sample(distractors, options.sample))
        photos = [own[row][1] for row in task.database.tolist()] + [distractors[row][1] for row in range(len(distractors))]
        builder = method.create_ivf_builder()
        for number, descriptor in enumerate(photos):
            if len(descriptor):
                builder.add(_unit(descriptor), np.full(len(descriptor), number))
        self._method = method.add_ivf_builder(builder)

    def rank(self, _, descriptor):
        return self._method.query_ivf(_unit(descriptor), np.zeros(len(descriptor), int))[2][0]


def _sample(store, count):
    """Descriptors drawn at random, float32 [count, 128]."""
    everything = np.concatenate([store[row][1] for row in range(len(store))])
    return _unit(np.random.default_rng(0).choice(everything, min(count, len(everything)), replace=False))


def _unit(descriptor):
    return descriptor.astype(np.float32) / np.float32(DESCRIPTOR_SCALE)


if __name__ == "__main__":
    main()
