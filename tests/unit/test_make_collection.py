"""`bench/make_collection.py` on small git repositories that the tests make."""

import csv
import hashlib
import importlib.util
import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

_SPEC = importlib.util.spec_from_file_location("make_collection", Path(__file__).parents[2] / "bench/make_collection.py")
make_collection = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(make_collection)

IDENTITY = ["-c", "user.name=nobody", "-c", "user.email=nobody@localhost", "-c", "commit.gpgsign=false"]


def photo(seed, size=(64, 48), quality=90, orientation=1):
    """A JPEG of smooth noise: the same seed looks the same in every size and quality."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    buffer, exif = io.BytesIO(), Image.Exif()
    exif[0x112] = orientation
    Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=quality, exif=exif)
    return buffer.getvalue()


def commit(folder, files, gone=()):
    """Commit files (path to bytes) into a repository, and remove others; returns the commit."""
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    for path in gone:
        (folder / path).unlink()
    if not (folder / ".git").exists():
        subprocess.run(["git", "init", "-q", folder], check=True)
    run = ["git", *IDENTITY, "-C", folder]
    subprocess.run([*run, "add", "-A"], check=True)
    subprocess.run([*run, "commit", "-qm", "photos"], check=True)
    return subprocess.run([*run, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()


def made(tmp_path, source, rules=None, repositories=None, name="out"):
    """The rows of truth.csv of a collection of one source, and the folder of its photos."""
    out = tmp_path / name
    plan = {"sources": [{"repository": "someone/photos", "landmarks": {"tower/": "tower", "gate/": "gate"}, **source}], **(rules or {})}
    make_collection.make(plan, out, repositories or tmp_path)
    with open(out / "truth.csv", newline="", encoding="utf-8") as file:
        return list(csv.reader(file))[1:], out / "photos"


def named(data):
    return f"{hashlib.sha256(data).hexdigest()[:16]}.jpg"


def test_duplicates_small_photos_and_other_files_are_left_out(tmp_path):
    first, same, other, small = photo(0), photo(0, quality=50), photo(1), photo(2, (30, 20))
    files = {"tower/a.jpg": first, "tower/b.JPG": first, "tower/c.jpg": same, "gate/d.jpg": same, "gate/e.jpg": other}
    files |= {"tower/small.jpg": small, "tower/broken.jpg": b"no photo", "tower/notes.txt": other, "elsewhere/f.jpg": photo(3)}
    pinned = commit(tmp_path / "someone+photos", files)
    commit(tmp_path / "someone+photos", {"gate/later.jpg": photo(4)})
    rows, folder = made(tmp_path, {"commit": pinned, "places": {"tower": "town"}}, {"near": 4, "min_sides": [24, 40]})
    # The copy of the tower has one of its two landmarks: `gate/d.jpg` is its first path.
    expected = [[named(first), "tower", "town"], [named(same), "gate", "gate"], [named(other), "gate", "gate"]]
    assert rows == sorted(expected)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {named(data): data for data in (first, same, other)}


def test_near_duplicates_of_one_landmark_keep_the_largest_file(tmp_path):
    large, little, other = photo(0, quality=95), photo(0, quality=40), photo(1)
    assert len(large) > len(little)
    pinned = commit(tmp_path / "someone+photos", {"tower/a.jpg": little, "tower/b.jpg": large, "tower/c.jpg": other})
    rows, _ = made(tmp_path, {"commit": pinned}, {"near": 4})
    assert [row[0] for row in rows] == sorted([named(large), named(other)])
    rows, _ = made(tmp_path, {"commit": pinned}, name="all")
    assert [row[0] for row in rows] == sorted([named(large), named(little), named(other)])


def test_photos_are_made_smaller_upright_and_chosen_by_name(tmp_path):
    tall, other = photo(0, orientation=6), photo(1)
    pinned = commit(tmp_path / "someone+photos", {"tower/a.jpg": tall, "tower/b.jpg": other})
    listed = subprocess.run(["git", "-C", tmp_path / "someone+photos", "rev-parse", "HEAD:tower/a.jpg"], capture_output=True, text=True)
    source = {"commit": pinned, "photos": listed.stdout[:12], "longer_side": 32, "quality": 70}
    rows, folder = made(tmp_path, source)
    assert [row[0] for row in rows] == [named(tall)]
    with Image.open(folder / named(tall)) as image:
        assert image.size == (24, 32)


def test_a_missing_repository_is_fetched_with_its_history_and_without_large_files(tmp_path, monkeypatch):
    monkeypatch.setattr(make_collection, "MAX_BYTES", 6000)
    noise = np.random.default_rng(0).integers(0, 256, (100, 100, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "large.jpg", quality=95)
    origin, deleted, kept = tmp_path / "origin", photo(0), photo(1)
    commit(origin, {"tower/a.jpg": deleted, "tower/large.jpg": (tmp_path / "large.jpg").read_bytes()})
    pinned = commit(origin, {"tower/b.jpg": kept}, gone=["tower/a.jpg"])
    for key in ("uploadpack.allowFilter", "uploadpack.allowAnySHA1InWant"):
        subprocess.run(["git", "-C", origin, "config", key, "true"], check=True)
    clones = tmp_path / "clones"
    rows, _ = made(tmp_path, {"commit": pinned, "url": origin.as_uri()}, repositories=clones)
    assert [row[0] for row in rows] == sorted([named(deleted), named(kept)])
    listed = ["git", "-C", clones / "someone+photos", "rev-list", "--objects", "--missing=print", pinned]
    missing = [line for line in subprocess.run(listed, check=True, capture_output=True, text=True).stdout.splitlines() if line[0] == "?"]
    assert len(missing) == 1, "the large file was not fetched"
    origin.rename(tmp_path / "moved")
    again, _ = made(tmp_path, {"commit": pinned, "url": origin.as_uri()}, repositories=clones, name="again")
    assert again == rows, "the second time nothing is fetched"


def test_a_photo_of_two_repositories_is_taken_once(tmp_path):
    sources = []
    for name in ("one", "two"):
        pinned = commit(tmp_path / f"someone+{name}", {f"{name}/a.jpg": photo(0), f"{name}/b.jpg": photo(len(sources) + 1)})
        sources.append({"repository": f"someone/{name}", "commit": pinned, "landmarks": {f"{name}/": name}})
    make_collection.make({"sources": sources}, tmp_path / "out", tmp_path)
    with open(tmp_path / "out/truth.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))[1:]
    assert rows == sorted([[named(photo(0)), "one", "one"], [named(photo(1)), "one", "one"], [named(photo(2)), "two", "two"]])


def test_the_sha256_of_the_result_is_compared(tmp_path, monkeypatch):
    pinned = commit(tmp_path / "someone+photos", {"tower/a.jpg": photo(0)})
    plan = {"sources": [{"repository": "someone/photos", "commit": pinned, "landmarks": {"tower/": "tower"}}]}
    right = make_collection.make(plan, tmp_path / "first", tmp_path)
    monkeypatch.setattr(make_collection, "COLLECTIONS", tmp_path)
    for name, sha256 in (("right", right), ("wrong", "0" * 64)):
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump({"sha256": sha256, **plan}))

    def run(name):
        monkeypatch.setattr(sys, "argv", ["make_collection.py", name, str(tmp_path / name), "--repositories", str(tmp_path)])
        make_collection.main()

    run("right")
    with pytest.raises(SystemExit, match=right):
        run("wrong")
    with pytest.raises(SystemExit, match="exists: remove it"):
        run("right")


@pytest.mark.parametrize("path", sorted(make_collection.COLLECTIONS.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_collections_pin_every_source(path):
    plan = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert len(plan["sha256"]) == 64
    for source in plan["sources"]:
        assert len(source["commit"]) == 40 and set(source.get("places", {})) <= set(source["landmarks"].values())
        assert all(len(name) == make_collection.DIGITS for name in source.get("photos", "").split())
