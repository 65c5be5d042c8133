"""Tuples per second of our training and of cirtorch's own loop.

    git clone https://github.com/filipradenovic/cnnimageretrieval-pytorch reference
    python bench/training_speed.py reference PHOTOS TRUTH.csv [--network efficientnet-lite0] [--weights FILE] [--image-size 362]
        [--photos 300] [--tuples 40] [--epochs 3] [--batch 5] [--negatives 5] [--threads 2] [--seed 0]

Both train the same steps: the same tuples in the same order (drawn from PHOTOS with the places of TRUTH.csv; the negatives are the most
similar photos of different places by the starting network), GeM pooling, the same weights, contrastive loss (margin 0.7), Adam (learning
rate 1e-6, weight decay 1e-6; ten times the rate and no decay for GeM's p), photos of the same size. Each runs in a process of its own on
the same `--threads` cores. The time is that from the files to the last step, without mining, validation and checkpoints. Nothing else may
use these cores: the threads of cirtorch's side wait for each other in every layer, so other jobs slow it down far more than ours.

- cirtorch (Radenovic, Tolias, Chum, TPAMI 2018): the function `train` of `cirtorch/examples/train.py` in the clone, unchanged, with the
  clone's `ImageRetrievalNet`, `GeM`, `ContrastiveLoss`, `TuplesDataset` and `collate_tuples`. torch computes with `--threads` threads, and
  `--threads` processes load photos.
- Ours: the steps of `training.loop`, with `gradient`, `batches`, `cache` and the moving average, in `--threads` worker threads. The time to
  fill the cache of photos counts; the script prints it.

These parts of cirtorch are replaced: `create_epoch_tuples` takes the tuples instead of mining them; torchvision gives its names alone
(ToTensor, Normalize and the layers of the networks are those of `plain_networks.py`); Pillow's former constant `ANTIALIAS` is `LANCZOS`;
`.cuda()` does nothing; the data loader keeps the order of the tuples, and has neither pinned memory nor 8 processes. cirtorch does not know
efficientnet-lite0: its `ImageRetrievalNet` gets the layers of that network's own package.

The two shrink photos in different ways, so their losses differ slightly; the script prints both. The memory is that of all processes of a
side (PSS), without that of the imports.
"""

import argparse
import contextlib
import importlib
import os
import pickle
import tempfile
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from clock import Clock
from plain_networks import NETWORKS, load_on_cores, plain_input, plain_layers
from reference_loader import stand_in
from separate_process import in_separate_process
from truth import read_labels

from bow2cnn.descriptors.describe import describe_photos
from bow2cnn.network.workers import Workers
from bow2cnn.pairs.exclusions import NegativeRule
from bow2cnn.training.batches import TupleLoader
from bow2cnn.training.cache import PhotoCache
from bow2cnn.training.gradient import Gradient
from bow2cnn.training.hard_negatives import mine_negatives
from bow2cnn.training.moving_average import moving_average
from bow2cnn.training.optimiser import make_optimiser
from bow2cnn.training.settings import Settings

