"""Ground truth of a benchmark: `gnd.json` as in the Oxford and Paris benchmarks and their revisited versions.

The keys are `imlist` (file names of the database), `qimlist` (file names of the queries), `gnd` (per query `ok` or `easy` and `hard`,
`junk`, optionally `bbx`) and optionally `place` (a name or a number per query). Sources: Philbin et al., CVPR 2007 and 2008; Radenović et
al., Revisiting Oxford and Paris, CVPR 2018.
"""

import itertools
import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

PROTOCOLS = ("all", "easy", "medium", "hard")
_KEYS = ("imlist", "qimlist", "gnd", "place")
_ENTRY_KEYS = ("ok", "easy", "hard", "junk", "bbx")
_LARGEST = 1e9  # pixels, more than any photo has
_SMALLEST = 8  # pixels, shortest side of a region
_BEYOND = 0.02  # how far a region may extend beyond its photo, as a fraction of the photo's longer side


class GroundTruthError(ValueError):
    """A ground truth cannot be used; the message names the file and the cause in one line."""


class Query(NamedTuple):
    """One query.

    Attributes:
        ok: positives, sorted indices of `imlist`, int64 [n].
        easy, hard: the same, divided; None if the benchmark does not distinguish them.
        junk: photos that count neither as right nor as wrong, sorted indices of `imlist`, int64 [n].
        region: left, top, right, bottom in pixels of the upright photo; None for the whole photo.
    """

    ok: np.ndarray
    easy: np.ndarray | None
    hard: np.ndarray | None
    junk: np.ndarray
    region: tuple[float, float, float, float] | None


class GroundTruth(NamedTuple):
    """The content of `gnd.json`.

    Attributes:
        imlist: file names of the database.
        qimlist: file names of the queries.
        queries: one per name in `qimlist`.
        place: name of the place that each query shows; None if the file has none.
    """

    imlist: list[str]
    qimlist: list[str]
    queries: list[Query]
    place: list[str] | None = None

    def protocols(self) -> tuple[str, ...]:
        """Names of the benchmark's protocols: easy, medium and hard if it distinguishes easy and hard positives, otherwise all."""
        split = all(query.easy is not None for query in self.queries)
        return PROTOCOLS[1:] if split else PROTOCOLS[:1]

    def select(self, protocol: str) -> list[tuple[np.ndarray, np.ndarray]]:
        """Per query the positives and the junk under a protocol, int64 indices of `imlist`.

        Hard photos are junk under the protocol easy, and easy ones under hard (Radenović et al., CVPR 2018).
        """
        return [_select(query, protocol) for query in self.queries]


