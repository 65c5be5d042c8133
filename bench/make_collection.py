"""A collection of photos, made from public git repositories with git alone.

    python bench/make_collection.py NAME OUT [--repositories FOLDER]

NAME is `asia`, `riviera` or `world`: a file of `bench/collections`. It names the repositories, a commit of each, their folders, and the
landmarks in them. The script writes OUT/photos and OUT/truth.csv (photo, landmark, place; `-`: belongs to nothing). A photo is named by the
SHA-256 of the bytes that its owner committed. The file also has the SHA-256 of the result. If another one comes out, the script ends with
an error.

FOLDER (default: OUT/repositories) holds a repository as OWNER+NAME: a git directory or a clone, there or in its subfolder `repo`. A
repository that is missing is fetched from GitHub into FOLDER, with its history (some photos were deleted later), but without files of 4 MiB
and more.

The rules of a collection, or of one of its sources:

- `landmarks`: the landmark of a path, by the beginning of its part after the folder. Other files are left out. A file with several paths
  has the path that git names first.
- `photos`: only these files (their names in git, shortened to 12 digits).
- `min_sides`: minimum of the shorter and of the longer side, in pixels.
- `near`: a photo is left out if its difference hash (Krawetz 2013: 9 x 8 grey pixels, the signs of the horizontal differences) differs by
  at most this number of bits from that of an earlier photo of its landmark. The largest files come first.
- `longer_side` and `quality`: a photo is made smaller and written as JPEG. Without them it keeps its bytes.

Compared, file by file, with the collections on which README.md measures: `asia` is the same (6,211 photos and truth.csv). `riviera` has
1,665 of its 1,814 photos, `world` has 613 of its 732, with the same bytes and labels. Public repositories with the other photos were not
found; the files say which landmarks these photos show. The owners of the photos state no licence: measure with them, publish none.
"""

import argparse
import csv
import hashlib
import io
import subprocess
import unicodedata
import warnings
from pathlib import Path

import yaml
from PIL import Image, ImageOps

COLLECTIONS = Path(__file__).with_name("collections")
MAX_BYTES = 4 << 20
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
FORMATS = {"JPEG": "jpg", "MPO": "jpg"}  # the others are called like their suffix
DIGITS = 12  # of the name of a file in `photos`


def main():
    parser = argparse.ArgumentParser(description="A collection of photos, made from public git repositories.")
    parser.add_argument("name", choices=sorted(path.stem for path in COLLECTIONS.glob("*.yaml")))
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--repositories", type=Path, metavar="FOLDER")
    args = parser.parse_args()
    plan = yaml.safe_load((COLLECTIONS / f"{args.name}.yaml").read_text(encoding="utf-8"))
    made = make(plan, args.out, args.repositories or args.out / "repositories")
    if made != plan["sha256"]:
        why = "a file of a repository is missing, or this version of Pillow writes other JPEGs"
        raise SystemExit(f"{args.out} has the SHA-256 {made}, not {plan['sha256']}: {why}")


