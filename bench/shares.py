"""Print the mAP of every experiment of a run at each share of the way from its starting network to its best epoch.

    python bench/shares.py RESULTS FOLDER [EXPERIMENT ...] [--shares 0.25 0.5 0.75 1] [--threads 2]

Every network is measured plain and whitened (`w`); the whitening is learned for it alone, and chosen by validation. Validation is the run's
own, on which epoch, share and whitening are chosen, so its figures are too good; no benchmark is looked at for any choice. Share 0 is the
starting network. FOLDER keeps what is finished; the same command again goes on from there.
"""

import argparse
from pathlib import Path

import numpy as np
from networks import column_title

from bow2cnn.descriptors.apply_steps import read_learned
from bow2cnn.descriptors.describe import describe_collection
from bow2cnn.evaluation.metrics import score_rankings
from bow2cnn.evaluation.systems import network_rankings
from bow2cnn.network.storage import load_network, save_network
from bow2cnn.run.run import Run
from bow2cnn.training.moving_average import copy_weights, interpolate
from bow2cnn.whitening.learn_whitening import learn_whitening


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("experiments", nargs="*")
    parser.add_argument("--source", default="models", help="the source of the pairs")
    parser.add_argument("--shares", type=float, nargs="+", default=[0.25, 0.5, 0.75, 1.0])
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    bench = Bench(options)
    print("| experiment | epoch | share |", *(f"{column} |" for column in bench.columns()), "whitening |")
    print("|---|---|---|" + "---|" * (len(bench.columns()) + 1))
    starts = set()
    for name in options.experiments or bench.run.experiments:
        history = bench.run.arrays("history", name)
        settings, share = history.params["settings"], float(history["tried/share"][history["tried/chosen"]])
        start, size = options.results / f"networks/{settings['network']}/network.h5", settings["test"]["image_size"]
        if (start, size) not in starts:
            starts.add((start, size))
            bench.row(f"{settings['network']}, {size} pixels", 0, 0.0, start, settings)
        if share == 0:
            print(f"| {name} | 0 | 0 | the starting network was kept |")
            continue
        for wanted in options.shares:
            bench.row(name, int(history["chosen"]), wanted, bench.network(name, start, share, wanted), settings)


class Bench:
    """Networks of a run, described and measured."""

    def __init__(self, options):
        self.run, self._options = Run.open(options.results), options
        options.folder.mkdir(parents=True, exist_ok=True)
        self._truths = {name: self.run.truth(name) for name in self.run.benchmarks}
        self._validation = self.run.validation(options.source)
        self._pairs = [self.run.path(name, options.source) for name in ("positives", "negatives", "validation")]

    def columns(self):
        titles = ["validation*", *(column_title(name, protocol) for name, truth in self._truths.items() for protocol in truth.protocols)]
        return [f"{title}{step}" for title in titles for step in ("", ", w")]

    def network(self, name, start, chosen, wanted):
        """The network at a share of the way. The run keeps one at the chosen share, and all lie on one line."""
        out = self._options.folder / f"{name}-{wanted:g}/network.h5"
        if not out.exists():
            out.parent.mkdir(exist_ok=True)
            model = load_network(self._options.results / f"experiments/{name}/network.h5")
            first = load_network(start)
            weights = copy_weights(model)
            model.load_state_dict(interpolate({**weights, **copy_weights(first)}, weights, wanted / chosen))
            save_network(out, model)
        return out

    def row(self, name, epoch, share, network, settings):
        """Describe everything by a network, whiten it, and print its mAP."""
        folder = self._options.folder / f"{name.replace(', ', '-').replace(' ', '-')}-{share:g}"
        folder.mkdir(exist_ok=True)
        paths = {"validation": folder / "collection.h5", **{name: folder / f"{name}.h5" for name in self._truths}}
        options = {**{key: settings["test"][key] for key in ("image_size", "scales")}, "threads": self._options.threads}
        if not paths["validation"].exists():
            describe_collection(network, self.run.path("collection"), paths["validation"], **options, negatives=self._pairs[1])
        for of in self._truths:
            if not paths[of].exists():
                photos, truth = self.run.path("benchmark_photos", of), self.run.path("truth", of)
                describe_collection(network, photos, paths[of], **options, truth=truth)
        whitening = folder / "whitening.h5"
        if not whitening.exists():
            learn_whitening(paths["validation"], *self._pairs, whitening)
        learned, cells = {"whitened": whitening}, []
        for of, truth in {"validation": self._validation, **self._truths}.items():
            ranked = dict(_maps(truth, paths[of], of != "validation", learned))
            plain, white = ranked.values()
            cells += [value for protocol in truth.protocols for value in (plain[protocol], white[protocol])]
        details = read_learned(["whitened"], learned)["whitened"].details
        print(f"| {name} | {epoch} | {share:g} |", *(f"{cell:.1f} |" for cell in cells), f"{details} |", flush=True)


def _maps(truth, descriptors, of_benchmark, learned):
    """For no step and for the whitening: the label, and mAP by protocol."""
    for label, ranked in network_rankings(truth, descriptors, of_benchmark, [["whitened"]], learned):
        rows = [order if of_benchmark else order[order != query] for (order, _), query in zip(ranked, truth.query, strict=True)]
        scored = {name: score_rankings(rows, answers)["mAP"] for name, answers in truth.protocols.items()}
        yield label, {name: float(np.nanmean(scores)) for name, scores in scored.items()}


if __name__ == "__main__":
    main()
