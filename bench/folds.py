"""What the recipes of a config are worth when every model of a run validates once.

    python bench/folds.py CONFIG RESULTS FOLDER [--folds 3]

CONFIG names the experiments (`bench/folds.yaml`), RESULTS is a run whose models, graph and features are used. The places are
dealt to `--folds` parts; every experiment is trained once without each part and validated on it, so no network is judged by a place that it
has seen. Nothing of a benchmark is read. FOLDER keeps what is finished; the command goes on from there.

Printed are mAP of the untrained network, the gain, and the gain less that of the first experiment with the same network, means over all
queries of all parts; in brackets the widths of their one-sided 95 % intervals. Photos of one place are no independent samples, so it is
places that are drawn again, not queries (bootstrap of clusters; Davison and Hinkley, Bootstrap Methods and their Application, 1997,
section 3.8).

How a default is chosen by it: the value of the paper stays unless another gains more than that width over it.
"""

import argparse
from pathlib import Path

import numpy as np
import yaml

from bow2cnn import artefact
from bow2cnn.config import load
from bow2cnn.description.describe import describe_collection
from bow2cnn.evaluation.validation import read_validation, validation_scores
from bow2cnn.pairs.mine import mine_pairs
from bow2cnn.split.split import DROPPED, TRAIN, VALIDATION, find_components
from bow2cnn.training.start import start_network
from bow2cnn.training.train import train_experiment

SCHEMA = Path(__file__).parents[1] / "workflow/schemas/config.schema.yaml"
ELSEWHERE = ("weights", "whitening", "dimensions")  # settings of other stages


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--folds", type=int, default=3)
    options = parser.parse_args()
    config = load(yaml.safe_load(options.config.read_text()), SCHEMA)
    bench = Folds(config, options.results, options.folder, options.folds)
    for fold in range(options.folds):
        for name in config["experiments"]:
            bench.train(name, fold)
    report(bench)


class Folds:
    """The places of a run in parts, and the networks of every experiment trained without each."""

    def __init__(self, config, results, folder, folds):
        self.config, self._results, self._folder, self._folds = config, results, folder, folds
        folder.mkdir(parents=True, exist_ok=True)
        self._collection = results / "collection/collection.h5"
        self._pairs = [self._mine(fold) for fold in range(folds)]

    def _mine(self, fold):
        """The `pairs` artefact of a part."""
        out = self._folder / f"pairs-{fold}.h5"
        if out.exists():
            return out
        split, changed = self._results / "split/split.h5", self._folder / f"split-{fold}.h5"
        arrays = artefact.read(split, "split")
        part = parts_of(units_of(arrays), artefact.read(self._results / "models/models.h5", "models", ["photo_offset"]), self._folds)
        usable = arrays["side"] != DROPPED
        arrays["side"] = np.where(usable, np.where(part == fold, VALIDATION, TRAIN), DROPPED).astype(np.int8)
        artefact.write(changed, "split", arrays, {})
        config, results = self.config, self._results
        mine_pairs(
            models=results / "models/models.h5",
            split=changed,
            graph=results / "discovery/graph.h5",
            clusters=results / "discovery/clusters.h5",
            index=results / "index/index.h5",
            out=out,
            validation=1 / self._folds,
            shortlist=config["retrieval"]["shortlist"],
            max_hamming=config["retrieval"]["max_hamming"],
            seed=config["seed"],
            threads=config["threads"],
            **config["pairs"],
        )
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
            pairs=self._pairs[fold],
            collection=self._collection,
            start=self.start_of(name),
            network=out,
            history=self._folder / f"{name}-{fold}-history.h5",
            state=self._folder / "state",
            settings={key: value for key, value in config["experiments"][name].items() if key not in ELSEWHERE},
            seed=config["seed"],
            threads=config["threads"],
        )

    def scores(self, name, trained):
        """AP of every query of every part, by the networks trained without it or by the untrained one, and the query's place."""
        scores, places = [], []
        for fold, pairs in enumerate(self._pairs):
            validation = read_validation(pairs)
            described = self._describe(self._folder / f"{name}-{fold}.h5" if trained else self.start_of(name))
            scores.append(validation_scores(validation, described))
            places.append(artefact.read(pairs, "pairs", ["group"])["group"][validation.query])
        return np.concatenate(scores), np.concatenate(places)

    def _describe(self, network):
        out = network.with_name(f"{network.stem}-descriptors.h5")
        if not out.exists():
            describe_collection(network, self._collection, out, threads=self.config["threads"], **self.config["description"])
        return artefact.read(out, "descriptors", ["descriptor"])["descriptor"]


def units_of(split):
    """The number of every model's component of places that doubt links, which stay in one part."""
    unit = np.arange(int(split["place"].max(initial=-1)) + 1)
    for component in find_components(np.unique(split["place"][split["side"] != DROPPED]).tolist(), split["doubt"]):
        unit[list(component)] = min(component)
    return np.unique(unit[split["place"]], return_inverse=True)[1]


def parts_of(place, models, folds):
    """Part of every model: places are dealt by falling number of photos, to and fro, so that the parts are of equal size."""
    photos = np.bincount(place, np.diff(models["photo_offset"]))
    rank = np.argsort(np.argsort(-photos, kind="stable"))
    turn, seat = np.divmod(rank, folds)
    return np.where(turn % 2, folds - 1 - seat, seat)[place]


def report(bench):
    first, untrained = {}, {}
    print("| experiment | untrained | gain (width) | gain less the first's (width) |")
    print("|---|---|---|---|")
    for name, settings in bench.config["experiments"].items():
        network = settings["network"], settings["pooling"]
        if network not in untrained:
            untrained[network], _ = bench.scores(name, trained=False)
        before = untrained[network]
        after, places = bench.scores(name, trained=True)
        first.setdefault(network, after)
        gain, difference = ((after - other).mean() for other in (before, first[network]))
        widths = [width_over_places(after - other, places) for other in (before, first[network])]
        print(f"| {name} | {before.mean():.2f} | {gain:+.2f} ({widths[0]:.2f}) | {difference:+.2f} ({widths[1]:.2f}) |")
    print(f"{len(places)} queries of {len(np.unique(places))} places")


def width_over_places(values, places, samples=10_000):
    """Mean of the values less the 5 % quantile of what it is when places are drawn again."""
    _, number = np.unique(places, return_inverse=True)
    total, count = np.bincount(number, values), np.bincount(number)
    drawn = np.random.default_rng(0).integers(0, len(count), (samples, len(count)))
    return float(values.mean() - np.quantile(total[drawn].sum(1) / count[drawn].sum(1), 0.05))


if __name__ == "__main__":
    main()
