"""The command line for people: `show` prints what is inside artefacts, `summary` what a run found and gained, `search` which photos of
a run's index show what another photo shows, `explain` what became of one photo of a run, and why; `export` writes what a run found in
the formats of other programs."""

import argparse
import os
import signal
import sys
from pathlib import Path

import numpy as np

from bow2cnn.core import artefact
from bow2cnn.core.atomic_files import ReadError
from bow2cnn.core.printable import printable
from bow2cnn.evaluation.gains import main_rows
from bow2cnn.evaluation.results import read_gains
from bow2cnn.pairs.sources import folders_of_pairs
from bow2cnn.run.left_out import left_out
from bow2cnn.split.sides import TRAIN, VALIDATION


def main(arguments=None):
    """Entry of `python -m bow2cnn`; exits with 1 and one line per file that cannot be read."""
    parser = argparse.ArgumentParser(prog="python -m bow2cnn", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    show = commands.add_parser("show", help="print what is inside artefacts (kind, version, parameters, arrays, rejected files)")
    show.add_argument("files", nargs="+", metavar="FILE", help="an artefact, such as results/demo/reconstruction/models.h5")
    summary = commands.add_parser("summary", help="print what a run found and gained, in a few lines")
    summary.add_argument("results", metavar="RESULTS", help="the folder of a run, such as results/demo")
    _add_search(commands)
    explain = commands.add_parser(
        "explain", help="say what became of a photo: its cluster, its 3D model, its part in the training, and why"
    )
    explain.add_argument("results", metavar="RESULTS", help="the folder of a run, such as results/demo")
    explain.add_argument("photo", metavar="PHOTO", help="a photo of the collection: its path, its name, or a copy of it")
    explain.add_argument("--draw", metavar="OUT", help="a picture (.png, .jpg) of the verified pairs that join it to its cluster")
    export = commands.add_parser("export", help="write what a run found for other programs")
    formats = "the training database of cnnimageretrieval; features and verified pairs; or the 3D models and their photos"
    export.add_argument("format", choices=["retrieval-sfm", "hloc", "colmap"], help=formats)
    export.add_argument("results", metavar="RESULTS", help="the folder of a run, such as results/demo")
    export.add_argument("out", metavar="OUT", help="the folder to write")
    background = "retrieval-sfm: also the background photos (outside every 3D model); our training would not take some of them as negatives"
    export.add_argument("--pairs", metavar="SOURCE", help="retrieval-sfm: of which source, where the run has pairs of several")
    export.add_argument("--background", action="store_true", help=background)
    options = parser.parse_args(arguments)
    command = {"show": _show, "summary": _summary, "search": _search, "explain": _explain, "export": _export}[options.command]
    try:
        failed = command(options)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever reads has had enough (`| head`)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        failed = 128 + signal.SIGPIPE
    sys.exit(failed)


def _add_search(commands):
    search = commands.add_parser("search", help="find the photos of a run's index that show what a photo, or a region of it, shows")
    search.add_argument("results", metavar="RESULTS", help="the folder of a run whose stage `index` is done, such as results/demo")
    search.add_argument("photo", metavar="PHOTO", help="any photo; it need not be in the collection")
    sides = ("LEFT", "TOP", "RIGHT", "BOTTOM")
    search.add_argument("--region", nargs=4, type=float, metavar=sides, help="what to look for, in pixels of the upright photo")
    search.add_argument("--count", type=_positive, default=10, metavar="N", help="photos to list (10)")
    search.add_argument("--draw", metavar="OUT", help="a picture (.png, .jpg) of the verified ones beside the query, with their matches")
    search.add_argument("--expand", action="store_true", help="ask again with what the best verified photos show (query expansion)")
    search.add_argument("--shortlist", type=_positive, metavar="N", help="photos that geometry verifies (as in the run)")
    search.add_argument("--min-inliers", type=_positive, metavar="N", help="inliers that make a photo verified (as in the run)")


def _positive(text):
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text} is no whole number from 1 on")
    return int(text)


def _show(options):
    failed = 0
    for file in options.files:
        try:
            print("\n".join([*artefact.describe(file), *_rejected(file)]))
        except (artefact.ArtefactError, ReadError) as error:
            failed = _fail(error)
    return failed


def _rejected(file):
    """A line for every file that a collection rejected."""
    with artefact.Reader(file) as reader:
        if "rejected/path" not in reader:
            return []
        rejected = zip(reader["rejected/path"], reader["rejected/reason"], strict=True)
        return [printable(f"  rejected {path}: {reason}") for path, reason in rejected]


def _search(options):
    # What this takes a second to import is nothing to the other commands.
    from bow2cnn.core.atomic_files import WriteError
    from bow2cnn.photos.decode import PhotoError
    from bow2cnn.pictures.panels import SheetError, format_of
    from bow2cnn.search.listing import lines_of
    from bow2cnn.search.query import RegionError
    from bow2cnn.search.searcher import Searcher
    from bow2cnn.search.sheet import write_sheet

    chosen = {"shortlist": options.shortlist, "min_inliers": options.min_inliers}
    try:
        if options.draw is not None:
            format_of(options.draw)  # before all work
        lookup = Searcher(options.results, **{name: value for name, value in chosen.items() if value is not None})
        query = lookup.query(options.photo, options.region)
        answer = lookup.search(query, options.count, options.expand)
        print("\n".join(lines_of(lookup, query, answer)))
        if options.draw is not None:
            write_sheet(options.draw, lookup, query, answer)
    except (PhotoError, RegionError) as error:
        return _fail(f"{options.photo}: {error}")
    except BrokenPipeError:
        raise
    except (artefact.ArtefactError, SheetError, WriteError, OSError) as error:
        return _fail(error)
    return 0


