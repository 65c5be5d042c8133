"""Compare the teacher's plain ranking with ASMK's on the same features, with a whole collection as distractors, each on one thread.

    python -m pip install cython && python -m pip install --no-build-isolation asmk
    python bench/scoring.py RESULTS BENCHMARK [--words 16k] [--sample 200000] [--rows bow2cnn ASMK]

RESULTS is a run up to the stage `retrieval` with the benchmark BENCHMARK. The database has the photos of the benchmark and all photos of
the collection; both codebooks are trained on the collection. ASMK (Tolias, Avrithis, Jegou, ICCV 2013; the authors' package, binary, with
the parameters of their HOW configuration) trains `--words` words on `--sample` features. The time of a query begins with its features and
ends with its ranking.
"""

import argparse
import time
from pathlib import Path

import faiss
import numpy as np
from asmk.asmk_method import ASMKMethod
from distractors import Pool
from threadpoolctl import threadpool_limits

from bow2cnn.features.sift import DESCRIPTOR_SCALE

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
    parser.add_argument("benchmark")
    parser.add_argument("--words", default="16k")
    parser.add_argument("--sample", type=int, default=200_000)
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    options = parser.parse_args()
    faiss.omp_set_num_threads(1)
    pool = Pool(options.results, options.benchmark)
    print(pool)
    with threadpool_limits(1):
        for name in options.rows:
            method, rankings, seconds = ROWS[name](pool, options), [], 0.0
            for query in pool.truth.query.tolist():
                features = pool.own[query]
                begin = time.perf_counter()
                rankings.append(method.rank(*features))
                seconds += time.perf_counter() - begin
            print(f"{name}: mAP {pool.maps(rankings)}; {1000 * seconds / len(rankings):.1f} ms per query")


class Ours:
    def __init__(self, pool, _):
        self._engine, self._words = pool.engine()

    def rank(self, keypoint, descriptor):
        return self._engine.rank(self._words(keypoint, descriptor), len(self._engine))[0]


class Asmk:
    """ASMK's codebook and inverted file of the same photos."""

    def __init__(self, pool, options):
        own, distractors, truth = pool.own, pool.distractors, pool.truth
        steps = STEPS | {"train_codebook": {"codebook": {"size": options.words}}}
        method = ASMKMethod.initialize_untrained(steps).train_codebook(_sample(distractors, options.sample))
        photos = [own[row][1] for row in truth.database.tolist()] + [distractors[row][1] for row in range(len(distractors))]
        builder = method.create_ivf_builder()
        for number, descriptor in enumerate(photos):
            if len(descriptor):
                builder.add(_unit(descriptor), np.full(len(descriptor), number))
        self._method = method.add_ivf_builder(builder)

    def rank(self, _, descriptor):
        return self._method.query_ivf(_unit(descriptor), np.zeros(len(descriptor), int))[2][0]


ROWS = {"bow2cnn": Ours, "ASMK": Asmk}


def _sample(store, count):
    """Descriptors drawn at random, float32 [count, 128]."""
    everything = np.concatenate([store[row][1] for row in range(len(store))])
    return _unit(np.random.default_rng(0).choice(everything, min(count, len(everything)), replace=False))


def _unit(descriptor):
    return descriptor.astype(np.float32) / np.float32(DESCRIPTOR_SCALE)


if __name__ == "__main__":
    main()
