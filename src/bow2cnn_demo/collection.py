"""A whole demo collection: the photos, the benchmark, and the truth.

Every landmark and every distractor has a random generator of its own, so the files depend neither on the number of processes that render
them nor on their order.
"""

import hashlib
import json
import multiprocessing
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from .cameras import Shot, benchmark_shots, collection_shots
from .distractors import distractor
from .light import photograph
from .photo import MODELS, Tags, develop, jpeg, offset, png16
from .scene import Scene, build_scene, passers_by
from .truth import Record, write_benchmark, write_truth

VERSION = 2
MARK = "demo.json"  # written last: the collection is complete
STARTED = "demo.partial.json"  # exists while the collection is rendered
FORMS = {(0, 3): "cmyk", (1, 5): "png16", (1, 7): "rotated"}  # (landmark, photo): an unusual but valid encoding
# Landmarks that have a photo as large as those of phones, and its encoding. It is the last photo: its noise takes more random numbers.
LARGE = {2: "rotated", 5: "plain", 8: "rotated back", 11: "rotated"}
LARGE_SIDE = 4032  # pixels; rendered at half this size: phones resolve no more, and it takes a quarter of the time


@dataclass(frozen=True)
class Plan:
    """Size of a demo collection.

    Attributes:
        landmarks, photos: number of landmarks in the collection, and of photos of each.
        held_out, held_out_photos, queries: number of landmarks in the benchmark alone, and of photos and queries of each.
        distractors, benchmark_distractors: number of photos without a landmark in the collection, and in the benchmark.
        size: (width, height) of the photos, pixels.
    """

    landmarks: int
    photos: int
    held_out: int
    held_out_photos: int
    queries: int
    distractors: int
    benchmark_distractors: int
    size: tuple[int, int]


PLANS = {
    "full": Plan(14, 16, 4, 16, 3, 40, 40, (640, 480)),
    "tiny": Plan(5, 9, 2, 6, 2, 8, 6, (480, 360)),
}


def hash_name(*key: str | int) -> str:
    """A file name that says nothing of the photo: a hash of the key."""
    return hashlib.sha1("/".join(map(str, key)).encode()).hexdigest()[:14]


def photo_path(name: str, suffix: str = ".jpg") -> str:
    """Path of a photo of the collection below the demo's folder; the name also decides the subfolder."""
    return f"photos/{('2014', '2019')[int(name[-1], 16) % 2]}/{name}{suffix}"


def save(folder: Path, path: str, data: bytes) -> None:
    """Write one file, making its folder."""
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_bytes(data)


def tags(rng: np.random.Generator, shot: Shot, place: tuple[float, float]) -> Tags | None:
    """The EXIF of a shot; None for a fifth of the photos.

    Args:
        rng: random numbers.
        shot: the shot.
        place: latitude and longitude of the landmark, degrees.
    """
    camera = shot.camera
    equivalent = round(camera.focal * 36 / max(camera.width, camera.height))
    east, north, _ = camera.centre
    day, minute, year = int(rng.integers(1, 29)), int(rng.integers(60)), int(rng.integers(2009, 2020))
    hour = 22 if shot.night else int(rng.integers(9, 18))
    taken = f"{year}:{int(rng.integers(4, 10)):02d}:{day:02d} {hour}:{minute:02d}:00".replace(" 9:", " 09:")
    known = Tags(equivalent, *offset(*place, east, north), taken, int(rng.integers(len(MODELS))))
    return known if rng.random() < 0.8 else None


def render_landmark(folder: Path, seed: int, plan: Plan, landmark: int) -> list[Record]:
    """Render and write all photos of one landmark."""
    held_out = landmark >= plan.landmarks
    scene = build_scene([seed, landmark], landmark)
    rng = np.random.default_rng([seed, landmark, 1])
    if held_out:
        shots = benchmark_shots(rng, scene, plan.held_out_photos, plan.queries, plan.size)
    else:
        shots = collection_shots(rng, scene, plan.photos, plan.size)
    place = tuple(np.array([48.0, 11.0]) + rng.uniform(-1, 1, 2))
    records = []
    for i, shot in enumerate(shots):
        form = "plain" if held_out else FORMS.get((landmark, i), "plain")
        large = not held_out and landmark in LARGE and i == len(shots) - 1
        if large:
            form = LARGE[landmark]
            shot = replace(shot, camera=shot.camera.resized(LARGE_SIDE / max(plan.size)))
        image = take(rng, scene, shot, large)
        data = png16(image) if form == "png16" else jpeg(image, tags(rng, shot, place), form)
        name = hash_name(seed, landmark, i)
        path = f"benchmark/photos/{name}.jpg" if held_out else photo_path(name, ".png" if form == "png16" else ".jpg")
        save(folder, path, data)
        records.append(Record(path, landmark, shot))
    return records