def read_ground_truth(gnd: str | Path, photos: str | Path | None = None) -> GroundTruth:
    """Read and check a ground truth.

    Args:
        gnd: the JSON file.
        photos: the folder that must contain every named photo; None does not check this.

    Raises:
        GroundTruthError: the file is missing or damaged, has an unknown key or an index out of range, or names a photo outside its folder.
    """
    try:
        content = json.loads(Path(gnd).read_text(encoding="utf-8"), object_pairs_hook=_once)
    except FileNotFoundError as error:
        raise GroundTruthError(f"{gnd}: no such file") from error
    except OSError as error:
        raise GroundTruthError(f"{gnd}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise GroundTruthError(f"{gnd}: cannot be read as JSON ({str(error).splitlines()[0]})") from error
    if not isinstance(content, dict):
        raise GroundTruthError(f"{gnd}: must be an object with imlist, qimlist and gnd")
    _check_keys(content, _KEYS, str(gnd))
    imlist, qimlist = (_names(content, key, gnd, photos) for key in ("imlist", "qimlist"))
    if len(set(imlist)) < len(imlist):
        raise GroundTruthError(f"{gnd}: imlist names a photo twice")
    entries = content.get("gnd")
    if not isinstance(entries, list) or len(entries) != len(qimlist):
        raise GroundTruthError(f"{gnd}: gnd must list one entry for each of the {len(qimlist)} queries")
    queries = [_query(entry, len(imlist), f"{gnd}: gnd[{number}] ({qimlist[number]})") for number, entry in enumerate(entries)]
    split = [query.easy is not None for query in queries]
    if any(split) and not all(split):
        with_ok, with_easy = split.index(False), split.index(True)
        raise GroundTruthError(f"{gnd}: gnd[{with_ok}] has ok and gnd[{with_easy}] easy and hard; all queries must have the same lists")
    return GroundTruth(imlist, qimlist, queries, _places(content.get("place"), len(qimlist), gnd))


def _places(values, count, gnd):
    if values is None:
        return None
    named = isinstance(values, list) and all(isinstance(value, (str, int)) and not isinstance(value, bool) for value in values)
    if not named or len(values) != count:
        raise GroundTruthError(f"{gnd}: place must list a name or a number for each of the {count} queries")
    return [str(value) for value in values]


def _names(content, key, gnd, photos):
    names = content.get(key)
    if not isinstance(names, list) or not names or not all(isinstance(name, str) and name for name in names):
        raise GroundTruthError(f"{gnd}: {key} must be a list of file names")
    for name in names:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name:
            raise GroundTruthError(f"{gnd}: {key} names {name!r}, which is outside its folder")
        if photos is not None:
            _check_file(Path(photos), name, f"{gnd}: {key}")
    return names


def _check_file(photos, name, where):
    """Check that the photo exists, and that no symbolic link leads out of the folder."""
    path = photos / name
    if not path.is_file():
        raise GroundTruthError(f"{where} names {name!r}, which is not in {photos}")
    if not path.resolve().is_relative_to(photos.resolve()):
        raise GroundTruthError(f"{where} names {name!r}, which is outside its folder")


def check_regions(truth: GroundTruth, sizes: Mapping[str, tuple[int, int]], gnd: str | Path) -> None:
    """Check that the regions of queries are inside their photos.

    Args:
        truth: the ground truth.
        sizes: file name to width and height of the upright photo in pixels.
        gnd: path of the ground truth, for the message.

    Raises:
        GroundTruthError: a region extends beyond its photo, or is so small that its unit cannot be pixels.
    """
    for number, (name, query) in enumerate(zip(truth.qimlist, truth.queries, strict=True)):
        if query.region is None:
            continue
        (left, top, right, bottom), (width, height) = query.region, sizes[name]
        where = f"{gnd}: gnd[{number}] ({name}): bbx {left:g} {top:g} {right:g} {bottom:g}"
        if min(right - left, bottom - top) < _SMALLEST:
            raise GroundTruthError(f"{where} is too small; it must be in pixels of the upright photo, which has {width} x {height}")
        if max(-left, -top, right - width, bottom - height) > _BEYOND * max(width, height):
            raise GroundTruthError(f"{where} extends beyond the upright photo, which has {width} x {height} pixels")


def _once(pairs):
    """An object without duplicate keys: JSON allows these, and Python would keep the last."""
    found = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key!r} is twice in one object")
        found[key] = value
    return found


def _check_keys(content, known, where):
    for key in content:
        if key not in known:
            raise GroundTruthError(f"{where}: unknown key {key!r}; the keys are {', '.join(known)}")


def _query(entry, size, where):
    if not isinstance(entry, dict):
        raise GroundTruthError(f"{where} must be an object")
    _check_keys(entry, _ENTRY_KEYS, where)
    split = "easy" in entry or "hard" in entry
    if not split and "ok" not in entry:
        raise GroundTruthError(f"{where} has neither ok nor easy and hard")
    lists = {key: _indices(entry, key, size, where) for key in (("easy", "hard", "junk") if split else ("ok", "junk"))}
    for one, other in itertools.combinations(lists, 2):
        both = np.intersect1d(lists[one], lists[other])
        if len(both):
            raise GroundTruthError(f"{where}: {both[0]} is in both {one} and {other}")
    easy, hard = lists.get("easy"), lists.get("hard")
    ok = np.union1d(easy, hard) if split else lists["ok"]
    if split and "ok" in entry and not np.array_equal(ok, _indices(entry, "ok", size, where)):
        raise GroundTruthError(f"{where}: ok is not the union of easy and hard; leave it out")
    return Query(ok, easy, hard, lists["junk"], _region(entry, where))


def _indices(entry, key, size, where):
    values = entry.get(key, [])
    whole = isinstance(values, list) and all(isinstance(value, int) and not isinstance(value, bool) for value in values)
    if not whole:
        raise GroundTruthError(f"{where}: {key} must be a list of database indices")
    for value in values:
        if not 0 <= value < size:
            raise GroundTruthError(f"{where}: {key} holds {value}, the database has {size} photos")
    return np.unique(np.array(values, np.int64))


def _region(entry, where):
    box = entry.get("bbx")
    if box is None:
        return None
    numbers = isinstance(box, list) and len(box) == 4 and all(type(value) in (int, float) for value in box)
    if not numbers or not all(abs(value) < _LARGEST for value in box) or box[2] <= box[0] or box[3] <= box[1]:
        raise GroundTruthError(f"{where}: bbx must be [left, top, right, bottom] in pixels")
    return tuple(float(value) for value in box)


def _select(query, protocol):
    if protocol == "easy":
        return query.easy, np.union1d(query.junk, query.hard)
    if protocol == "hard":
        return query.hard, np.union1d(query.junk, query.easy)
    return query.ok, query.junk
