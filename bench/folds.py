"""The gains of the recipes of a config, when every model of a run is used for validation once.

    python bench/folds.py CONFIG RESULTS FOLDER [--folds 3]

CONFIG names the experiments (`bench/folds.yaml`), RESULTS is a run whose models, graph and features are used. The places are divided into
`--folds` parts. Every experiment is trained once without each part and validated on it, so no network is measured on a place that it has
seen. No benchmark is read. FOLDER keeps what is finished; the same command again goes on from there.

The table has the mAP of the untrained network, the gain, and the gain minus that of the first experiment with the same network: means over
all queries of all parts. In brackets are the widths of the one-sided 95 % intervals, over places. For all experiments, epoch and share of
the way are chosen on the part on which the network is measured. So the gains are too large, but their differences are hardly affected.

How defaults are chosen: the value of the paper stays, unless another value gains more than that width over it.
"""

import argparse
from pathlib import Path

import numpy as np
import yaml

from bow2cnn.benchmarks.truth import read_truth
from bow2cnn.config.experiment import Experiment
from bow2cnn.config.load import load
from bow2cnn.core import artefact
from bow2cnn.descriptors.describe import describe_collection
from bow2cnn.evaluation.bootstrap import paired_gain
from bow2cnn.evaluation.validation import validation_scores
from bow2cnn.pairs.found import write_pairs
from bow2cnn.pairs.from_models import mine_pairs
from bow2cnn.run.run import Run
from bow2cnn.split.choose_validation_models import find_components
from bow2cnn.split.sides import DROPPED, TRAIN, VALIDATION
from bow2cnn.training.start import start_network
from bow2cnn.training.train_experiment import train_experiment

SAMPLES = 10_000  # resamplings


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--folds", type=int, default=3)
    options = parser.parse_args()
    config = load(yaml.safe_load(options.config.read_text()))
    bench = Folds(config, options.results, options.folder, options.folds)
    for fold in range(options.folds):
        for name in config["experiments"]:
            bench.train(name, fold)
    report(bench)


class Folds:
    """The places of a run in parts, and the networks of every experiment trained without each part."""

    def __init__(self, config, results, folder, folds):
        self.config, self._run, self._folder, self._folds = config, Run.open(results), folder, folds
        folder.mkdir(parents=True, exist_ok=True)
        self._collection = self._run.path("collection")
        self._pairs = [self._mine(fold) for fold in range(folds)]

    def _mine(self, fold):
        """The artefacts of the pairs of a part, by name."""
        names = ("positives", "negatives", "validation")
        out = {name: self._folder / f"pairs-{fold}/{name}.h5" for name in names}
        if out["validation"].exists():
            return out
        run, changed = self._run, self._folder / f"split-{fold}.h5"
        arrays = artefact.read(run.path("split"), "split")
        part = parts_of(units_of(arrays), run.models, self._folds)
        usable = arrays["side"] != DROPPED
        arrays["side"] = np.where(usable, np.where(part == fold, VALIDATION, TRAIN), DROPPED).astype(np.int8)
        artefact.write(changed, "split", arrays, {})
        config, models = self.config, run.path("models")
        found = mine_pairs(
            models=models,
            split=changed,
            collection=self._collection,
            graph=run.path("graph"),
            clusters=run.path("clusters"),
            index=run.path("index"),
            validation=1 / self._folds,
            shortlist=config["retrieval"]["shortlist"],
            max_hamming=config["retrieval"]["max_hamming"],
            seed=config["seed"],
            threads=config["threads"],
            **config["pairs"],
        )
        write_pairs(found, "models", models, **out)
        return out

    def start_of(self, name):
        """The untrained network of an experiment."""
        settings = self.config["experiments"][name]
        path = self._folder / f"start-{settings['network']}-{settings['pooling']}.h5"
        if not path.exists():
            start_network(settings["network"], settings["pooling"], settings["weights"], path)
        return path

    def train(self, name, fold):
        """The network of an experiment, trained without a part."""
        out = self._folder / f"{name}-{fold}.h5"
        if out.exists():
            return
        config = self.config
        train_experiment(
            **self._pairs[fold],
            collection=self._collection,
            start=self.start_of(name),
            network=out,
            history=self._folder / f"{name}-{fold}-history.h5",
            state=self._folder / "state",
            settings=Experiment.model_validate(config["experiments"][name]).of_training(),
            seed=config["seed"],
            threads=config["threads"],
        )

    def scores(self, name, trained):
        """AP of every query of every part, by the networks trained without the part or by the untrained network; and the number of the
        query's place.
        """
        scores, places, count = [], [], 0
        for fold, pairs in enumerate(self._pairs):
            described, missing = self._describe(self._folder / f"{name}-{fold}.h5" if trained else self.start_of(name), name)
            validation = read_truth(pairs["validation"]).without(missing)
            scores.append(validation_scores(validation, described))
            places.append(count + validation.place)
            count += len(np.unique(places[-1]))
        return np.concatenate(scores), np.concatenate(places)

    def _describe(self, network, name):
        """Descriptors by a network, as an experiment describes photos at test time."""
        size, scales = at_test_time(self.config["experiments"][name])
        out = network.with_name("-".join([network.stem, f"{size}px", *map(str, scales), "descriptors.h5"]))
        if not out.exists():
            describe_collection(network, self._collection, out, size, scales, self.config["threads"])
        found = artefact.read(out, "descriptors", ["descriptor", "missing"])
        return found["descriptor"], found["missing"]


def at_test_time(settings):
    """Size and scales by which an experiment describes photos outside the training."""
    return settings["test"]["image_size"], tuple(settings["test"]["scales"])


def units_of(split):
    """For every model the number of its component of places that doubtful pairs link; a component stays in one part."""
    unit = np.arange(int(split["place"].max(initial=-1)) + 1)
    for component in find_components(np.unique(split["place"][split["side"] != DROPPED]).tolist(), split["doubt"]):
        unit[list(component)] = min(component)
    return np.unique(unit[split["place"]], return_inverse=True)[1]


def parts_of(place, models, folds):
    """Part of every model. Places are dealt in the order of falling numbers of photos, to and fro, so that the parts have equal sizes."""
    photos = np.bincount(place, np.diff(models["photo_offset"]))
    rank = np.argsort(np.argsort(-photos, kind="stable"))
    turn, seat = np.divmod(rank, folds)
    return np.where(turn % 2, folds - 1 - seat, seat)[place]


def report(bench):
    first, untrained = {}, {}
    print("| experiment | untrained | gain (width) | gain less the first's (width) |")
    print("|---|---|---|---|")
    for name, settings in bench.config["experiments"].items():
        network = settings["network"], settings["pooling"], at_test_time(settings)
        if network not in untrained:
            untrained[network], _ = bench.scores(name, trained=False)
        before = untrained[network]
        after, places = bench.scores(name, trained=True)
        first.setdefault(network, after)
        found = (paired_gain(after, other, places, 0, SAMPLES) for other in (before, first[network]))
        print(f"| {name} | {before.mean():.2f} |", *(f"{gain['gain']:+.2f} ({gain['width']:.2f}) |" for gain in found))
    print(f"{len(places)} queries of {len(np.unique(places))} places")


if __name__ == "__main__":
    main()
