"""Look into a run: `show` prints what is inside artefacts, `summary` what a run found and gained, `search` finds the photos of a run that
show the same as another photo, `explain` says what became of one photo of a run and why, `export` writes files for other programs."""

import argparse
import os
import signal
import sys
from collections.abc import Sequence

import numpy as np

from bow2cnn.core import artefact
from bow2cnn.core.atomic_files import ReadError
from bow2cnn.core.printable import printable
from bow2cnn.run.rejection_counts import left_out
from bow2cnn.run.run import Run
from bow2cnn.split.sides import TRAIN, VALIDATION


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `python -m bow2cnn`. Exits with 0, or with 1 and an error in one line (`show`: one line per file that cannot be read).

    Args:
        arguments: of the command line; those of the process if None.
    """
    parser = argparse.ArgumentParser(prog="python -m bow2cnn", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    show = commands.add_parser("show", help="print what is inside artefacts (kind, version, parameters, arrays, rejected files)")
    show.add_argument("files", nargs="+", metavar="FILE", help="an artefact, such as results/demo/reconstruction/models.h5")
    summary = commands.add_parser("summary", help="print what a run found and gained, in a few lines")
    summary.add_argument("results", metavar="RESULTS", help="the folder of a run, such as results/demo")
    _add_search(commands)
    explain = commands.add_parser(
        "explain", help="say what became of a photo (its cluster, its 3D model, its part in the training) and why"
    )
    explain.add_argument("results", metavar="RESULTS", help="the folder of a run, such as results/demo")
    explain.add_argument("photo", metavar="PHOTO", help="a photo of the collection: its path, its name, or a copy of it")
    explain.add_argument(
        "--draw", metavar="OUT", help="write a picture (.png, .jpg) of the verified pairs that join the photo to its cluster"
    )
    export = commands.add_parser("export", help="write the results of a run for other programs")
    formats = "retrieval-sfm: training database of cnnimageretrieval; hloc: features and verified pairs; colmap: 3D models and their photos"
    export.add_argument("format", choices=["retrieval-sfm", "hloc", "colmap"], help=formats)
    export.add_argument("results", metavar="RESULTS", help="the folder of a run, such as results/demo")
    export.add_argument("out", metavar="OUT", help="the folder to write")
    background = "retrieval-sfm: add the background photos (outside every 3D model); our training would not take some of them as negatives"
    export.add_argument("--pairs", metavar="SOURCE", help="retrieval-sfm: source of the pairs; needed if the run has several")
    export.add_argument("--background", action="store_true", help=background)
    options = parser.parse_args(arguments)
    command = {"show": _show, "summary": _summary, "search": _search, "explain": _explain, "export": _export}[options.command]
    try:
        failed = command(options)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has closed the pipe (`| head`)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        failed = 128 + signal.SIGPIPE
    sys.exit(failed)


def _add_search(commands):
    search = commands.add_parser("search", help="find the photos of a run that show the same as a photo or a region of it")
    search.add_argument("results", metavar="RESULTS", help="the folder of a run whose stage `index` is done, such as results/demo")
    search.add_argument("photo", metavar="PHOTO", help="any photo; it need not be in the collection")
    sides = ("LEFT", "TOP", "RIGHT", "BOTTOM")
    search.add_argument("--region", nargs=4, type=float, metavar=sides, help="look only for this region, in pixels of the upright photo")
    search.add_argument("--count", type=_positive, default=10, metavar="N", help="number of photos to list (default: 10)")
    search.add_argument(
        "--draw", metavar="OUT", help="write a picture (.png, .jpg) of the verified photos beside the query, with their matches"
    )
    search.add_argument(
        "--expand", action="store_true", help="search again with the features of the best verified photos (query expansion)"
    )
    search.add_argument(
        "--shortlist", type=_positive, metavar="N", help="number of photos that are compared by geometry (default: as in the run)"
    )
    search.add_argument("--min-inliers", type=_positive, metavar="N", help="least inliers of a verified photo (default: as in the run)")


def _positive(text):
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text} is not a whole number of 1 or more")
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
    # Imported here, because the imports take a second, which the other commands need not wait for.
    from bow2cnn.core.atomic_files import WriteError
    from bow2cnn.photos.decode import PhotoError
    from bow2cnn.pictures.match_drawing import SheetError, format_of
    from bow2cnn.search.listing import lines_of
    from bow2cnn.search.query import RegionError
    from bow2cnn.search.searcher import Searcher
    from bow2cnn.search.sheet import write_sheet

    chosen = {"shortlist": options.shortlist, "min_inliers": options.min_inliers}
    try:
        if options.draw is not None:
            format_of(options.draw)  # before all work
        lookup = Searcher(Run.open(options.results), **{name: value for name, value in chosen.items() if value is not None})
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
    from bow2cnn.pictures.match_drawing import SheetError, format_of, save_sheet
    from bow2cnn.run.find_photo import UnknownPhoto

    try:
        if options.draw is not None:
            format_of(options.draw)  # before all work
        run = Run.open(options.results)
        row = run.find(options.photo)
        explanation = explain(run, row)
        print("\n".join(explanation.lines))
        if options.draw is not None:
            save_sheet(options.draw, draw_explanation(run, row, explanation))
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

    export = {"retrieval-sfm": _export_database, "hloc": _export_hloc, "colmap": _export_colmap}[options.format]
    try:
        lines, left_out = export(Run.open(options.results), options)
    except (artefact.ArtefactError, UnfitName, WriteError, OSError) as error:
        return _fail(error)
    print("\n".join(f"{options.out}: {line}" for line in lines))
    for line in left_out:
        print(printable(f"left out: {line}"), file=sys.stderr)
    return 0


def _export_hloc(run, options):
    from bow2cnn.export.hloc import export_hloc

    done = export_hloc(run, options.out)
    lines = [f"{done.photos} photos, {done.pairs} verified pairs"]
    if done.left_out:
        lines.append(f"{len(done.left_out)} photos and their {done.pairs_left_out} verified pairs are left out")
    return lines, done.left_out


def _export_colmap(run, options):
    from bow2cnn.export.colmap_folders import export_colmap

    done = export_colmap(run, options.out)
    lines = [f"{done.models} models, {done.photos} photos, {done.copies} of them as upright copies"]
    if done.left_out:
        lines.append(f"{len(done.left_out)} photos of the models are left out")
    return lines, done.left_out


def _export_database(run, options):
    from bow2cnn.export.training_database import export_database

    sides = export_database(run, options.out, options.background, options.pairs)
    return [f"{side}, {photos} photos, {pairs} pairs" for side, (photos, pairs) in sides.items()], []


def _fail(message):
    print(printable(f"error: {message}"), file=sys.stderr)
    return 1


def _summary(options):
    try:
        lines = summarise(Run.open(options.results))
    except (artefact.ArtefactError, OSError, ValueError, KeyError) as error:
        return _fail(f"{options.results}: not a finished run ({error})")
    print("\n".join(lines))
    return 0


def summarise(run: Run) -> list[str]:
    """Lines on where the report is, on photos and 3D models, on training queries, on gains, and on what was left out.

    Raises:
        ArtefactError: a stage has not been run, or a file is damaged.
        ResultsError: the gains are damaged.
    """
    photos, rejected = run.photos.shape("sha256")[0], len(run.photos["rejected/reason"])
    return [
        f"report: {run.results}/report.html",
        f"found:  {_models(run)}{photos} photos ({rejected} files rejected)",
        *_mined(run),
        f"gained: {_gains(run)}",
        *left_out(run),
    ]


def _mined(run):
    """A line for every source of pairs."""
    if not run.sources:
        raise run.missing("negatives")
    lines = []
    for source in run.sources:
        sides = run.arrays("negatives", source)["side"][run.arrays("positives", source)["query"]]
        by = f", by {source}" if len(run.sources) > 1 else ""
        train, validate = (np.count_nonzero(sides == side) for side in (TRAIN, VALIDATION))
        lines.append(f"mined:  {train} training queries and {validate} for validation{by}")
    return lines


def _models(run):
    """Number of the 3D models and of their photos; nothing if the run has none."""
    if "models" not in run:
        return ""
    return f"{len(run.models['cluster'])} 3D models with {np.count_nonzero(run.models['model'] >= 0)} of "


def _gains(run):
    """Gains in mAP of every experiment."""
    from bow2cnn.evaluation.gains import main_rows  # takes seconds to import

    parts = []
    for name, found in run.gains.items():
        if found["diverged"]:
            parts.append(f"{name} diverged in epoch {found['diverged']}, so the untrained network was kept")
            continue
        if found["chosen_epoch"] == 0:
            parts.append(f"{name} gained nothing on validation, so the untrained network was kept")
            continue
        gains = (
            f"{row['benchmark']} {row['before']:.1f} to {row['after']:.1f} mAP ({_certainty(row)})" for row in main_rows(found["rows"])
        )
        parts.append(f"{name}: {', '.join(gains)}")
    return "; ".join(parts)


def _certainty(row):
    """The interval of a gain, or why there is none."""
    if row["chosen_on"]:
        return "on which it was chosen"
    return f"{row['low']:+.1f} to {row['high']:+.1f}" if row["low"] == row["low"] else "too few queries or places for an interval"