RECIPE = {"margin": 0.7, "learning_rate": 1e-6, "weight_decay": 1e-6}
_DATABASE = "retrieval-SfM-bench"
_MODULES = (
    "examples.train",
    "networks.imageretrievalnet",
    "layers.pooling",
    "layers.loss",
    "datasets.traindataset",
    "datasets.datahelpers",
)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reference", type=Path)
    parser.add_argument("folder", type=Path, metavar="PHOTOS")
    parser.add_argument("truth", metavar="TRUTH.csv")
    parser.add_argument("--network", choices=NETWORKS, default="efficientnet-lite0")
    parser.add_argument("--weights", type=Path, help="file; those that come with the installation by default")
    parser.add_argument("--image-size", type=int, default=362)
    parser.add_argument("--photos", type=int, default=300)
    parser.add_argument("--tuples", type=int, default=40, help="per epoch")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch", type=int, default=5)
    parser.add_argument("--negatives", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.tuples -= options.tuples % options.batch  # cirtorch drops the last batch if it is not full
    paths, place = draw_photos(options)
    epochs = in_separate_process(draw_tuples, paths, place, options, threads=options.threads)["epochs"]
    total = options.epochs * options.tuples
    print(f"{options.network}, {options.image_size} pixels, {len(paths)} photos, {total} tuples of {2 + options.negatives} photos")
    rates = {}
    for name, train in (("cirtorch", train_theirs), ("bow2cnn", train_ours)):
        found = in_separate_process(train, paths, epochs, options, threads=options.threads, children=True)
        rates[name] = total / found["seconds"]
        print(f"{name}: {rates[name]:.3f} tuples per second ({total / found['processor']:.3f} per second of processor time)")
        print(f"  peak memory {found['own'] / 2**20:.0f} MB, and {found['mapped'] / 2**20:.0f} MB of mapped files")
        print(f"  mean loss by epoch: {', '.join(f'{loss:.4f}' for loss in found['loss'])}")
        if "filled" in found:
            print(f"  of {found['seconds']:.1f} s, filling the cache took {found['filled']:.1f} s", flush=True)
    print(f"bow2cnn trains {rates['bow2cnn'] / rates['cirtorch']:.2f} times as many tuples per second")


def draw_photos(options):
    """Paths of some photos with a place, and their places, numbered from 0."""
    places = {name: place for name, place in read_labels([options.truth]).items() if place != "-" and (options.folder / name).is_file()}
    names = np.random.default_rng(options.seed).permutation(sorted(places))[: options.photos]
    return [str(options.folder / name) for name in names], np.unique([places[name] for name in names], return_inverse=True)[1]


def draw_tuples(paths, place, options):
    """The tuples of every epoch, as `EpochSampler.mine` returns them."""
    model = load_on_cores(options)
    descriptors, missing = describe_photos(
        model, [partial(model.input.load, path, options.image_size) for path in paths], [1.0], options.threads, None
    )
    if missing.any():
        raise SystemExit(f"{paths[int(missing.argmax())]}: cannot be decoded; take other photos")
    generator, rows, epochs = np.random.default_rng(options.seed), np.arange(len(paths)), []
    matched = np.flatnonzero(np.bincount(place)[place] > 1)
    rule = NegativeRule(place, place, np.ones(len(paths)))
    if len(matched) < options.tuples or place.max() < options.negatives:
        raise SystemExit(
            f"{len(matched)} queries of {place.max() + 1} places are too few; raise --photos, or lower --tuples or --negatives"
        )
    for _ in range(options.epochs):
        query = generator.permutation(matched)[: options.tuples]
        positive = [generator.choice(np.flatnonzero((place == place[row]) & (rows != row))) for row in query]
        photo, _ = mine_negatives(descriptors, query, rows, rule, options.negatives, "diverse")
        epochs.append({"query": query.tolist(), "positive": np.array(positive).tolist(), "photo": photo.tolist()})
    return {"epochs": epochs}


def train_ours(paths, epochs, options):
    model = load_on_cores(options)
    sizes = {"negatives": options.negatives, "batch": options.batch, "image_size": options.image_size}
    settings = Settings.of({"network": options.network, **sizes, **RECIPE})
    average, optimiser = moving_average(model, settings.ema_decay), make_optimiser(model, settings)
    rows = np.unique([row for tuples in epochs for name in tuples for row in np.ravel(tuples[name])])
    losses = []
    with tempfile.TemporaryDirectory() as folder:
        clock, total = Clock(), Clock()
        photos = PhotoCache(folder, paths, rows, model.input, settings.image_size, options.threads, "bench")
        filled, _ = clock.lap()
        every = np.arange(len(paths))
        batches = TupleLoader(photos, settings, options.seed, None, NegativeRule(every, every, np.ones(len(paths))))
        for epoch, found in enumerate(epochs, 1):
            loss, tuples = 0.0, {name: np.array(values) for name, values in found.items()}
            with Workers(options.threads) as workers:
                gradient = Gradient(model, workers, settings.image_size)
                for start in range(0, options.tuples, options.batch):
                    loss += gradient.accumulate(*batches.make(tuples, range(start, start + options.batch), epoch))
                    optimiser.step()
                    average.update_parameters(model)
            losses.append(loss / options.tuples)
        seconds, processor = total.lap()
    return {"seconds": seconds, "processor": processor, "loss": losses, "filled": filled}


def train_theirs(paths, epochs, options):
    start = load_on_cores(options)
    stand_in(options.reference)
    loop, networks, layers, losses, datasets, helpers = (importlib.import_module(f"cirtorch.{name}") for name in _MODULES)
    model = networks.ImageRetrievalNet(plain_layers(start), None, layers.GeM(), None, {"outputdim": start.dimension})
    criterion = losses.ContrastiveLoss(margin=RECIPE["margin"])
    rate, decay = RECIPE["learning_rate"], RECIPE["weight_decay"]
    groups = [{"params": model.features.parameters()}, {"params": model.pool.parameters(), "lr": 10 * rate, "weight_decay": 0}]
    optimiser = torch.optim.Adam(groups, rate, weight_decay=decay)
    tuples = given_tuples(datasets, paths, epochs, start.input, options)
    loader = torch.utils.data.DataLoader(
        tuples, options.batch, num_workers=options.threads, drop_last=True, collate_fn=helpers.collate_tuples
    )
    loop.args = SimpleNamespace(update_every=1, print_freq=10)
    clock = Clock()
    with open(os.devnull, "w") as nothing, contextlib.redirect_stdout(nothing):
        means = [loop.train(loader, model, criterion, optimiser, epoch) for epoch in range(len(epochs))]
    seconds, processor = clock.lap()
    return {"seconds": seconds, "processor": processor, "loss": means}


def given_tuples(datasets, paths, epochs, input, options):
    """cirtorch's data set of tuples, whose `create_epoch_tuples` takes those of the next epoch instead of mining."""
    coming = iter(epochs)

    class GivenTuples(datasets.TuplesDataset):
        def create_epoch_tuples(self, _):
            tuples = next(coming)
            self.qidxs, self.pidxs, self.nidxs = tuples["query"], tuples["positive"], tuples["photo"]

    with tempfile.TemporaryDirectory() as root:
        folder = Path(root) / "train" / _DATABASE
        folder.mkdir(parents=True)
        database = {"cids": paths, "cluster": [0] * len(paths), "qidxs": list(range(options.tuples)), "pidxs": []}
        (folder / f"{_DATABASE}.pkl").write_bytes(pickle.dumps({"train": database}))
        datasets.get_data_root = lambda: root
        transform = partial(plain_input, mean=input.mean, deviation=input.deviation)
        sizes = {"imsize": options.image_size, "nnum": options.negatives, "qsize": options.tuples}
        found = GivenTuples(_DATABASE, "train", transform=transform, **sizes)
    found.images = paths  # not in the folders of its own data
    return found


if __name__ == "__main__":
    main()
