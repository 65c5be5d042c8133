"""The truth about every photo: the answers of the benchmark, and the cameras. Only tests read `truth/`."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .cameras import Shot, is_hard
from .landmarks import BUILDERS


@dataclass(frozen=True)
class Record:
    """A file of the demo.

    Attributes:
        path: below the demo's folder.
        landmark: number of the landmark; None for a distractor or a broken file.
        shot: the shot; None where there is none.
        broken: kind of a broken file.
    """

    path: str
    landmark: int | None
    shot: Shot | None
    broken: str | None = None

    @property
    def name(self) -> str:
        """The name of the landmark; `-` for none."""
        return "-" if self.landmark is None else f"{self.landmark:02d}-{BUILDERS[self.landmark][0].__name__}"


def dump(path: Path, value: Any) -> None:
    """Write JSON to a file, and make its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1) + "\n")


def write_truth(folder: Path, records: list[Record]) -> None:
    """Write truth/cameras.json, truth/truth.csv and truth/broken.json.

    cameras.json has for each path: landmark, f, cx, cy (pixels), w, h (pixels of the upright photo), R [3, 3], t [3], with x = K (R X + t),
    X in metres, and (0, 0) the top left corner of the photo. In truth.csv, `place` numbers the viewpoints of a landmark; in the collection
    they go from west to east, so that consecutive numbers are neighbours.
    """
    records = sorted(records, key=lambda r: r.path)
    cameras = {}
    for r in records:
        if r.shot is not None:
            c = r.shot.camera
            cameras[r.path] = {
                "landmark": r.name,
                "f": c.focal,
                "cx": c.width / 2,
                "cy": c.height / 2,
                "w": c.width,
                "h": c.height,
                "R": np.round(c.rotation, 12).tolist(),
                "t": np.round(c.translation, 9).tolist(),
            }
    dump(folder / "truth/cameras.json", cameras)
    rows = [f"{r.path},{r.name},{r.shot.place if r.shot else '-'}" for r in records if r.broken is None]
    (folder / "truth/truth.csv").write_text("\n".join(["photo,landmark,place", *rows]) + "\n")
    dump(folder / "truth/broken.json", {r.path: r.broken for r in records if r.broken})


def write_benchmark(folder: Path, records: list[Record], seed: int) -> None:
    """Write benchmark/gnd.json: the names of database and queries, and the rows of the easy, hard and junk photos of each query.

    The last query of each landmark is also in the database, where it is junk for itself; the others are not.
    """
    photos = sorted((r for r in records if r.path.startswith("benchmark/")), key=lambda r: r.path)
    shots = {r.path: r.shot for r in photos if r.shot is not None}
    queries: list[Record] = []
    groups: dict[int, list[Record]] = {}
    for r in photos:
        if r.landmark is not None:
            groups.setdefault(r.landmark, []).append(r)
    hidden = set()
    for landmark in sorted(groups):
        own = sorted((r for r in groups[landmark] if shots[r.path].query), key=lambda r: shots[r.path].place)
        queries += own
        hidden |= {r.path for r in own[:-1]}
    database = [r for r in photos if r.path not in hidden]
    order = np.random.default_rng([seed, 5_000_000]).permutation(len(queries))
    queries = [queries[i] for i in order]
    answers = []
    for query in queries:
        answer: dict[str, list[int]] = {"ok": [], "easy": [], "hard": [], "junk": []}
        for i, r in enumerate(database):
            if r.path == query.path:
                answer["junk"].append(i)
            elif r.landmark == query.landmark:
                answer["ok"].append(i)
                answer["hard" if is_hard(shots[query.path], shots[r.path]) else "easy"].append(i)
        answers.append(answer)
    names = [[Path(r.path).name for r in group] for group in (database, queries)]
    dump(folder / "benchmark/gnd.json", {"imlist": names[0], "qimlist": names[1], "gnd": answers})


def aligned_errors(found: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Errors of camera centres after the similarity transform with the smallest squared error (Umeyama, PAMI 1991).

    Args:
        found, true: camera centres, float64 [n, 3].

    Returns:
        float64 [n], as fractions of the largest extent of the true centres along an axis.
    """
    a, b = found - found.mean(0), true - true.mean(0)
    u, s, v = np.linalg.svd(b.T @ a)
    flip = np.diag([1, 1, np.sign(np.linalg.det(u @ v))])
    scale = np.trace(np.diag(s) @ flip) / (a**2).sum()
    return np.linalg.norm(scale * a @ (u @ flip @ v).T - b, axis=1) / np.ptp(true, axis=0).max()