def make(plan, out, repositories):
    """Write a collection.

    Args:
        plan: The content of a file of `bench/collections`.
        out: Folder of the collection.
        repositories: Folder of the repositories.

    Returns:
        The SHA-256 of truth.csv and, after it, the photos in its order.
    """
    if (out / "photos").exists():
        raise SystemExit(f"{out / 'photos'} exists: remove it, so that no other photo is in the collection")
    (out / "photos").mkdir(parents=True)
    seen, hashes, rows = set(), {}, []
    for source in plan["sources"]:
        before = len(rows)
        for data, landmark in photos(source, repository(source, repositories)):
            digest = hashlib.sha256(data).digest()
            if digest not in seen:
                seen.add(digest)
                file = written(data, {**plan, **source}, hashes.setdefault(landmark, []), out / "photos")
                if file:
                    rows.append((file, landmark, source.get("places", {}).get(landmark, landmark)))
        print(f"{source['repository']}: {len(rows) - before} photos", flush=True)
    with open(out / "truth.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("photo", "landmark", "place"), *sorted(rows)])
    result = hashlib.sha256((out / "truth.csv").read_bytes())
    for file, _, _ in sorted(rows):
        result.update((out / "photos" / file).read_bytes())
    print(f"{len(rows)} photos of {len({landmark for _, landmark, _ in rows} - {'-'})} landmarks")
    return result.hexdigest()


def repository(source, folder):
    """The git directory of a source; it is fetched if it is missing."""
    path = folder / source["repository"].replace("/", "+")
    places = [found for found in (path, path / ".git", path / "repo", path / "repo/.git") if (found / "HEAD").is_file()]
    if not places:
        subprocess.run(["git", "init", "--quiet", "--bare", path], check=True)
    found = places[0] if places else path
    if not has(found, source["commit"]):
        url = source.get("url", f"https://github.com/{source['repository']}.git")
        subprocess.run([*git(found), "fetch", "--quiet", f"--filter=blob:limit={MAX_BYTES}", url, source["commit"]], check=True)
    return found


def has(git_dir, commit):
    """Whether a repository has a commit."""
    return subprocess.run([*git(git_dir), "cat-file", "-e", f"{commit}^{{commit}}"], stderr=subprocess.DEVNULL).returncode == 0


def git(git_dir):
    return ["git", f"--git-dir={git_dir}"]


def photos(source, git_dir):
    """Yield the content and the landmark of every photo of a source, the largest file first."""
    landmark, chosen = {}, set(source.get("photos", "").split())
    for name, path in objects(git_dir, source["commit"]):
        if (found := landmark_of(path, source)) and (not chosen or name[:DIGITS] in chosen):
            landmark[name] = found
    size = sizes(git_dir, landmark)
    order = sorted((name for name in size if size[name] < MAX_BYTES), key=lambda name: (-size[name], name))
    for name, data in zip(order, contents(git_dir, order), strict=True):
        yield data, landmark[name]


def landmark_of(path, source):
    """The landmark of a file, or None if the source does not name it."""
    path = unicodedata.normalize("NFC", path)
    if Path(path).suffix.lower() in SUFFIXES:
        for folder in source.get("folders", [""]):
            for start, landmark in source["landmarks"].items():
                if path.startswith(f"{folder}/{start}" if folder else start):
                    return landmark
    return None


def objects(git_dir, commit):
    """Yield the name and the path of every object in the history of a commit that is there."""
    listed = subprocess.run([*git(git_dir), "rev-list", "--objects", "--missing=allow-any", commit], stdout=subprocess.PIPE, check=True)
    for line in listed.stdout.decode("utf-8", "replace").splitlines():
        name, _, path = line.partition(" ")
        yield name, path


def sizes(git_dir, names):
    """Object name to bytes."""
    asked = "".join(f"{name}\n" for name in names).encode()
    found = subprocess.run([*git(git_dir), "cat-file", "--batch-check"], input=asked, stdout=subprocess.PIPE, check=True).stdout
    return {name: int(size) for name, _, size in (line.split() for line in found.decode().splitlines())}


def contents(git_dir, names):
    """Yield the bytes of objects."""
    with subprocess.Popen([*git(git_dir), "cat-file", "--batch"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        for name in names:
            process.stdin.write(f"{name}\n".encode())
            process.stdin.flush()
            size = int(process.stdout.readline().split()[2])
            yield process.stdout.read(size)
            process.stdout.read(1)
        process.stdin.close()


def written(data, rules, hashes, folder):
    """Write a photo into a folder, unless the rules refuse it. Its difference hash is added to those of its landmark.

    Returns:
        The name of the file, or None.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data)) as image:
                suffix, upright = FORMATS.get(image.format, image.format.lower()), ImageOps.exif_transpose(image).convert("RGB")
    except Exception:  # not a photo: Pillow raises many kinds
        return None
    if "min_sides" in rules and any(side < least for side, least in zip(sorted(upright.size), rules["min_sides"], strict=True)):
        return None
    if "near" in rules:
        value = difference_hash(upright)
        if any((value ^ other).bit_count() <= rules["near"] for other in hashes):
            return None
        hashes.append(value)
    content = data
    if "longer_side" in rules:
        suffix, content = "jpg", encoded(upright, rules["longer_side"], rules["quality"])
    file = f"{hashlib.sha256(data).hexdigest()[:16]}.{suffix}"
    (folder / file).write_bytes(content)
    return file


def difference_hash(image):
    """64 bits: which of 8 rows of 9 grey pixels get darker from one pixel to the next."""
    grey = image.convert("L").resize((9, 8), Image.Resampling.BILINEAR).tobytes()
    pairs = [(grey[9 * y + x], grey[9 * y + x + 1]) for y in range(8) for x in range(8)]
    return sum((left > right) << number for number, (left, right) in enumerate(pairs))


def encoded(image, longer_side, quality):
    """A photo as JPEG, made smaller if its longer side has more pixels."""
    image.thumbnail((longer_side, longer_side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, optimize=True)
    return buffer.getvalue()


if __name__ == "__main__":
    main()