def _explain(options):
    from bow2cnn.core.atomic_files import WriteError
    from bow2cnn.explain.explanation import draw_explanation, explain
    from bow2cnn.explain.files import Files, UnknownPhoto
    from bow2cnn.pictures.panels import SheetError, format_of, save_sheet

    try:
        if options.draw is not None:
            format_of(options.draw)  # before all work
        files = Files(options.results)
        row = files.find(options.photo)
        story = explain(files, row)
        print("\n".join(story.lines))
        if options.draw is not None:
            save_sheet(options.draw, draw_explanation(files, row, story))
    except UnknownPhoto as error:
        return _fail(f"{options.photo}: {error}")
    except BrokenPipeError:
        raise
    except (artefact.ArtefactError, SheetError, WriteError, OSError) as error:
        return _fail(error)
    return 0


def _export(options):
    from bow2cnn.core.atomic_files import WriteError
    from bow2cnn.export.hloc import UnfitName

    try:
        lines, left_out = {"retrieval-sfm": _export_database, "hloc": _export_hloc, "colmap": _export_colmap}[options.format](options)
    except (artefact.ArtefactError, UnfitName, WriteError, OSError) as error:
        return _fail(error)
    print("\n".join(f"{options.out}: {line}" for line in lines))
    for line in left_out:
        print(printable(f"left out: {line}"), file=sys.stderr)
    return 0


def _export_hloc(options):
    from bow2cnn.export.hloc import export_hloc

    done = export_hloc(options.results, options.out)
    lines = [f"{done.photos} photos, {done.pairs} verified pairs"]
    if done.left_out:
        lines.append(f"{len(done.left_out)} photos and their {done.pairs_left_out} verified pairs are left out")
    return lines, done.left_out


def _export_colmap(options):
    from bow2cnn.export.colmap import export_colmap

    models, photos, copies, gone = export_colmap(options.results, options.out)
    lines = [f"{models} models, {photos} photos, {copies} of them as upright copies"]
    if gone:
        lines.append(f"{len(gone)} photos of the models are left out")
    return lines, gone


def _export_database(options):
    from bow2cnn.export.retrieval_sfm import export_database

    sides = export_database(options.results, options.out, options.background, options.pairs)
    return [f"{side}, {photos} photos, {pairs} pairs" for side, (photos, pairs) in sides.items()], []


def _fail(message):
    print(printable(f"error: {message}"), file=sys.stderr)
    return 1


def _summary(options):
    try:
        lines = summarise(options.results)
    except (artefact.ArtefactError, OSError, ValueError, KeyError) as error:
        return _fail(f"{options.results}: not a finished run ({error})")
    print("\n".join(lines))
    return 0


def summarise(results):
    """Where the report is, and a line each on the photos, on what they give for training, on what was gained; and what was left out."""
    results = Path(results)
    collection = artefact.read(results / "collection/collection.h5", "collection", ["sha256", "rejected/reason"])
    photos = len(collection["sha256"])
    return [
        f"report: {results / 'report.html'}",
        f"found:  {_models(results / 'reconstruction/models.h5')}{photos} photos ({len(collection['rejected/reason'])} files rejected)",
        *_mined(results),
        f"gained: {_gains(results / 'evaluation/gains.json')}",
        *left_out(results),
    ]


def _mined(results):
    """A line for every source of pairs."""
    found = folders_of_pairs(results)
    if not found:
        raise artefact.ArtefactError(f"{results / 'pairs'}: no such file; run the stage that makes it")
    lines = []
    for source, folder in found.items():
        query = artefact.read(folder / "positives.h5", "positives", ["query"])["query"]
        sides = artefact.read(folder / "negatives.h5", "negatives", ["side"])["side"][query]
        by = f", by {source}" if len(found) > 1 else ""
        train, validate = (np.count_nonzero(sides == side) for side in (TRAIN, VALIDATION))
        lines.append(f"mined:  {train} training queries and {validate} for validation{by}")
    return lines


def _models(path):
    """The 3D models and what they hold of the photos; nothing where the run began with pairs."""
    if not path.exists():
        return ""
    models = artefact.read(path, "models", ["model", "cluster"])
    return f"{len(models['cluster'])} 3D models with {np.count_nonzero(models['model'] >= 0)} of "


def _gains(path):
    """Gains in mAP of every experiment."""
    parts = []
    for name, found in read_gains(path).items():
        if found["diverged"]:
            parts.append(f"{name} diverged in epoch {found['diverged']}, and stays as it was")
            continue
        if found["chosen_epoch"] == 0:
            parts.append(f"{name} learned nothing that validation confirms, and stays as it was")
            continue
        gains = (f"{row['benchmark']} {row['before']:.1f} to {row['after']:.1f} mAP ({_surety(row)})" for row in main_rows(found["rows"]))
        parts.append(f"{name}: {', '.join(gains)}")
    return "; ".join(parts)


def _surety(row):
    """How sure a gain is."""
    if row["chosen_on"]:
        return "which chose it"
    return f"{row['low']:+.1f} to {row['high']:+.1f}" if row["low"] == row["low"] else "too few queries or places to say"
