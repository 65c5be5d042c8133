"""Descriptors of a collection: decoding and the network run side by side in worker threads, one photo at a time.

A photo's descriptor depends on nothing but the photo, the network and the settings: neither on its neighbours nor on `threads`.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch

from bow2cnn.benchmarks.truth import read_truth
from bow2cnn.core import artefact
from bow2cnn.core.lineage import find_rows, lineage, lineage_of, load_previous, log_reuse
from bow2cnn.core.progress import progress
from bow2cnn.core.same_photos import check_photos
from bow2cnn.descriptors.fault import find_fault
from bow2cnn.network.device import pick_device
from bow2cnn.network.errors import NetworkError
from bow2cnn.network.model import RetrievalNetwork
from bow2cnn.network.pooling import generalised_mean
from bow2cnn.network.storage import load_network
from bow2cnn.network.workers import Workers
from bow2cnn.pairs.exclusions import used_rows
from bow2cnn.photos.decode import PhotoError


def describe_collection(
    network: str | Path,
    collection: str | Path,
    out: str | Path,
    image_size: int,
    scales: Sequence[float],
    threads: int,
    negatives: str | Path | None = None,
    truth: str | Path | None = None,
    code: str = "",
    device: str = "cpu",
) -> None:
    """Write the descriptors of a collection's photos as an artefact of kind `descriptors`.

    Photos whose descriptors by the same network an earlier version of the artefact holds are not read again.

    Args:
        network: artefact.
        collection: artefact.
        out: the artefact to write: `descriptor` float32 [n, D], `missing` bool [n] (the photo is not used, could not be decoded or the
            network finds nothing in it; its row is zero) and, for a benchmark, `query` float32 [q, D], the descriptors of the query regions
            in the order of its queries.
        image_size: longer side in pixels.
        scales: factors of `image_size` at which a photo is described.
        threads: worker threads.
        negatives: artefact of the pairs; only the photos that it uses are described. None describes all.
        truth: artefact, of a benchmark: the regions of its queries are described too.
        code: digest of the code, part of the lineage.
        device: `cpu` or `cuda`.

    Raises:
        ArtefactError: a query cannot be decoded, or the network finds nothing in it.
        NetworkError: nothing can be ranked by the network's descriptors (see `find_fault`).
    """
    model = load_network(network).to(pick_device(device))
    table = artefact.read(collection, "collection", ["path", "sha256"])
    made_with = lineage("descriptors", lineage_of(network, "network"), image_size, list(scales), code, device)
    wanted = np.arange(len(table["path"])) if negatives is None else _used(negatives, collection)
    described, missing = _earlier_descriptors(out, made_with, table["sha256"], wanted, model.dimension)
    new = wanted[missing[wanted]]
    log_reuse("descriptors", len(new), len(wanted))
    load = [partial(model.input.load, table["path"][row], image_size) for row in new]
    query, regions = _queries(truth, collection)
    load += [partial(model.input.load, table["path"][query[number]], image_size, region) for number, region in regions.items()]
    made, lost = describe_photos(model, load, scales, threads, progress_label="describe")
    described[new], missing[new] = made[: len(new)], lost[: len(new)]
    fault = find_fault(described, missing) or find_fault(made, np.ones(len(made), bool))
    if fault:
        raise NetworkError(f"{network}: its weights overflow or are damaged: {fault}, so nothing can be ranked by it; take others")
    missing, lost = missing | ~described.any(1), lost | ~made.any(1)
    arrays = {"descriptor": described, "missing": missing, "sha256": table["sha256"]}
    if truth is not None:
        unreadable = query[missing[query]].tolist()
        unreadable += [query[number] for number, gone in zip(regions, lost[len(new) :], strict=True) if gone]
        if unreadable:
            raise artefact.ArtefactError(
                f"{table['path'][unreadable[0]]}: is a query of a benchmark, but cannot be decoded or shows nothing, so nothing can be "
                "ranked for it; replace it"
            )
        arrays["query"] = described[query]
        arrays["query"][list(regions)] = made[len(new) :]
    with artefact.Reader(network, "network") as reader:
        params = {"image_size": image_size, "scales": list(scales), "network": reader.params, "lineage": made_with}
    artefact.write(out, "descriptors", arrays, params)


def _queries(truth, collection):
    """Rows of a benchmark's queries, int64 [q], and a dict of the number of a query to its region; both are empty without a truth."""
    if truth is None:
        return np.zeros(0, np.int64), {}
    check_photos(collection, truth)
    known = read_truth(truth)
    regions = {number: known.region_of(number) for number in range(len(known.query))}
    return known.query, {number: region for number, region in regions.items() if region is not None}


def _used(negatives, collection):
    """Rows of the photos of a collection that pairs use."""
    check_photos(collection, negatives)
    return used_rows(negatives)


def _earlier_descriptors(out, made_with, sha256, wanted, dimension):
    """Descriptors of the wanted photos that an earlier version of the artefact holds, float32 [n, D], and bool [n], all others."""
    described, missing = np.zeros((len(sha256), dimension), np.float32), np.ones(len(sha256), bool)
    old = load_previous(out, "descriptors", made_with)
    if old is not None:
        rows = find_rows(old["sha256"], sha256)
        for row in wanted[rows[wanted] >= 0]:
            described[row], missing[row] = old["descriptor"][rows[row]], old["missing"][rows[row]]
    return described, missing


def describe_photos(
    model: RetrievalNetwork,
    load: Sequence[Callable[[], np.ndarray]],
    scales: Sequence[float],
    threads: int,
    progress_label: str | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Describe photos.

    Args:
        model: the network.
        load: functions that return a photo, as `Input.load` does, or raise `PhotoError`.
        scales: see `describe_photo`.
        threads: worker threads.
        progress_label: of the progress bar; None for no bar.

    Returns:
        float32 [n, D], rows of length 1 (zero where a photo is missing or the network finds nothing in it, NaN where it overflows), and
        bool [n], which are missing.
    """

    def describe(number):
        try:
            return describe_photo(model, load[number](), scales)
        except PhotoError:
            return None

    described = np.zeros((len(load), model.dimension), np.float32)
    missing = np.zeros(len(load), bool)
    with Workers(threads) as workers, model.folded():
        results = workers.map(describe, range(len(load)))
        for row, descriptor in enumerate(results if progress_label is None else progress(results, progress_label, len(load))):
            if descriptor is None:
                missing[row] = True
            else:
                described[row] = descriptor
    return described, missing


def describe_photo(model: RetrievalNetwork, photo: np.ndarray, scales: Sequence[float] = (1.0,)) -> np.ndarray:
    """Descriptor of one photo, float32 [D].

    Several scales are joined by the generalised mean with GeM's exponent (Radenovic, Tolias, Chum, TPAMI 2018), or by the average for other
    poolings and behind a projection.

    Args:
        model: the network.
        photo: uint8 [h, w, c], as `Input.load` gives it.
        scales: factors to resize the photo by.
    """
    with torch.inference_mode():
        pixels = model.pixels(photo)
        described = torch.stack([model(pixels, scale)[0] for scale in scales])
        if len(scales) == 1:
            return described[0].cpu().numpy()
        p = model.exponent_of_scales()
        joined = generalised_mean(described, p, 0) if p > 1.0 else described.mean(0)
        return (joined / joined.norm().clamp(min=1e-12)).cpu().numpy()
