"""Send randomly corrupted JPEGs through the scan and the feature extraction. None may crash or stall it, and memory must stay bounded.

    python bench/fuzz.py --files 1000 --seed 0

The demo renders the photos, and a seed corrupts them. A child process lists them, extracts features and decodes every photo once more as
the later stages do. The script exits with 1 if a photo crashed or stalled a process, was changed, or took more memory than allowed.
"""

import argparse
import collections
import functools
import hashlib
import io
import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from bow2cnn.collection.scan import scan
from bow2cnn.core import artefact
from bow2cnn.core.isolated import work_apart
from bow2cnn.features import extract
from bow2cnn.photos.decode import PhotoError, read_rgb
from bow2cnn_demo.distractors import distractor
from bow2cnn_demo.photo import Tags, jpeg

SOURCES = 8
MIN_SIDE, MAX_PIXELS = 64, 100_000_000  # the config's defaults
SMALL = 400  # pixels; the colours of 3D points and the pictures of the report are read at about this size
MEGABYTE = 2**20


@functools.cache
def sources(seed):
    """Intact JPEGs: with and without EXIF, with four inks, rotated, progressive."""
    tags = Tags(28, 48.1, 11.2, "2016:07:01 12:00:00", 0)
    whole = []
    for number in range(SOURCES):
        image = distractor(seed, number, (320, 240))
        if number % 4 == 3:
            out = io.BytesIO()
            Image.fromarray(image).save(out, "JPEG", quality=80, progressive=True)
            whole.append(out.getvalue())
        else:
            whole.append(jpeg(image, tags if number % 2 else None, ("plain", "rotated", "cmyk")[number % 4]))
    return whole


def flip_bits(rng, data, other):
    """Flip up to 200 bits anywhere."""
    return _flipped(rng, data, 0, len(data), int(2 ** rng.uniform(0, 7.6)))


def flip_header(rng, data, other):
    """Flip some bits before the pixels: tables, sizes, components."""
    return _flipped(rng, data, 2, _pixels(data), int(rng.integers(1, 12)))


def flip_exif(rng, data, other):
    """Write random bytes into the EXIF block, which mostly holds offsets and counts."""
    place = data.find(b"Exif")
    if place < 0:
        return flip_header(rng, data, other)
    damaged = bytearray(data)
    for at in rng.integers(place, place + 200, rng.integers(1, 20)):
        damaged[at] = rng.integers(256)
    return bytes(damaged)


def cut_end(rng, data, other):
    """Cut off the end."""
    return data[: rng.integers(len(data))]


def cut_middle(rng, data, other):
    """Cut out a part."""
    start, stop = np.sort(rng.integers(0, len(data), 2))
    return data[:start] + data[stop:]


def splice_segments(rng, data, other):
    """Insert segments of another JPEG (or of this one, many times)."""
    own, foreign = _segments(data), _segments(other)
    at = int(rng.integers(1, len(own)))
    picked = foreign[int(rng.integers(len(foreign)))]
    return b"".join([*own[:at], picked * int(rng.choice([1, 1, 2, 200])), *own[at:]])


def splice_pixels(rng, data, other):
    """Replace the end by that of another JPEG."""
    return data[: rng.integers(len(data))] + other[rng.integers(len(other)) :]


def claim_size(rng, data, other):
    """Write another size than that of the pixels into the header, up to the largest that a JPEG can have."""
    return _resized(rng, data, 65536)


def claim_usable_size(rng, data, other):
    """Write the largest size that is still accepted into the header."""
    return _resized(rng, data, 10_000)


def write_noise(rng, data, other):
    """Write a run of random bytes."""
    start = int(rng.integers(len(data)))
    noise = rng.integers(0, 256, rng.integers(1, 2000), dtype=np.uint8).tobytes()
    return data[:start] + noise + data[start + len(noise) :]


def write_markers(rng, data, other):
    """Write JPEG markers at random places: restarts, ends, new scans."""
    damaged = bytearray(data)
    for at in rng.integers(2, len(data) - 2, rng.integers(1, 30)):
        damaged[at : at + 2] = bytes([0xFF, rng.integers(0xC0, 0x100)])
    return bytes(damaged)


CORRUPTIONS = (
    flip_bits, flip_header, flip_exif, cut_end, cut_middle, splice_segments, splice_pixels, claim_size, claim_usable_size,
    write_noise, write_markers,
)  # fmt: skip


def _flipped(rng, data, start, stop, count):
    damaged = bytearray(data)
    for at, bit in zip(rng.integers(start, stop, count), rng.integers(0, 8, count), strict=True):
        damaged[at] ^= 1 << bit
    return bytes(damaged)


def _segments(data):
    """A JPEG cut before every segment; the last piece holds the pixels."""
    at, parts = 2, [data[:2]]
    while data[at + 1] != 0xDA:
        size = 2 + int.from_bytes(data[at + 2 : at + 4])
        parts.append(data[at : at + size])
        at += size
    return [*parts, data[at:]]


