"""A whole demo collection: the heap of photos, the benchmark, the truth.

Every landmark and every distractor has its own random generator, so the files do not depend on how many processes
render them, nor on the order in which they do.
"""

import hashlib
import json
import multiprocessing
import os
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
STARTED = "demo.partial.json"  # there from the first file to the last
FORMS = {(0, 3): "cmyk", (1, 5): "png16", (1, 7): "rotated"}  # (landmark, photo): an unusual but valid encoding
# Landmarks whose last photo is as large as those of phones, and how it is encoded. The last one: its noise takes more random numbers.
LARGE = {2: "rotated", 5: "plain", 8: "rotated back", 11: "rotated"}
LARGE_SIDE = 4032  # pixels; rendered at half of it, because phones see no more either, and it takes a quarter of the time


@dataclass(frozen=True)
class Plan:
    """How many of what: landmarks in the heap and held out, photos and queries of each, distractors; photo size px."""

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


def hash_name(*key) -> str:
    """A file name that tells nothing."""
    return hashlib.sha1("/".join(map(str, key)).encode()).hexdigest()[:14]


def heap_path(name: str, suffix: str = ".jpg") -> str:
    """Where in the collection a photo of the heap lies; the name also decides the subfolder."""
    return f"photos/{('2014', '2019')[int(name[-1], 16) % 2]}/{name}{suffix}"


def save(folder: Path, path: str, data: bytes) -> None:
    """Write one file, making its folder."""
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_bytes(data)


def tags(rng, shot: Shot, place: tuple[float, float]) -> Tags | None:
    """EXIF of a shot at a landmark's latitude and longitude; a fifth of the photos has none."""
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
        path = f"benchmark/photos/{name}.jpg" if held_out else heap_path(name, ".png" if form == "png16" else ".jpg")
        save(folder, path, data)
        records.append(Record(path, landmark, shot))
    return records


def take(rng, scene: Scene, shot: Shot, large: bool) -> np.ndarray:
    """The photo (h, w, 3) uint8 of a shot; large ones are rendered at half their size."""
    faces = scene.faces + (passers_by(rng, shot.camera, shot.heavy) if shot.occluded else [])
    if not large:
        return develop(rng, photograph(faces, shot.camera, shot.light, scene.clouds, scene.radius), shot.night)
    half = photograph(faces, shot.camera.resized(0.5), shot.light, scene.clouds, scene.radius, supersample=1)
    return cv2.resize(develop(rng, half, shot.night), (shot.camera.width, shot.camera.height), interpolation=cv2.INTER_CUBIC)


def render_distractor(folder: Path, seed: int, plan: Plan, number: int) -> list[Record]:
    """Render and write one photo that shows no landmark; the first ones go to the heap, the others to the benchmark."""
    image = distractor(seed, number, plan.size)
    name = hash_name(seed, "distractor", number)
    path = heap_path(name) if number < plan.distractors else f"benchmark/photos/{name}.jpg"
    rng = np.random.default_rng([seed, 3_000_000, number])
    at = 48 + rng.uniform(-1, 1), 11 + rng.uniform(-1, 1)
    known = Tags(int(rng.integers(26, 36)), *at, "2016:07:01 12:00:00", int(rng.integers(len(MODELS))))
    save(folder, path, jpeg(image, known if rng.random() < 0.8 else None))
    return [Record(path, None, None)]


def render(job) -> list[Record]:
    """Run one job in a worker; one thread each, as there is a worker per core."""
    cv2.setNumThreads(1)
    return job()


def add_spoiled(folder: Path, seed: int, records: list[Record]) -> list[Record]:
    """Files that a heap also holds: broken ones, and one photo twice. Returns the records of what was added."""
    first, second = [r for r in records if r.landmark == 0 and r.path.endswith(".jpg")][:2]
    whole = (folder / first.path).read_bytes()
    speck = np.random.default_rng([seed, 4_000_000]).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    spoiled = {
        "truncated": whole[: len(whole) // 3],
        "empty": b"",
        "text": b"This is not a photo, whatever its name says.\n" * 20,
        "speck": jpeg(speck),
    }
    added = []
    for kind, data in spoiled.items():
        added.append(Record(heap_path(hash_name(seed, kind)), None, None, broken=kind))
        save(folder, added[-1].path, data)
    twin = Record(heap_path(hash_name(seed, "duplicate")), 0, second.shot)
    save(folder, twin.path, (folder / second.path).read_bytes())
    return [*added, twin]


def collection_state(folder: Path, identity: dict) -> bool:
    """Whether the folder already holds this collection, complete. Refuses a folder that holds anything else."""
    for name in (MARK, STARTED):
        if (folder / name).exists():
            found = json.loads((folder / name).read_text())
            if found != identity:
                raise SystemExit(f"{folder} holds another demo collection ({found}); choose another folder.")
            return name == MARK
    if folder.exists() and any(folder.iterdir()):
        raise SystemExit(f"{folder} is not empty and holds no demo collection; choose another folder.")
    return False


def make_collection(folder: str | Path, size: str = "full", seed: int = 0, processes: int | None = None) -> bool:
    """Render a collection into a folder. Returns False where it was there already, and nothing was done."""
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
    records += add_spoiled(folder, seed, sorted(records, key=lambda r: r.path))
    write_benchmark(folder, records, seed)
    write_truth(folder, records)
    (folder / STARTED).replace(folder / MARK)
    return True
