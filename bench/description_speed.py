"""Photos described per second by our code and by plain torch.

    python bench/description_speed.py PHOTOS [--network efficientnet-lite0] [--weights FILE] [--image-size 362] [--photos 200]
        [--threads 2] [--seed 0]

Both describe the same photos of the folder PHOTOS, drawn at random, from the file to the descriptor, on the same `--threads` cores, each
in a process of its own. The network has GeM pooling; the weights are the same. Nothing else may use these cores: the threads of plain torch
wait for each other in every layer, so other jobs slow it down far more than ours.

- Ours: `descriptors.describe.describe_photos`, as the stage calls it: worker threads with one photo each, JPEGs decoded at a smaller scale,
  photos shrunk by averages over areas, batch normalisation folded.
- Plain torch: a loop over the photos. Pillow opens the file, converts it to RGB and shrinks it (`thumbnail`, Lanczos). The values become
  those of torchvision's ToTensor and Normalize. The layers of the network's own package run with `--threads` threads under
  `torch.inference_mode()`, then the generalised mean and the L2 normalisation.

Each side first describes one photo that does not count. Then the script compares the descriptors: of the same pixels (the network alone;
they should differ by rounding only), and of the same files (the photos are shrunk in different ways).
"""

import argparse
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import torch
from clock import Clock
from PIL import Image
from plain_networks import NETWORKS, load_on_cores, plain_input, plain_layers
from separate_process import in_separate_process
from torch.nn import functional

from bow2cnn.descriptors.describe import describe_photo, describe_photos

_COMPARED = 20  # photos whose pixels both networks get


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="PHOTOS")
    parser.add_argument("--network", choices=NETWORKS, default="efficientnet-lite0")
    parser.add_argument("--weights", type=Path, help="file; those that come with the installation by default")
    parser.add_argument("--image-size", type=int, default=362)
    parser.add_argument("--photos", type=int, default=200)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    names = sorted(path.name for path in options.folder.iterdir() if path.suffix.lower() in (".jpg", ".jpeg"))
    drawn = np.random.default_rng(options.seed).permutation(names)[: options.photos]
    paths = [str(options.folder / name) for name in drawn]
    print(f"{options.network}, {options.image_size} pixels, {len(paths)} photos, {options.threads} threads")
    with tempfile.TemporaryDirectory() as folder:
        rates = {}
        for name, describe in (("plain torch", plainly), ("bow2cnn", by_us)):
            file = Path(folder) / f"{name}.npy"
            found = in_separate_process(describe, paths, file, options, threads=options.threads)
            rates[name] = len(paths) / found["seconds"]
            rate = f"{rates[name]:.2f} photos per second ({len(paths) / found['processor']:.2f} per second of processor time)"
            print(f"{name}: {rate}, peak memory {found['own'] / 2**20:.0f} MB", flush=True)
        print(f"bow2cnn describes {rates['bow2cnn'] / rates['plain torch']:.2f} times as many photos per second")
        theirs, ours = (np.load(Path(folder) / f"{name}.npy") for name in rates)
    found = in_separate_process(compare, paths[:_COMPARED], options, threads=options.threads)
    print(f"descriptors of the same pixels differ by at most {found['difference']:.1e} in any value")
    similarity = (theirs * ours).sum(1)
    print(f"cosine of the descriptors of the same file: mean {similarity.mean():.4f}, smallest {similarity.min():.4f}")


def by_us(paths, out, options):
    model = load_on_cores(options)
    loads = [partial(model.input.load, path, options.image_size) for path in paths]
    describe_photos(model, loads[:1], [1.0], options.threads, None)
    clock = Clock()
    described, missing = describe_photos(model, loads, [1.0], options.threads, None)
    seconds, processor = clock.lap()
    if missing.any():
        raise SystemExit(f"{paths[int(missing.argmax())]}: cannot be decoded; take other photos")
    np.save(out, described)
    return {"seconds": seconds, "processor": processor}


def plainly(paths, out, options):
    model = load_on_cores(options)
    layers = plain_layers(model)
    with torch.inference_mode():
        plain_descriptor(layers, plain_photo(paths[0], model.input, options.image_size))
        clock = Clock()
        described = [plain_descriptor(layers, plain_photo(path, model.input, options.image_size)) for path in paths]
        seconds, processor = clock.lap()
    np.save(out, np.stack(described))
    return {"seconds": seconds, "processor": processor}


def plain_photo(path, input, image_size):
    """The input of a network, float32 [3, h, w]."""
    photo = Image.open(path).convert("RGB")
    photo.thumbnail((image_size, image_size), Image.Resampling.LANCZOS)
    return plain_input(photo, input.mean, input.deviation)


def plain_descriptor(layers, x):
    """Descriptor of the input of a network, float32 [D], pooled by the generalised mean with an exponent of 3."""
    activations = layers(x[None])
    pooled = activations.clamp(min=1e-6).pow(3).mean((2, 3)).pow(1 / 3)
    return functional.normalize(pooled)[0].numpy()


def compare(paths, options):
    """The largest difference between the descriptors of the same pixels by both networks."""
    model = load_on_cores(options)
    layers, differences = plain_layers(model), []
    with torch.inference_mode():
        for path in paths:
            photo = model.input.load(path, options.image_size)
            plain = plain_descriptor(layers, plain_input(photo, model.input.mean, model.input.deviation))
            differences.append(float(np.abs(plain - describe_photo(model, photo)).max()))
    return {"difference": max(differences)}


if __name__ == "__main__":
    main()
