"""How much the teacher's mAP varies with the vocabulary: by chance, and because it was trained before the collection grew.

    python bench/vocabularies.py CONFIG RESULTS [--late 20] [--seeds 8]

CONFIG is a run's config (tests/configs/riviera.yaml), RESULTS is that run. A grown run keeps the vocabulary of the photos that it began
with, so it ranks a benchmark differently from a new run. Here `--seeds` vocabularies are trained on the features of all photos, and as many
without one of every `--late` photos; every benchmark is ranked with each. The output has means over the vocabularies, the standard
deviation of one vocabulary, and the difference within a seed: its mean with its standard error, and the largest.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import yaml

from bow2cnn.config.load import load
from bow2cnn.core import artefact
from bow2cnn.core.progress import progress
from bow2cnn.evaluation.metrics import score_rankings
from bow2cnn.evaluation.systems import bow_rankings
from bow2cnn.retrieval.rank_benchmark import rank_benchmark
from bow2cnn.run.run import Run
from bow2cnn.vocabulary.train import train_vocabulary


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("--late", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=8)
    options = parser.parse_args()
    config = load(yaml.safe_load(options.config.read_text()))
    run = Run.open(options.results)
    features = run.shards("features")
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        early = [without_late(path, folder / path.name, options.late) for path in features]
        scores = {"early": [], "all": []}
        for seed in progress(range(1, options.seeds + 1), "vocabularies"):
            for name, paths in (("early", early), ("all", features)):
                scores[name].append(teacher(config, run, paths, folder, seed))
    for row in scores["all"][0]:
        before, after = (np.array([found[row] for found in scores[name]]) for name in ("early", "all"))
        deviation = np.sqrt((before.var(ddof=1) + after.var(ddof=1)) / 2)
        difference = before - after
        error = difference.std(ddof=1) / np.sqrt(options.seeds)
        print(
            f"{row}: early {before.mean():.2f}, all {after.mean():.2f}, one vocabulary +- {deviation:.2f}, "
            f"difference {difference.mean():+.2f} +- {error:.2f}, at most {np.abs(difference).max():.2f}"
        )


def without_late(path, out, late):
    """Write the part of a `features` artefact that a vocabulary needs, without one of every `late` photos."""
    arrays = artefact.read(path, "features", ["offset", "descriptor", "error"])
    kept = np.arange(len(arrays["error"])) % late != 0
    lengths = np.diff(arrays["offset"])
    arrays = {
        "offset": artefact.offsets(lengths[kept]),
        "descriptor": arrays["descriptor"][np.repeat(kept, lengths)],
        "error": [error for error, keep in zip(arrays["error"], kept, strict=True) if keep],
    }
    artefact.write(out, "features", arrays, {})
    return out


def teacher(config, run, features, folder, seed):
    """mAP by row of the table, with a vocabulary of its own, and the mean of all rows."""
    vocabulary, threads = folder / "vocabulary.h5", config["threads"]
    train_vocabulary(features=features, out=vocabulary, seed=seed, threads=threads, **config["vocabulary"])
    found = {}
    for benchmark in config["benchmarks"]:
        ranking = folder / "ranking.h5"
        rank_benchmark(
            vocabulary=vocabulary,
            collection=run.path("benchmark_photos", benchmark),
            features=run.path("benchmark_features", benchmark),
            truth=run.path("truth", benchmark),
            out=ranking,
            seed=seed,
            threads=threads,
            **config["retrieval"],
            **config["watermarks"],
        )
        truth = run.truth(benchmark)
        for steps, lists in bow_rankings(truth, ranking, benchmark).items():
            for protocol, answers in truth.protocols.items():
                found[f"{benchmark} {protocol} {steps or 'plain'}"] = np.nanmean(score_rankings(lists, answers)["mAP"])
    return found | {"mean of the rows": np.mean(list(found.values()))}


if __name__ == "__main__":
    main()
