"""Read an exported database with the loader of the reference trainer: does it load, and do its tuples keep its rules?

    git clone https://github.com/filipradenovic/cnnimageretrieval-pytorch reference
    python -m bow2cnn export retrieval-sfm RESULTS DATABASE
    python bench/reference_loader.py reference DATABASE [--tuples 50] [--pool 200]

The loader (Radenovic, Tolias, Chum, TPAMI 2018; class TuplesDataset) is used unchanged. Some of its requirements are replaced because they
are not installed here: torchvision's name of an image library, a constant that newer versions of Pillow lack, a GPU (vectors stay in
memory), and the network (the mean colour of a photo is enough).
"""

import argparse
import importlib
import sys
import tempfile
import types
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from bow2cnn.export.training_database import NAME


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reference", type=Path)
    parser.add_argument("database", type=Path)
    parser.add_argument("--tuples", type=int, default=50)
    parser.add_argument("--pool", type=int, default=200)
    options = parser.parse_args()
    stand_in(options.reference)
    traindataset = importlib.import_module("cirtorch.datasets.traindataset")

    name = Path(NAME).stem
    with tempfile.TemporaryDirectory() as root:
        (Path(root) / "train").mkdir()
        (Path(root) / "train" / name).symlink_to(options.database.resolve())
        traindataset.get_data_root = lambda: root
        for mode in ("train", "val"):
            dataset = traindataset.TuplesDataset(
                name, mode, imsize=64, nnum=5, qsize=options.tuples, poolsize=options.pool, transform=to_tensor
            )
            dataset.nnum = min(5, len(set(dataset.clusters)) - 1)  # it counts on more places than negatives
            dataset.create_epoch_tuples(MeanColour())
            print(f"{mode}: {len(dataset.images)} photos, {len(dataset.qpool)} pairs; {describe(dataset)}", flush=True)


def describe(dataset):
    """Number of tuples that were drawn, and number of those that keep the rules."""
    kept = 0
    for number, (query, positive, negatives) in enumerate(zip(dataset.qidxs, dataset.pidxs, dataset.nidxs, strict=True)):
        photos, target = dataset[number]
        places = [dataset.clusters[int(photo)] for photo in negatives]
        right = dataset.clusters[query] == dataset.clusters[positive] and dataset.clusters[query] not in places
        kept += right and query != positive and len(set(places)) == len(places) == len(photos) - 2 == len(target) - 2
    return f"{len(dataset)} tuples drawn and loaded, {kept} of them with a positive of the query's place and negatives of as many others"


def to_tensor(photo):
    return torch.from_numpy(np.asarray(photo, np.float32) / 255).permute(2, 0, 1)


class MeanColour:
    """The part of a network that the loader uses."""

    meta = types.MappingProxyType({"outputdim": 3})

    def __call__(self, photos):
        return torch.nn.functional.normalize(photos.mean((2, 3)), dim=1).T

    def meta_repr(self):
        return "mean colour"

    def cuda(self):
        return self

    def eval(self):
        return self


def stand_in(reference):
    """Make the clone's modules importable, each by itself: its packages import torchvision, of which only names are replaced here."""
    for package in ("cirtorch", *(f"cirtorch.{room}" for room in ("datasets", "examples", "layers", "networks", "utils"))):
        sys.modules[package] = types.ModuleType(package)
        sys.modules[package].__path__ = [str(reference.joinpath(*package.split(".")))]
    for name in ("torchvision", "torchvision.models", "torchvision.transforms"):
        sys.modules[name] = types.ModuleType(name)
    sys.modules["torchvision"].get_image_backend = lambda: "PIL"
    Image.ANTIALIAS = Image.LANCZOS
    torch.Tensor.cuda = lambda self: self


if __name__ == "__main__":
    main()
