"""What is known about every photo: the benchmark's answers, and the cameras. Only tests read `truth/`."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .cameras import Shot, is_hard
from .landmarks import BUILDERS


@dataclass(frozen=True)
class Record:
    """One file: its path in the collection; landmark and shot are None for distractors; `broken` says how it is."""

    path: str
    landmark: int | None
    shot: Shot | None
    broken: str | None = None

    @property
    def name(self) -> str:
        """The landmark's name, `-` for none."""
        return "-" if self.landmark is None else f"{self.landmark:02d}-{BUILDERS[self.landmark][0].__name__}"


def dump(path: Path, value) -> None:
    """Write JSON, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1) + "\n")


def write_truth(folder: Path, records: list[Record]) -> None:
    """Write truth/cameras.json, truth/truth.csv and truth/broken.json.

    cameras.json: path to landmark, f, cx, cy (px), w, h (px, upright), R (3, 3), t (3,), with x = K (R X + t), X in
    metres, pixel (0, 0) the top left corner of the image. In truth.csv, place counts the viewpoints of a landmark: in
    the heap they go from west to east, so that consecutive numbers are neighbours.
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
    """Write benchmark/gnd.json: database and query names, and per query the indices of its easy, hard and junk photos.

    Of a landmark's queries, the last also is in the database, where it is junk to itself; the others are not.
    """
    photos = sorted((r for r in records if r.path.startswith("benchmark/")), key=lambda r: r.path)
    queries, groups = [], {}
    for r in photos:
        if r.landmark is not None:
            groups.setdefault(r.landmark, []).append(r)
    hidden = set()
    for landmark in sorted(groups):
        own = sorted((r for r in groups[landmark] if r.shot.query), key=lambda r: r.shot.place)
        queries += own
        hidden |= {r.path for r in own[:-1]}
    database = [r for r in photos if r.path not in hidden]
    order = np.random.default_rng([seed, 5_000_000]).permutation(len(queries))
    queries = [queries[i] for i in order]
    answers = []
    for query in queries:
        answer = {"ok": [], "easy": [], "hard": [], "junk": []}
        for i, r in enumerate(database):
            if r.path == query.path:
                answer["junk"].append(i)
            elif r.landmark == query.landmark:
                answer["ok"].append(i)
                answer["hard" if is_hard(query.shot, r.shot) else "easy"].append(i)
        answers.append(answer)
    names = [[Path(r.path).name for r in group] for group in (database, queries)]
    dump(folder / "benchmark/gnd.json", {"imlist": names[0], "qimlist": names[1], "gnd": answers})


def aligned_errors(found, true):
    """How far camera centres are from the true ones after the similarity with the least squared error (Umeyama, PAMI 1991).

    Args:
        found, true: float64 [n, 3].

    Returns:
        float64 [n], fractions of the largest extent of the true ones along an axis.
    """
    a, b = found - found.mean(0), true - true.mean(0)
    u, s, v = np.linalg.svd(b.T @ a)
    flip = np.diag([1, 1, np.sign(np.linalg.det(u @ v))])
    scale = np.trace(np.diag(s) @ flip) / (a**2).sum()
    return np.linalg.norm(scale * a @ (u @ flip @ v).T - b, axis=1) / np.ptp(true, axis=0).max()