def take(rng: np.random.Generator, scene: Scene, shot: Shot, large: bool) -> np.ndarray:
    """The photo of a shot, uint8 [h, w, 3] RGB; a large one is rendered at half its size."""
    faces = scene.faces + (passers_by(rng, shot.camera, shot.heavy) if shot.occluded else [])
    if not large:
        return develop(rng, photograph(faces, shot.camera, shot.light, scene.clouds, scene.radius), shot.night)
    half = photograph(faces, shot.camera.resized(0.5), shot.light, scene.clouds, scene.radius, supersample=1)
    return cv2.resize(develop(rng, half, shot.night), (shot.camera.width, shot.camera.height), interpolation=cv2.INTER_CUBIC)


def render_distractor(folder: Path, seed: int, plan: Plan, number: int) -> list[Record]:
    """Render and write one photo that shows no landmark. The first belong to the collection, the others to the benchmark."""
    image = distractor(seed, number, plan.size)
    name = hash_name(seed, "distractor", number)
    path = photo_path(name) if number < plan.distractors else f"benchmark/photos/{name}.jpg"
    rng = np.random.default_rng([seed, 3_000_000, number])
    at = 48 + rng.uniform(-1, 1), 11 + rng.uniform(-1, 1)
    known = Tags(int(rng.integers(26, 36)), *at, "2016:07:01 12:00:00", int(rng.integers(len(MODELS))))
    save(folder, path, jpeg(image, known if rng.random() < 0.8 else None))
    return [Record(path, None, None)]


def render(job: Callable[[], list[Record]]) -> list[Record]:
    """Run one job in a worker, with one thread, because there is a worker per core."""
    cv2.setNumThreads(1)
    return job()


def add_broken_files(folder: Path, seed: int, records: list[Record]) -> list[Record]:
    """Write files that are typical of real collections: broken ones, and a copy of a photo.

    Returns:
        the records of these files.
    """
    first, second = [r for r in records if r.landmark == 0 and r.path.endswith(".jpg")][:2]
    whole = (folder / first.path).read_bytes()
    speck = np.random.default_rng([seed, 4_000_000]).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    broken = {
        "truncated": whole[: len(whole) // 3],
        "empty": b"",
        "text": b"This is not a photo, whatever its name says.\n" * 20,
        "speck": jpeg(speck),
    }
    added = []
    for kind, data in broken.items():
        added.append(Record(photo_path(hash_name(seed, kind)), None, None, broken=kind))
        save(folder, added[-1].path, data)
    copy = Record(photo_path(hash_name(seed, "duplicate")), 0, second.shot)
    save(folder, copy.path, (folder / second.path).read_bytes())
    return [*added, copy]


def collection_state(folder: Path, identity: dict) -> bool:
    """Whether the folder already holds this collection, complete.

    Raises:
        SystemExit: the folder holds something else.
    """
    for name in (MARK, STARTED):
        if (folder / name).exists():
            found = json.loads((folder / name).read_text())
            if found != identity:
                raise SystemExit(f"{folder} holds another demo collection ({found}); choose another folder.")
            return name == MARK
    if folder.exists() and any(folder.iterdir()):
        raise SystemExit(f"{folder} is not empty and does not hold a demo collection; choose another folder.")
    return False


def make_collection(folder: str | Path, size: str = "full", seed: int = 0, processes: int | None = None) -> bool:
    """Render a demo collection.

    Args:
        folder: a new or empty folder, or one with the same collection.
        size: a key of `PLANS`.
        seed: another seed gives another collection.
        processes: number of processes; None for one per core. The files do not depend on it.

    Returns:
        False if the folder already holds the complete collection, and nothing is done.

    Raises:
        SystemExit: the folder holds something else.
    """
    folder, plan = Path(folder), PLANS[size]
    identity = {"version": VERSION, "size": size, "seed": seed, "plan": json.loads(json.dumps(asdict(plan)))}
    if collection_state(folder, identity):
        return False
    folder.mkdir(parents=True, exist_ok=True)
    (folder / STARTED).write_text(json.dumps(identity, indent=1) + "\n")
    landmarks, others = plan.landmarks + plan.held_out, plan.distractors + plan.benchmark_distractors
    jobs = [partial(render_landmark, folder, seed, plan, i) for i in range(landmarks)]
    jobs += [partial(render_distractor, folder, seed, plan, i) for i in range(others)]
    total = plan.landmarks * plan.photos + plan.held_out * plan.held_out_photos + others
    records = []
    pool = multiprocessing.get_context("spawn").Pool(processes or os.cpu_count())
    with pool, tqdm(total=total, desc="demo photos", unit="photo") as bar:
        for done in pool.imap_unordered(render, jobs):
            records += done
            bar.update(len(done))
    records += add_broken_files(folder, seed, sorted(records, key=lambda r: r.path))
    write_benchmark(folder, records, seed)
    write_truth(folder, records)
    (folder / STARTED).replace(folder / MARK)
    return True