def _pixels(data):
    """Offset of the pixels."""
    return len(data) - len(_segments(data)[-1]) + 14


def _resized(rng, data, limit):
    at = next(data.find(bytes([0xFF, code])) for code in (0xC0, 0xC2) if bytes([0xFF, code]) in data)
    height, width = (int(side).to_bytes(2) for side in rng.integers(1, limit, 2))
    return data[: at + 5] + height + width + data[at + 9 :]


def write_files(folder, files, seed):
    """Write corrupted JPEGs with the corruptions in turn; returns the sha256 of all of them."""
    whole, total = sources(seed), hashlib.sha256()
    for number in range(files):
        rng = np.random.default_rng([seed, number])
        first, second = (whole[i] for i in rng.choice(len(whole), 2, replace=False))
        data = CORRUPTIONS[number % len(CORRUPTIONS)](rng, first, second)
        (folder / f"{number:05d}.jpg").write_bytes(data)
        total.update(data)
    return total.hexdigest()


def fuzz(files, seed, memory, seconds, folder):
    """Let a child process read a number of corrupted JPEGs.

    Args:
        memory: limit for a process in megabytes; the address space is limited to twice as much.
        seconds: time limit for a photo.
        folder: an empty folder.

    Returns:
        dict with `usable`, `rejected` and `broken` (reason to number), `crashes`, `hangs`, `touched`, `memory` (peak, megabytes) and
        `seconds`.
    """
    photos = Path(folder) / "photos"
    photos.mkdir()
    written = write_files(photos, files, seed)
    limit = 2 * memory * MEGABYTE
    start = time.monotonic()
    command = [sys.executable, __file__, "--child", str(folder), "--seconds", str(seconds)]
    try:
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            timeout=60 + files * 2 + seconds,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
            check=False,
        )
    except subprocess.TimeoutExpired:
        found = {"usable": 0, "rejected": {}, "broken": {}, "crashes": 0, "hangs": 1, "memory": 0}
    else:
        crashed = {"usable": 0, "rejected": {}, "broken": {}, "crashes": 1, "hangs": 0, "memory": 0}
        found = crashed if done.returncode else json.loads(done.stdout.splitlines()[-1])
    total = hashlib.sha256()
    for path in sorted(photos.iterdir()):
        total.update(path.read_bytes())
    return {**found, "touched": int(total.hexdigest() != written), "seconds": time.monotonic() - start}


def look(folder, seconds):
    """The child: scans, extracts features, decodes every photo small, and prints the findings as JSON."""
    folder = Path(folder)
    scan([folder / "photos"], folder, 1, MIN_SIDE, MAX_PIXELS)
    extract._SECONDS, extract._SECONDS_PER_MEGAPIXEL = seconds, 0.0
    extract.extract_features(folder / "collection.h5", folder / "features.h5", 2, 2000, 1024)
    collection = artefact.read(folder / "collection.h5", "collection", ["path", "rejected/reason"])
    errors = [error for error in artefact.read(folder / "features.h5", "features", ["error"])["error"] if error]
    small = [str(result) for _, result in work_apart(_decode, collection["path"], 2, [seconds] * len(collection["path"])) if result]
    every = errors + small
    found = {
        "usable": len(collection["path"]),
        "rejected": _counted(collection["rejected/reason"]),
        "broken": _counted(errors),
        "crashes": sum(error.startswith("its process died") for error in every),
        "hangs": sum(error.startswith("took longer") for error in every),
        "memory": max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) // 1024,
    }
    print(json.dumps(found))


def _decode(path):
    """Why a photo cannot be decoded small; empty if it can."""
    try:
        read_rgb(path, SMALL)
    except PhotoError as error:
        return str(error)
    return ""


def _counted(reasons):
    """Reason to number, most frequent first. Numbers within a reason are ignored."""
    return dict(collections.Counter(re.sub(r"\d+", "N", reason) for reason in reasons).most_common())


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--memory", type=int, default=1500, help="megabytes that a process may take")
    parser.add_argument("--seconds", type=float, default=20.0, help="that a photo may take")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.child:
        look(options.child, options.seconds)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        found = fuzz(options.files, options.seed, options.memory, options.seconds, folder)
    print(f"{options.files} corrupted JPEGs, seed {options.seed}, {found['seconds']:.0f} s")
    print(f"usable: {found['usable']}, of which {sum(found['broken'].values())} gave no features:")
    print(*(f"  {count} {reason}" for reason, count in found["broken"].items()), sep="\n")
    print(f"rejected: {sum(found['rejected'].values())}")
    print(*(f"  {count} {reason}" for reason, count in found["rejected"].items()), sep="\n")
    print(f"crashes: {found['crashes']}, hangs: {found['hangs']}, photos touched: {found['touched']}")
    print(f"peak memory of a process: {found['memory']} MB (allowed: {options.memory})")
    return int(bool(found["crashes"] or found["hangs"] or found["touched"] or not 0 < found["memory"] <= options.memory))


if __name__ == "__main__":
    sys.exit(main())
