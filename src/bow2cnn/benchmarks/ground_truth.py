"""Ground truth of a benchmark: `gnd.json` as in the Oxford and Paris benchmarks and their revisited versions.

`imlist` (database file names), `qimlist` (query file names), `gnd` (per query `ok` or `easy` and `hard`, `junk`, perhaps `bbx`), perhaps
`place` (per query what it shows, a name or a number).
"""

import itertools
import json
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

PROTOCOLS = ("all", "easy", "medium", "hard")
_KEYS = ("imlist", "qimlist", "gnd", "place")
_ENTRY_KEYS = ("ok", "easy", "hard", "junk", "bbx")
_LARGEST = 1e9  # pixels; no photo is that wide
_SMALLEST = 8  # pixels; nothing is to be seen in a smaller region
_BEYOND = 0.02  # of the photo's longer side, by so much a region may stand out of it


class GroundTruthError(ValueError):
    """A ground truth that cannot be used; the message names the file and the cause in one line."""


class Query(NamedTuple):
    """One query. `ok`, `easy`, `hard`, `junk` are sorted int64 arrays of database indices (easy and hard None where not
    distinguished), `region` is (left, top, right, bottom) in pixels or None."""

    ok: np.ndarray
    easy: np.ndarray | None
    hard: np.ndarray | None
    junk: np.ndarray
    region: tuple | None


class GroundTruth(NamedTuple):
    """A benchmark: `imlist` and `qimlist` as lists of names, `queries` as a list of `Query`, `place` per query a text or None."""

    imlist: list
    qimlist: list
    queries: list
    place: list | None = None

    def protocols(self):
        """Names of the protocols that apply: easy, medium and hard where the benchmark distinguishes them, else all."""
        split = all(query.easy is not None for query in self.queries)
        return PROTOCOLS[1:] if split else PROTOCOLS[:1]

    def select(self, protocol):
        """Per query (positives, junk) under a protocol (field.md 3.6: in easy the hard ones are junk, and the other way)."""
        return [_select(query, protocol) for query in self.queries]


def read_ground_truth(gnd, photos=None):
    """Read and check a ground truth.

    Args:
        gnd: the JSON file.
        photos: its folder; if given, every named photo must lie in it.

    Raises:
        GroundTruthError: the file is damaged, an index is out of range, or a name leaves the folder.
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
    """The photo is there, and no symbolic link leads out of the folder."""
    path = photos / name
    if not path.is_file():
        raise GroundTruthError(f"{where} names {name!r}, which is not in {photos}")
    if not path.resolve().is_relative_to(photos.resolve()):
        raise GroundTruthError(f"{where} names {name!r}, which is outside its folder")


def check_regions(truth, sizes, gnd):
    """See to it that the regions of queries lie in their photos.

    Args:
        truth: `GroundTruth`.
        sizes: name to (width, height) of the upright photo in pixels.
        gnd: path, to be named.

    Raises:
        GroundTruthError: a region stands out of its photo, or is so small that it must be in other units.
    """
    for number, (name, query) in enumerate(zip(truth.qimlist, truth.queries, strict=True)):
        if query.region is None:
            continue
        (left, top, right, bottom), (width, height) = query.region, sizes[name]
        where = f"{gnd}: gnd[{number}] ({name}): bbx {left:g} {top:g} {right:g} {bottom:g}"
        if min(right - left, bottom - top) < _SMALLEST:
            raise GroundTruthError(f"{where} is too small; it has to be in pixels of the upright photo, which has {width} x {height}")
        if max(-left, -top, right - width, bottom - height) > _BEYOND * max(width, height):
            raise GroundTruthError(f"{where} stands out of the upright photo, which has {width} x {height} pixels")


def _once(pairs):
    """An object whose keys are all different: JSON allows others, and Python takes the last."""
    found = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key!r} stands twice in one object")
        found[key] = value
    return found


def _check_keys(content, known, where):
    for key in content:
        if key not in known:
            raise GroundTruthError(f"{where}: no such key: {key!r}; known here: {', '.join(known)}")


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
        raise GroundTruthError(f"{where}: ok is not what easy and hard are together; leave it out")
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
