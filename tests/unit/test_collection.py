"""The collection: every kind of file is listed or rejected with the right reason; unchanged files are not read or written again."""

import errno
import hashlib
import io
import json
import math
import os
import re
import shutil
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from bow2cnn.benchmarks.read import read_benchmark
from bow2cnn.collection.scan import scan
from bow2cnn.core import artefact
from bow2cnn.core.empty_stage import EmptyStageError
from bow2cnn.photos import decode as photo
from bow2cnn.photos.decode import PhotoError, read_header, read_rgb
from bow2cnn.photos.jpeg import count_scans
from bow2cnn_demo.photo import Tags, exif, jpeg

MIN_SIDE, MAX_PIXELS = 32, 10**6
RED, GREEN, BLUE, WHITE = (250, 0, 0), (0, 250, 0), (0, 0, 250), (250, 250, 250)


def quarters(width=120, height=80):
    """Red top left, green top right, blue bottom left, white bottom right."""
    image = np.zeros((height, width, 3), np.uint8)
    for colour, rows, columns in ((RED, 0, 0), (GREEN, 0, 1), (BLUE, 1, 0), (WHITE, 1, 1)):
        image[rows * height // 2 :, columns * width // 2 :] = colour
    return Image.fromarray(image)


def noise(seed, width=64, height=48):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def encoded(image, form, **options):
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def bomb(side):
    """A PNG that claims `side` x `side` pixels in a few bytes."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


def scanned(root, folder, shards=3):
    """The collection's arrays, and path -> reason of the rejected files."""
    scan([root], folder, shards, MIN_SIDE, MAX_PIXELS)
    arrays = artefact.read(folder / "collection.h5", "collection")
    names = [os.path.relpath(path, root) for path in arrays["rejected/path"]]
    return arrays, dict(zip(names, arrays["rejected/reason"], strict=True))


def state(folder):
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in sorted(folder.rglob("*")) if path.is_file()}


def decode(folder, data, max_side=None):
    (folder / "photo").write_bytes(data)
    return read_rgb(folder / "photo", max_side)


@pytest.fixture
def heap(tmp_path):
    """A folder with a photo of every usable kind and a file of every unusable one."""
    root = tmp_path / "photos"
    (root / "deeper/down").mkdir(parents=True)
    whole = jpeg(noise(0))
    grey = Image.fromarray(noise(5).astype(np.uint16)[:, :, 0] * 257)
    frames = [Image.fromarray(noise(i)) for i in (6, 7)]
    files = {
        "deeper/down/plain.jpg": whole,
        "cmyk.jpg": jpeg(noise(1), form="cmyk"),
        "turned.jpg": jpeg(noise(2), form="rotated"),
        "sixteen.png": encoded(grey, "PNG"),
        "palette.png": encoded(Image.fromarray(noise(3)).convert("P"), "PNG"),
        "moving.gif": encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]),
        "moving.webp": encoded(frames[1], "WEBP", save_all=True, append_images=frames[:1]),
        "no-ending": encoded(Image.fromarray(noise(4)), "WEBP"),
        "cut.jpg": jpeg(noise(8, 256, 256))[:4000],
        "stub.jpg": whole[:10],
        "empty.jpg": b"",
        "text.jpg": b"no photo " * 99,
        "drawing.eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n",
        "tiny.png": encoded(Image.fromarray(noise(9, 200, MIN_SIDE - 1)), "PNG"),
        "large.png": bomb(1001),
        "bomb.png": bomb(60_000),
        "twin.jpg": whole,
        ".hidden.jpg": jpeg(noise(10)),
        "deeper/.thumbnails/a.jpg": jpeg(noise(11)),
    }
    for name, data in files.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(data)
    (root / "link.jpg").symlink_to(root / "cmyk.jpg")
    (root / "loop").symlink_to(root)
    os.mkfifo(root / "pipe.jpg")
    return root


def test_every_file_is_sorted_with_its_reason(heap, tmp_path):
    arrays, reasons = scanned(heap, tmp_path / "out")
    usable = {"cmyk.jpg", "turned.jpg", "sixteen.png", "palette.png", "moving.gif", "moving.webp", "no-ending", "cut.jpg"}
    assert set(arrays["name"]) == usable | {"twin.jpg"}
    assert reasons == {
        "stub.jpg": "damaged (Truncated File Read)",
        "empty.jpg": "not a photo",
        "text.jpg": "not a photo",
        "drawing.eps": "not a photo",
        "tiny.png": f"too small (200 x {MIN_SIDE - 1} pixels)",
        "large.png": "too large (1001 x 1001 pixels)",
        "bomb.png": "too large",
        "deeper/down/plain.jpg": f"same bytes as {heap}/twin.jpg",
        "link.jpg": "symbolic link",
        "loop": "symbolic link",
        "pipe.jpg": "not a regular file",
    }


def test_rows_are_sorted_and_shards_concatenate_into_the_collection(heap, tmp_path):
    arrays, _ = scanned(heap, tmp_path)
    keys = [(shard, bytes(sha)) for shard, sha in zip(arrays["shard"], arrays["sha256"], strict=True)]
    assert keys == sorted(keys)
    parts = [artefact.read(tmp_path / f"shard-{shard:03d}.h5", "collection") for shard in range(3)]
    assert [path for part in parts for path in part["path"]] == arrays["path"]
    for name in ("sha256", "width", "height", "focal", "gps", "shard"):
        np.testing.assert_array_equal(np.concatenate([part[name] for part in parts]), arrays[name])


def test_a_file_that_may_not_be_read_is_rejected_and_tried_again(tmp_path, monkeypatch):
    (tmp_path / "photos").mkdir()
    for name in ("good.jpg", "locked.jpg"):
        (tmp_path / "photos" / name).write_bytes(jpeg(noise(len(name))))

    def refuse(path, *mode):
        if str(path).endswith("locked.jpg"):
            raise PermissionError(13, "Permission denied")
        return open(path, *mode)

    with monkeypatch.context() as patch:
        patch.setattr(photo, "open", refuse, raising=False)
        arrays, reasons = scanned(tmp_path / "photos", tmp_path / "out")
    assert arrays["name"] == ["good.jpg"] and reasons == {"locked.jpg": "not readable (Permission denied)"}
    arrays, reasons = scanned(tmp_path / "photos", tmp_path / "out")
    assert sorted(arrays["name"]) == ["good.jpg", "locked.jpg"] and not reasons


def test_a_second_scan_touches_no_list_and_reads_no_photo(heap, tmp_path, monkeypatch):
    scanned(heap, tmp_path / "out")
    before = {path: content for path, content in state(tmp_path / "out").items() if path.name != "scan-memory.h5"}
    monkeypatch.setattr(photo, "open", lambda *_: pytest.fail("read again"), raising=False)
    scanned(heap, tmp_path / "out")
    after = state(tmp_path / "out")
    assert before == {path: after[path] for path in before} and len(after) == len(before) + 1


def test_photos_are_read_again_by_other_code(heap, tmp_path, monkeypatch):
    scanned(heap, tmp_path / "out")
    monkeypatch.setattr("bow2cnn.collection.scan.digest", lambda _: "other")
    read = []
    monkeypatch.setattr("bow2cnn.collection.scan.read_row", lambda path, *_: read.append(path) or {"reason": "not today"})
    with pytest.raises(EmptyStageError, match="18 not today"):
        scanned(heap, tmp_path / "out")
    assert len(read) == 18


def test_a_disk_that_fails_is_no_damage_of_the_photo(tmp_path, monkeypatch):
    (tmp_path / "a.jpg").write_bytes(jpeg(noise(0)))

    def fail(*_, **__):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Image, "open", fail)
    with pytest.raises(PhotoError, match=r"^not readable \(Input/output error\)$"):
        read_rgb(tmp_path / "a.jpg")


def test_a_photo_that_changed_is_read_again(tmp_path):
    (tmp_path / "photos").mkdir()
    for seed in range(2):
        (tmp_path / "photos/a.jpg").write_bytes(jpeg(noise(0, 64 + 16 * seed)))
        arrays, _ = scanned(tmp_path / "photos", tmp_path / "out")
        assert arrays["width"].tolist() == [64 + 16 * seed]


def test_a_photo_in_the_place_of_one_of_the_same_size_and_time_is_noticed(tmp_path):
    """Photos without compression have equal sizes, and a program that unpacks an archive may set equal times."""
    for name, grey in (("a", 10), ("b", 200)):
        (tmp_path / name).mkdir()
        Image.new("RGB", (80, 70), (grey, grey, grey)).save(tmp_path / name / "p.bmp")
        os.utime(tmp_path / name / "p.bmp", (1e9, 1e9))
    photo, other = tmp_path / "a/p.bmp", tmp_path / "b/p.bmp"
    assert photo.stat().st_size == other.stat().st_size
    scan([tmp_path / "a"], tmp_path / "out", 1, 64, 10**6)
    os.replace(other, photo)
    scan([tmp_path / "a"], tmp_path / "out", 1, 64, 10**6)
    seen = artefact.read(tmp_path / "out/collection.h5", "collection")["sha256"]
    assert bytes(seen[0]) == hashlib.sha256(photo.read_bytes()).digest()


def test_what_pillow_warns_of_is_silent_and_nothing_else(tmp_path):
    """In threads too: reading a photo does not change the warning filters of the process."""
    with open(tmp_path / "p.jpg", "wb") as file:
        file.write(encoded(quarters(), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\x01\0\x0f\x01\x02\0\x99\0\0\0\x99\x99\0\0"))
    code = """
import sys, warnings
from concurrent.futures import ThreadPoolExecutor
from bow2cnn.photos import decode as photo, exif
before = list(warnings.filters)
with photo._open(sys.argv[1]) as image:
    assert warnings.filters == before
    exif.read_exif(image)
with ThreadPoolExecutor(8) as pool:
    list(pool.map(lambda _: photo.read_header(sys.argv[1], 1, 10**6), range(100)))
assert warnings.filters == before
warnings.warn("mine")
"""
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "p.jpg"], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[0].endswith("UserWarning: mine"), done.stderr
    loud = subprocess.run(
        [sys.executable, "-c", "import sys; from PIL import Image; Image.open(sys.argv[1]).getexif()", tmp_path / "p.jpg"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "UserWarning" in loud.stderr, "there is something to be silent of"


@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), MemoryError()])
def test_what_the_system_refuses_while_pixels_are_read_is_no_damage(tmp_path, monkeypatch, error):
    Image.new("RGB", (80, 70)).save(tmp_path / "p.png")

    def fail(_):
        raise error

    monkeypatch.setattr(photo, "_to_rgb", fail)
    with pytest.raises(MemoryError if isinstance(error, MemoryError) else PhotoError) as caught:
        read_rgb(tmp_path / "p.png")
    assert isinstance(error, MemoryError) or str(caught.value) == "not readable (Input/output error)"


def test_other_limits_are_not_answered_from_memory(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/a.jpg").write_bytes(jpeg(noise(0)))
    (tmp_path / "photos/b.jpg").write_bytes(jpeg(noise(1, 128, 128)))
    for min_side, count in ((32, 2), (100, 1), (32, 2)):
        scan([tmp_path / "photos"], tmp_path, 1, min_side, MAX_PIXELS)
        assert len(artefact.read(tmp_path / "collection.h5", "collection")["name"]) == count


def test_a_new_photo_changes_only_its_shards_list(heap, tmp_path):
    scanned(heap, tmp_path / "out")
    before = state(tmp_path / "out")
    (heap / "new.jpg").write_bytes(jpeg(noise(99)))
    arrays, _ = scanned(heap, tmp_path / "out")
    after = state(tmp_path / "out")
    changed = {path.name for path in before if before[path] != after[path]} - {"scan-memory.h5"}
    assert changed == {"collection.h5", f"shard-{arrays['shard'][arrays['name'].index('new.jpg')]:03d}.h5"}


def test_photos_are_never_modified(heap, tmp_path):
    before = {path: content for path, content in state(heap).items() if not path.is_fifo()}
    arrays, _ = scanned(heap, tmp_path)
    for path in arrays["path"]:
        if not path.endswith("cut.jpg"):
            read_rgb(path, 32)
    assert before == state(heap)


def chunks(png, *extra):
    """A PNG with more chunks after its header."""
    added = [struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in extra]
    return png[:33] + b"".join(added) + png[33:]


def scan_bomb(count):
    """A progressive JPEG that repeats its last scan."""
    data = encoded(quarters(), "JPEG", progressive=True)
    last = data.rfind(b"\xff\xda")
    return data[:last] + data[last:-2] * count + data[-2:]


def tiff(*fields, data):
    """A grey TIFF of 64 x 64 pixels, with further fields (tag, count, value or offset) and the bytes at offset 200."""
    fields = sorted([(256, 1, 64), (257, 1, 64), (258, 1, 8), (262, 1, 1), (277, 1, 1), *fields])
    ifd = struct.pack("<H", len(fields)) + b"".join(struct.pack("<HHII", tag, 4, *field) for tag, *field in fields)
    return (struct.pack("<2sHI", b"II", 42, 8) + ifd + bytes(4)).ljust(200, b"\0") + data


def tiff_of_strips(count):
    """The pixels of a single strip are listed again and again."""
    pixels = 200 + 8 * count
    lists = struct.pack(f"<{count}I", *[pixels] * count) + struct.pack(f"<{count}I", *[64 * 63] * count)
    strips = (259, 1, 1), (273, count, 200), (278, 1, 63), (279, count, 200 + 4 * count)
    return tiff(*strips, data=lists + bytes(64 * 64))


def tiff_of_tiles(side):
    """The pixels lie in the corner of a single tile, compressed."""
    data = zlib.compress(bytes(min(side, 8192) ** 2))
    return tiff((259, 1, 8), (322, 1, side), (323, 1, side), (324, 1, 200), (325, 1, len(data)), data=data)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (chunks(bomb(40), (b"zTXt", b"k\0\0" + zlib.compress(bytes(10**8)))), "damaged (Decompressed data too large"),
        (chunks(bomb(40), (b"iCCP", b"k\0\0" + zlib.compress(bytes(10**8)))), "damaged (Decompressed data too large"),
        (scan_bomb(500), "damaged (more than 200 scans)"),
        (tiff_of_strips(1000), "damaged (its tiles cover far more than its area)"),
    ],
    ids=["text", "profile", "scans", "strips"],
)
def test_small_files_that_cost_much_are_refused(tmp_path, data, reason):
    assert len(data) < 200_000
    (tmp_path / "photo").write_bytes(data)
    with pytest.raises(PhotoError) as caught:
        read_header(tmp_path / "photo", MIN_SIDE, MAX_PIXELS)
    assert str(caught.value).startswith(reason)


def test_what_looks_like_such_a_file_is_a_photo(tmp_path):
    (tmp_path / "photo").write_bytes(scan_bomb(1))
    assert read_header(tmp_path / "photo", MIN_SIDE, MAX_PIXELS)["width"] == 120
    assert decode(tmp_path, tiff_of_strips(2)).shape == (64, 64, 3)
    assert decode(tmp_path, chunks(encoded(quarters(), "PNG"), (b"zTXt", b"k\0\0" + zlib.compress(bytes(10**5))))).shape == (80, 120, 3)


@pytest.mark.parametrize("side", [8192, 60_000])
def test_the_tiles_of_a_tiff_are_bounded(tmp_path, side):
    """The photo is small, but each of its tiles would fill the memory."""
    assert decode(tmp_path, tiff_of_tiles(128)).shape == (64, 64, 3)
    (tmp_path / "photo").write_bytes(tiff_of_tiles(side))
    assert (tmp_path / "photo").stat().st_size < 100_000
    for read in (lambda path: read_header(path, MIN_SIDE, MAX_PIXELS), read_rgb):
        with pytest.raises(PhotoError, match=rf"^too large \(tiles of {side} x {side} pixels\)$"):
            read(tmp_path / "photo")


def test_a_frame_larger_than_its_gif_counts_in_full(tmp_path):
    frame = encoded(Image.new("P", (2000, 1000)), "GIF")
    small = frame[:6] + struct.pack("<HH", 40, 40) + frame[10:]
    (tmp_path / "photo").write_bytes(small)
    with pytest.raises(PhotoError, match=r"^too large \(2000 x 1000 pixels\)$"):
        read_header(tmp_path / "photo", MIN_SIDE, MAX_PIXELS)


def test_only_the_first_frame_of_a_moving_bomb_is_decoded(tmp_path):
    size, huge = struct.pack("<HH", 40, 40), struct.pack("<HH", 60_000, 60_000)
    frames = [Image.new("RGB", (40, 40), (10 * i, 0, 0)) for i in range(20)]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert data.count(size) > 10
    assert decode(tmp_path, data.replace(size, huge).replace(huge, size, 2)).shape == (40, 40, 3)


def test_of_a_photo_of_several_pictures_the_first_counts(tmp_path):
    pictures = [Image.fromarray(noise(seed)) for seed in range(2)]
    data = encoded(pictures[0], "MPO", save_all=True, append_images=pictures[1:])
    rgb = decode(tmp_path, data)
    assert read_header(tmp_path / "photo", MIN_SIDE, MAX_PIXELS)["width"] == 64 and rgb.shape == (48, 64, 3)
    for stop in (len(data) // 2, len(data) - 100):
        (tmp_path / "photo").write_bytes(data[:stop])
        read_header(tmp_path / "photo", MIN_SIDE, MAX_PIXELS)


def test_numbers_that_are_none_are_black(tmp_path):
    values = np.full((40, 40), 200, np.float32)
    values[:20] = np.nan
    rgb = decode(tmp_path, encoded(Image.fromarray(values), "TIFF"))
    assert (rgb[:20] == 0).all() and (rgb[20:] == 200).all()


def test_a_pipe_in_the_place_of_a_photo_does_not_stall(tmp_path):
    os.mkfifo(tmp_path / "photo")
    for read in (lambda path: read_header(path, MIN_SIDE, MAX_PIXELS), read_rgb):
        with pytest.raises(PhotoError, match="not a regular file"):
            read(tmp_path / "photo")


def test_folders_without_photos_make_an_empty_collection(tmp_path):
    (tmp_path / "photos").mkdir()
    with pytest.raises(EmptyStageError, match=r"^collection: there is no file in .*/photos; put photos there"):
        scanned(tmp_path / "photos", tmp_path)
    arrays = artefact.read(tmp_path / "collection.h5", "collection")
    assert arrays["name"] == [] and arrays["gps"].shape == (0, 2) and not arrays["rejected/path"]


def test_without_a_usable_photo_the_reasons_are_counted(tmp_path):
    (tmp_path / "photos").mkdir()
    for name, data in (("a.jpg", b""), ("b.jpg", b"text"), ("c.png", bomb(1001))):
        (tmp_path / "photos" / name).write_bytes(data)
    with pytest.raises(EmptyStageError, match=r"none of the 3 files in .* is a usable photo: 2 not a photo, 1 too large \(.*max_pixels"):
        scanned(tmp_path / "photos", tmp_path)
    assert len(artefact.read(tmp_path / "collection.h5", "collection")["rejected/path"]) == 3


def test_a_folder_that_may_not_be_read_is_rejected(tmp_path, monkeypatch):
    (tmp_path / "photos/locked").mkdir(parents=True)
    (tmp_path / "photos/a.jpg").write_bytes(jpeg(noise(0)))
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    arrays, reasons = scanned(tmp_path / "photos", tmp_path / "out")
    assert arrays["name"] == ["a.jpg"] and reasons == {"locked": "not readable (Permission denied)"}


def test_links_lead_nowhere(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "photos").mkdir()
    for path in ("elsewhere/a.jpg", "photos/b.jpg"):
        (tmp_path / path).write_bytes(jpeg(noise(len(path))))
    links = {"out": tmp_path / "elsewhere", "a.jpg": tmp_path / "elsewhere/a.jpg", "gone.jpg": "nowhere", "circle": "circle", "up": ".."}
    for name, target in links.items():
        (tmp_path / "photos" / name).symlink_to(target)
    arrays, reasons = scanned(tmp_path / "photos", tmp_path)
    assert arrays["name"] == ["b.jpg"] and reasons == dict.fromkeys(links, "symbolic link")


def test_links_are_followed_if_the_config_says_so(tmp_path, caplog, monkeypatch):
    """Case P17: links of git-annex and photo managers. Cycles end, and links without a target are reported."""
    (tmp_path / "elsewhere/deep").mkdir(parents=True)
    (tmp_path / "photos/.git").mkdir(parents=True)
    (tmp_path / "photos/sub").mkdir()
    for number, path in enumerate(("elsewhere/a.jpg", "elsewhere/deep/b.jpg", "photos/.git/c.jpg", "photos/d.jpg", "photos/sub/e.jpg")):
        (tmp_path / path).write_bytes(jpeg(noise(number)))
    (tmp_path / "elsewhere/deep/back").symlink_to(tmp_path / "elsewhere")
    links = {"c.jpg": ".git/c.jpg", "out": tmp_path / "elsewhere", "gone.jpg": "nowhere", "circle": "circle", "up": "..", "sub/up": ".."}
    for name, target in links.items():
        (tmp_path / "photos" / name).symlink_to(target)
    monkeypatch.setenv("BOW2CNN_PHOTOS", json.dumps([str(tmp_path / "photos")]))
    _, reasons = scanned(tmp_path / "photos", tmp_path / "without")
    assert reasons == dict.fromkeys(links, "symbolic link")
    assert "6 of 8 files are left out: 6 symbolic link (`follow_links: true` in `collection` follows them)" in caplog.text
    monkeypatch.setenv("BOW2CNN_FOLLOW_LINKS", "yes")
    scan([tmp_path / "photos"], tmp_path / "with", 1, MIN_SIDE, MAX_PIXELS, follow_links=True)
    arrays = artefact.read(tmp_path / "with/collection.h5", "collection")
    inside = {"d.jpg", "c.jpg", "out/a.jpg", "out/deep/b.jpg", "sub/e.jpg"}
    assert inside <= set(arrays["name"]) and len(arrays["name"]) == 5
    assert all(read_rgb(path).shape == (48, 64, 3) for path in arrays["path"])
    again = "symbolic link to a folder that is read anyway"
    names = [os.path.relpath(path, tmp_path / "photos") for path in arrays["rejected/path"]]
    found = dict(zip(names, arrays["rejected/reason"], strict=True))
    assert {name: found[name] for name in ("out/deep/back", "sub/up", "gone.jpg")} == {
        "out/deep/back": again, "sub/up": again, "gone.jpg": "not readable (No such file or directory)",
    }  # fmt: skip
    assert all(reason.startswith(("not readable", "not a photo", "same bytes as ", again)) for reason in found.values())


@pytest.mark.parametrize("name", ["a\nb.jpg", 'it\'s "quoted".jpg', "<script>alert(1)<\\script>.jpg", "süß 写真.jpg", b"\xff\xfe.jpg"])
def test_any_name_is_a_name(tmp_path, name):
    (tmp_path / "photos").mkdir()
    path = os.path.join(os.fsencode(tmp_path / "photos"), os.fsencode(name))
    with open(path, "wb") as file:
        file.write(jpeg(noise(0)))
    arrays, _ = scanned(tmp_path / "photos", tmp_path)
    assert arrays["name"] == [os.fsdecode(name)]
    assert read_rgb(arrays["path"][0]).shape == (48, 64, 3)


def test_the_scan_of_a_moved_folder_has_the_same_rows(heap, tmp_path):
    arrays, _ = scanned(heap, tmp_path / "a")
    shutil.move(heap, tmp_path / "moved")
    again, _ = scanned(tmp_path / "moved", tmp_path / "b")
    assert arrays["name"] == again["name"] and (arrays["sha256"] == again["sha256"]).all()


def test_focal_length_and_position_come_from_exif(tmp_path):
    tags = Tags(28, -33.5, 70.25, "2012:01:01 00:00:00", 0)
    (tmp_path / "a.jpg").write_bytes(jpeg(noise(0, 48, 72), tags))
    header = read_header(tmp_path / "a.jpg", MIN_SIDE, MAX_PIXELS)
    assert header["focal"] == pytest.approx(28 / 36 * 72)
    assert header["gps"] == pytest.approx((-33.5, 70.25))


@pytest.mark.parametrize("tag", [0, 1, 60_000, None])
def test_without_a_plausible_focal_length_there_is_none(tmp_path, tag):
    block = Image.Exif()
    block[0x010F] = "Nikon"
    if tag is not None:
        block.get_ifd(0x8769)[0xA405] = tag
        block.get_ifd(0x8825)[2] = (200.0, 0.0, 0.0)
    (tmp_path / "a.jpg").write_bytes(encoded(quarters(), "JPEG", exif=block))
    header = read_header(tmp_path / "a.jpg", MIN_SIDE, MAX_PIXELS)
    assert math.isnan(header["focal"]) and all(map(math.isnan, header["gps"]))


def test_a_broken_exif_block_does_not_cost_the_photo(tmp_path):
    (tmp_path / "a.jpg").write_bytes(encoded(quarters(), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff broken"))
    header = read_header(tmp_path / "a.jpg", MIN_SIDE, MAX_PIXELS)
    assert (header["width"], header["height"]) == (120, 80) and math.isnan(header["focal"])
    assert read_rgb(tmp_path / "a.jpg").shape == (80, 120, 3)


def turned(picture, orientation):
    """Turn a picture by the definition of EXIF's orientation: the sides of the pixels that are the top and the left."""
    array = np.asarray(picture)
    if orientation in (5, 6, 7, 8):
        array = array.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    return array


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("form", "mode"),
    [("JPEG", "RGB"), ("JPEG", "CMYK"), ("PNG", "RGBA"), ("TIFF", "RGB"), ("TIFF", "RGBA"), ("AVIF", "RGB"), ("HEIF", "RGB")],
)
def test_photos_stand_upright(tmp_path, orientation, form, mode):
    rgb = decode(tmp_path, encoded(quarters().convert(mode), form, exif=exif(None, orientation).tobytes()))
    expected = turned(quarters(), orientation)
    header = read_header(tmp_path / "photo", MIN_SIDE, MAX_PIXELS)
    assert (header["height"], header["width"]) == rgb.shape[:2] == expected.shape[:2]
    assert np.abs(rgb[10::20, 10::20].astype(int) - expected[10::20, 10::20]).max() < 30


def test_sixteen_bits_keep_their_range(tmp_path):
    ramp = np.tile(np.linspace(0, 65535, 120).astype(np.uint16), (80, 1))
    rgb = decode(tmp_path, encoded(Image.fromarray(ramp), "PNG", exif=exif(None, 6)))
    assert rgb.shape == (120, 80, 3)
    np.testing.assert_allclose(rgb[:, 40, 0], np.linspace(0, 255, 120), atol=1)


def scene(width=120, height=80):
    """A grey image in fractions that uses them all, float64 [h, w]."""
    columns, rows = np.meshgrid(np.linspace(0, 9, width), np.linspace(0, 7, height))
    image = np.sin(columns) * np.cos(rows)
    return (image - image.min()) / np.ptp(image)


LOSSLESS = [cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, 1000]
NOWHERE = np.arange(80)[:, None] + np.zeros(120) < 30  # pixels without a measurement


# Values of a scene in files of more than 8 bits, and their tolerance against the scene in 8 bits.
DEEP = {
    "10 of 16 bits": (lambda image: np.rint(image * 1023).astype(np.uint16), 1),
    "12 of 16 bits": (lambda image: np.rint(image * 4095).astype(np.uint16), 1),
    "14 of 16 bits": (lambda image: np.rint(image * 16383).astype(np.uint16), 1),
    "16 bits": (lambda image: np.rint(image * 65535).astype(np.uint16), 1),
    "counts of a thermal camera": (lambda image: np.rint(7400 + image * 900).astype(np.uint16), 3),
    "counts with a dead pixel": (
        lambda image: np.where(np.arange(image.size).reshape(image.shape) == 7, 65535, 300 + image * 900).astype(np.uint16),
        3,
    ),
    "fractions": (lambda image: image.astype(np.float32), 1),
    "grey levels": (lambda image: (image * 255).astype(np.float32), 1),
    "degrees": (lambda image: (image * 30 - 12).astype(np.float32), 3),
    "heights": (lambda image: (image * 30 + 400).astype(np.float32), 3),
    "counts of 32 bits": (lambda image: np.rint(image * 3e6).astype(np.int32), 1),
    "all of 32 bits": (lambda image: np.rint(image * (2**32 - 1)).astype(np.uint32), 1),
    "counts below and above zero": (lambda image: np.rint(image * 5000 - 2000).astype(np.int16), 1),
    **{
        f"fractions beside {none}": (lambda image, none=none: np.where(NOWHERE, none, image).astype(np.float32), 1)
        for none in (-9999, -3.4e38, 3.4e38)
    },
    "counts beside -32768": (lambda image: np.where(NOWHERE, -32768, np.rint(image * 1023)).astype(np.int16), 1),
    "counts beside 0": (lambda image: np.where(NOWHERE, 0, np.rint(image * 900 + 7400)).astype(np.uint16), 1),
}


def deep_tiff(values, *fields):
    """An uncompressed TIFF of numbers [h, w], or [h, w, c], a plane each; fields take the place of its own."""
    bits, signs = values.itemsize * 8, {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    channels = values[None] if values.ndim == 2 else values.transpose(2, 0, 1)
    length = channels[0].nbytes
    own = [(256, 1, values.shape[1]), (257, 1, values.shape[0]), (278, 1, values.shape[0]), (259, 1, 1), (277, 1, len(channels))]
    own += [(258, len(channels), bits), (262, 1, 1 if len(channels) == 1 else 2), (284, 1, len(channels) // 3 + 1), (339, 1, signs)]
    own += [(273, 1, 200), (279, 1, length)]
    data = b""
    if len(channels) > 1:  # three numbers have no room in a field
        data = struct.pack("<9I", bits, bits, bits, *(236 + i * length for i in range(3)), *[length] * 3)
        own = [field for field in own if field[0] not in (258, 273, 279)] + [(258, 3, 200), (273, 3, 212), (279, 3, 224)]
    own = [field for field in own if field[0] not in [field[0] for field in fields]] + list(fields)
    ifd = b"".join(struct.pack("<HHII", tag, 4, *field) for tag, *field in sorted(own))
    head = struct.pack("<2sHIH", b"II", 42, 8, len(own)) + ifd + bytes(4)
    return head.ljust(200, b"\0") + data + np.ascontiguousarray(channels).tobytes()


@pytest.mark.parametrize("kind", DEEP)
def test_deep_photos_are_scaled_to_what_they_hold(tmp_path, kind):
    """Case P2: they look like their copies of 8 bits."""
    make, off = DEEP[kind]
    values = make(scene())
    rgb = decode(tmp_path, deep_tiff(values))
    found, expected = rgb[..., 1].astype(int), (scene() * 255).astype(int)
    nothing = values == 65535 if kind.endswith("pixel") else NOWHERE & ("beside" in kind)
    assert np.abs(found - expected)[~nothing].max() <= off


def test_zero_is_white_where_a_deep_file_says_so(tmp_path):
    rgb = decode(tmp_path, deep_tiff(np.rint(4095 - scene() * 4095).astype(np.uint16), (262, 1, 0)))
    np.testing.assert_allclose(rgb[..., 0].astype(int), (scene() * 255).astype(int), atol=2)


@pytest.mark.parametrize(
    "values",
    [
        scene().astype(np.float16),
        scene(),
        (scene() * 255 - 128).astype(np.int8),
        np.stack([scene()] * 3, 2).astype(np.float32),
        np.stack([scene() * 65535] * 3, 2).astype(np.uint16),
    ],
    ids=["half", "double", "signed bytes", "floats in colour", "planes of 16 bits"],
)
def test_what_would_be_garbled_is_no_photo(tmp_path, values):
    (tmp_path / "photo").write_bytes(deep_tiff(values))
    for read in (lambda path: read_header(path, MIN_SIDE, MAX_PIXELS), read_rgb):
        with pytest.raises(PhotoError, match=r"^TIFF of a kind that cannot be read, such as floats in colour: save it with 8 or 16 bits$"):
            read(tmp_path / "photo")


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
def test_deep_colours_are_scaled_to_what_they_hold(tmp_path, bits):
    """In every format with 16 bits. An alpha channel is scaled like the colours, and hides nothing."""
    image = np.stack([scene(), scene()[::-1], np.full_like(scene(), 0.3)], 2)
    values = np.rint(image[..., ::-1] * (2**bits - 1)).astype(np.uint16)
    layer = np.concatenate([values, np.full((80, 120, 1), 2**bits - 1, np.uint16)], 2)
    for end, pixels in ((".png", values), (".png", layer), (".tif", layer), (".ppm", values), (".jp2", values)):
        rgb = decode(tmp_path, cv2.imencode(end, pixels, LOSSLESS if end == ".jp2" else [])[1].tobytes())
        np.testing.assert_allclose(rgb.astype(int), (image * 255).astype(int), atol=2, err_msg=end)


def test_what_is_nowhere_opaque_is_seen(tmp_path):
    pixels = np.concatenate([np.asarray(quarters()), np.zeros((80, 120, 1), np.uint8)], 2)
    np.testing.assert_array_equal(decode(tmp_path, encoded(Image.fromarray(pixels), "PNG")), np.asarray(quarters()))


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("end", [".png", ".tif"])
@pytest.mark.parametrize("bits", [10, 12, 16])
def test_deep_colours_stand_upright(tmp_path, end, bits, orientation):
    image = np.stack([scene(), scene()[::-1], np.full_like(scene(), 0.3)], 2)
    _, data = cv2.imencode(end, np.rint(image[..., ::-1] * (2**bits - 1)).astype(np.uint16))
    data = bytearray(data.tobytes())
    if orientation == 6 and end == ".png":
        data = chunks(bytes(data), (b"eXIf", exif(None, 6).tobytes()[6:]))
    elif orientation == 6:  # a further list of fields at the end
        start = int.from_bytes(data[4:8], "little")
        fields = [
            bytes(data[at : at + 12]) for at in range(start + 2, start + 2 + 12 * int.from_bytes(data[start : start + 2], "little"), 12)
        ]
        fields = [field for field in fields if field[:2] != struct.pack("<H", 274)] + [struct.pack("<HHII", 274, 3, 1, 6)]
        data[4:8] = struct.pack("<I", len(data))
        data += struct.pack("<H", len(fields)) + b"".join(sorted(fields, key=lambda field: int.from_bytes(field[:2], "little"))) + bytes(4)
    rgb = decode(tmp_path, bytes(data))
    expected = (image * 255).astype(int)
    np.testing.assert_allclose(rgb.astype(int), np.rot90(expected, -1) if orientation == 6 else expected, atol=1)


def test_a_photo_that_is_all_one_grey_is_not_spread(tmp_path):
    assert (decode(tmp_path, encoded(Image.fromarray(np.full((40, 40), 300, np.uint16)), "TIFF"))[..., 0] == 74).all()  # 300 of 1023
    assert (decode(tmp_path, encoded(Image.fromarray(np.full((40, 40), 0.5, np.float32)), "TIFF"))[..., 0] == 127).all()
    assert (decode(tmp_path, encoded(Image.fromarray(np.full((40, 40), np.nan, np.float32)), "TIFF")) == 0).all()


def video(seed, length):
    """The video that a phone appends to a photo: bytes in which JPEG markers occur by chance."""
    data = bytearray(np.random.default_rng(seed).integers(0, 256, length, dtype=np.uint8).tobytes())
    for place in range(0, length - 2, 4000):
        data[place : place + 2] = b"\xff\xda"
    return b"\0\0\0\x18ftypmp42" + bytes(data)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_blocks": 1}])
def test_motion_photos_are_photos(tmp_path, options):
    """Case P3: bytes after the end of the photo do not count."""
    thumbnail = encoded(quarters(), "JPEG", progressive=True)
    block = exif(Tags(28, 1, 2, "2012:01:01 00:00:00", 0)).tobytes() + thumbnail
    data = encoded(Image.fromarray(noise(0, 256, 192)), "JPEG", exif=block, quality=95, **options)
    alone = decode(tmp_path, data)
    (tmp_path / "photo").write_bytes(data + video(1, 2_000_000))
    assert (tmp_path / "photo").read_bytes().count(b"\xff\xda") > 400
    assert read_header(tmp_path / "photo", MIN_SIDE, MAX_PIXELS)["width"] == 256
    np.testing.assert_array_equal(read_rgb(tmp_path / "photo"), alone)
    assert count_scans(tmp_path / "photo", 200) == (10 if "progressive" in options else 1)


@pytest.mark.parametrize("block", [3, 64, 1 << 20])
def test_scans_are_counted_whatever_is_read_at_once(tmp_path, monkeypatch, block):
    monkeypatch.setattr("bow2cnn.photos.jpeg._BLOCK", block)
    for data, count in ((encoded(quarters(), "JPEG", progressive=True), 10), (scan_bomb(20), 29), (jpeg(noise(0)), 1)):
        (tmp_path / "photo").write_bytes(data + b"\xff\xda" * 9)
        assert count_scans(tmp_path / "photo", 200) == count
        assert count_scans(tmp_path / "photo", 5) == min(count, 6)
        (tmp_path / "photo").write_bytes(data[: len(data) // 2])
        assert count_scans(tmp_path / "photo", 200) <= count


@pytest.mark.parametrize("form", ["AVIF", "JPEG2000", "HEIF"])
def test_formats_of_phones_and_archives_are_read(tmp_path, form):
    """Case P3."""
    options = {"quality": 90} if form != "JPEG2000" else {}
    rgb = decode(tmp_path, encoded(quarters(400, 300), form, **options), 200)
    assert rgb.shape == (150, 200, 3)
    assert np.abs(rgb[37::75, 50::100].astype(int) - np.array([[RED, GREEN], [BLUE, WHITE]])).max() < 12
    header = read_header(tmp_path / "photo", MIN_SIDE, MAX_PIXELS)
    assert (header["width"], header["height"], header["orientation"]) == (400, 300, 1)


def test_a_thumbnail_does_not_take_the_place_of_its_photo(tmp_path):
    image = Image.fromarray(noise(0, 800, 600))
    plain, beside = (decode(tmp_path, encoded(image, "HEIF", quality=80, thumbnails=sizes), 256) for sizes in ([], [400]))
    np.testing.assert_array_equal(plain, beside)


def preview(size, *fields):
    """A TIFF whose first image is small and grey, with more fields (tag, type, count, value)."""
    out = io.BytesIO()
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    for tag, kind, value in fields:
        tags.tagtype[tag], tags[tag] = kind, value
    Image.fromarray(noise(0, *size)).save(out, "TIFF", tiffinfo=tags)
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.dng", preview((256, 171), (50706, 1, b"\1\4\0\0"), (254, 4, 1))),
        ("whole.tif", preview((256, 171), (50706, 1, b"\1\4\0\0"))),
        ("a.tif", preview((160, 120), (254, 4, 1))),  # as NEF and ARW have it, under any name
        ("a.NEF", preview((160, 120))),
        ("a.cr2", tiff((259, 1, 65535), (273, 1, 200), (279, 1, 99), data=bytes(99))),
        ("a.pef", b"MM\0*" + bytes(60)),
        ("a.cr3", b"\0\0\0\x18ftypcrx \0\0\0\1" + bytes(60)),
        ("a.crw", b"II\x1a\0\0\0HEAPCCDR" + bytes(60)),
        ("a.raf", b"FUJIFILMCCD-RAW 0201" + bytes(60)),
        ("a.orf", b"IIRO\x08\0\0\0" + bytes(60)),
        ("a.rw2", b"IIU\0\x18\0\0\0" + bytes(60)),
    ],
)
def test_raw_files_are_rejected_as_such(tmp_path, name, data):
    """Case P4: their previews are not photos."""
    (tmp_path / name).write_bytes(data)
    for read in (lambda path: read_header(path, MIN_SIDE, MAX_PIXELS), read_rgb):
        with pytest.raises(PhotoError, match=r"^RAW: develop it into a JPEG or TIFF$"):
            read(tmp_path / name)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\xff\x0a" + bytes(60), "JPEG XL cannot be read: convert it"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(60), "JPEG XL cannot be read: convert it"),
        (b"\0\0\0\x18ftypheic" + bytes(60), "HEIC that is damaged or of an unknown kind"),
        (b"\0\0\0\x18ftypavif" + bytes(60), "AVIF that is damaged or of an unknown kind"),
        (video(0, 5000), "video"),
        (b"RIFF\x99\0\0\0AVI LIST" + bytes(60), "video"),
        (
            cv2.imencode(".tif", np.zeros((40, 60, 3), np.float32))[1].tobytes(),
            "TIFF of a kind that cannot be read, such as floats in colour: save it with 8 or 16 bits",
        ),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "Git LFS pointer: fetch the photo itself"),
        (b"%PDF-1.7", "not a photo"),
    ],
    ids=range(9),
)
def test_files_of_other_kinds_are_named(tmp_path, data, reason):
    (tmp_path / "a").write_bytes(data)
    with pytest.raises(PhotoError) as caught:
        read_header(tmp_path / "a", MIN_SIDE, MAX_PIXELS)
    assert str(caught.value) == reason


def test_a_strip_is_too_narrow(tmp_path):
    """Case P13: at the size at which features are found it is a few pixels high."""
    for size, fits in (((1000, 50), True), ((50, 1000), True), ((1050, 50), False), ((50, 1050), False)):
        (tmp_path / "a.png").write_bytes(encoded(Image.new("RGB", size), "PNG"))
        if fits:
            assert read_header(tmp_path / "a.png", MIN_SIDE, MAX_PIXELS)["width"] == size[0]
        else:
            with pytest.raises(PhotoError, match=rf"^too narrow \({size[0]} x {size[1]} pixels\)$"):
                read_header(tmp_path / "a.png", MIN_SIDE, MAX_PIXELS)


@pytest.mark.parametrize(
    ("south", "west", "expected"),
    [("s", "w", (-33.5, -70.25)), ("South", "West", (-33.5, -70.25)), ("S\0", " W", (-33.5, -70.25)), ("N", "E", (33.5, 70.25)),
     ("north", "east", (33.5, 70.25)), ("", "", (33.5, 70.25))],
)  # fmt: skip
def test_sides_of_the_globe_are_read_as_others_write_them(tmp_path, south, west, expected):
    """Case P14."""
    block = exif(Tags(28, 33.5, 70.25, "2012:01:01 00:00:00", 0))
    block.get_ifd(0x8825)[1], block.get_ifd(0x8825)[3] = south, west
    (tmp_path / "a.jpg").write_bytes(encoded(quarters(), "JPEG", exif=block))
    assert read_header(tmp_path / "a.jpg", MIN_SIDE, MAX_PIXELS)["gps"] == pytest.approx(expected)


def test_zero_and_zero_is_no_place(tmp_path):
    """Case P14."""
    (tmp_path / "a.jpg").write_bytes(encoded(quarters(), "JPEG", exif=exif(Tags(28, 0, 0, "2012:01:01 00:00:00", 0))))
    assert all(map(math.isnan, read_header(tmp_path / "a.jpg", MIN_SIDE, MAX_PIXELS)["gps"]))


def test_transparency_lies_on_white(tmp_path):
    layer = np.zeros((40, 40, 4), np.uint8)
    layer[:, 20:] = (200, 10, 20, 255)
    rgb = decode(tmp_path, encoded(Image.fromarray(layer), "PNG"))
    assert (rgb[:, :20] == 255).all() and (rgb[:, 20:] == (200, 10, 20)).all()


def test_the_first_frame_of_an_animation_counts(tmp_path):
    frames = [Image.new("RGB", (40, 40), colour) for colour in (RED, BLUE)]
    rgb = decode(tmp_path, encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True))
    assert (rgb == RED).all()


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_shrinking_keeps_the_shape_and_the_place_of_things(tmp_path, form):
    data = encoded(quarters(1200, 800), form)
    rgb = decode(tmp_path, data, 90)
    assert rgb.shape == (60, 90, 3)
    assert np.abs(rgb[15::30, 22::45].astype(int) - np.array([[RED, GREEN], [BLUE, WHITE]])).max() < 12
    assert decode(tmp_path, data, 5000).shape == (800, 1200, 3)


def test_pixels_that_cannot_be_decoded_are_a_photo_error(tmp_path):
    with pytest.raises(PhotoError, match=r"^cannot be decoded \(.+\)$"):
        decode(tmp_path, jpeg(noise(8, 256, 256))[:4000])
    with pytest.raises(PhotoError, match=r"^vanished$"):
        read_rgb(tmp_path / "gone.jpg")


def test_what_a_benchmark_shows_is_noted_by_name(tmp_path, monkeypatch):
    (tmp_path / "photos").mkdir()
    for number, name in enumerate(("a.jpg", "q.jpg")):
        (tmp_path / "photos" / name).write_bytes(jpeg(noise(number)))
    (tmp_path / "photos/link.jpg").symlink_to("a.jpg")
    truth = {"imlist": ["gone.jpg", "link.jpg", "a.jpg"], "qimlist": ["q.jpg"], "gnd": [{"ok": [1]}]}
    (tmp_path / "gnd.json").write_text(json.dumps(truth))
    (tmp_path / "wrong.json").write_text("{}")
    (tmp_path / "more").mkdir()
    common = {"photos": str(tmp_path / "photos"), "distractors": [str(tmp_path / "more")]}
    benchmarks = {name: {**common, "gnd": str(tmp_path / f"{name}.json")} for name in ("gnd", "wrong")}

    def noted():
        scan([tmp_path / "photos"], tmp_path, 1, MIN_SIDE, MAX_PIXELS, benchmarks)
        return json.loads((tmp_path / "benchmark-gnd.json").read_text())

    first = {name: hashlib.sha256((tmp_path / "photos" / name).read_bytes()).hexdigest() for name in ("a.jpg", "q.jpg")}
    assert noted() == {**first, "link.jpg": first["a.jpg"], "gone.jpg": "not readable (No such file or directory)"}
    assert (tmp_path / "benchmark-wrong.json").read_text() == "{}"
    before = (tmp_path / "benchmark-gnd.json").stat().st_mtime_ns
    with monkeypatch.context() as patch:
        patch.setattr(photo, "open", lambda *_: pytest.fail("read again"), raising=False)
        noted()
    assert (tmp_path / "benchmark-gnd.json").stat().st_mtime_ns == before
    (tmp_path / "photos/a.jpg").write_bytes(jpeg(noise(5)))
    after = noted()
    assert after["a.jpg"] == after["link.jpg"] != first["a.jpg"] and after["q.jpg"] == first["q.jpg"]
    (tmp_path / "more/d.jpg").write_bytes(jpeg(noise(6)))
    assert noted() == {**after, f"distractor {tmp_path}/more/d.jpg": hashlib.sha256(jpeg(noise(6))).hexdigest()}


def test_rejected_distractors_are_reported(tmp_path, caplog):
    (tmp_path / "photos").mkdir()
    (tmp_path / "more").mkdir()
    (tmp_path / "photos/q.jpg").write_bytes(jpeg(noise(0)))
    for name, data in (("a.jpg", jpeg(noise(1))), ("b.jpg", jpeg(noise(0))), ("c.txt", b"text")):
        (tmp_path / "more" / name).write_bytes(data)
    (tmp_path / "more/link.jpg").symlink_to("a.jpg")
    (tmp_path / "gnd.json").write_text(json.dumps({"imlist": ["q.jpg"], "qimlist": ["q.jpg"], "gnd": [{"ok": [0]}]}))
    read_benchmark(
        tmp_path / "photos", tmp_path / "gnd.json", tmp_path / "c.h5", tmp_path / "t.h5", [str(tmp_path / "more")], MIN_SIDE, MAX_PIXELS
    )
    arrays = artefact.read(tmp_path / "c.h5", "collection")
    reasons = dict(zip(arrays["rejected/path"], arrays["rejected/reason"], strict=True))
    assert [Path(name).name for name in arrays["name"]] == ["q.jpg", "a.jpg"]
    expected = {"b.jpg": f"same bytes as {tmp_path}/photos/q.jpg", "c.txt": "not a photo", "link.jpg": "symbolic link"}
    assert reasons == {f"{tmp_path}/more/{name}": reason for name, reason in expected.items()}
    assert "3 of 4 distractors are left out: 1 copies of other photos, 1 not a photo, 1 symbolic link" in caplog.text


def told_by_the_rules(name):
    """Bytes per pixel that the rules reserve."""
    rules = (Path(__file__).parents[2] / "workflow/rules/memory_and_gpus.smk").read_text()
    return int(re.search(rf"^{name} = (\d+) \*", rules, re.M)[1])


PEAK = """
import re, sys
import cv2, numpy
from bow2cnn.photos.decode import read_rgb
from bow2cnn.features.sift import detect
def peak():
    return 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
cv2.setNumThreads(1)
{small}
before = peak()
{large}
print(peak() - before)
"""


def peak(small, large):
    """Additional memory of the large task after a small one of its kind, in bytes, measured in a separate process."""
    return int(subprocess.run([sys.executable, "-c", PEAK.format(small=small, large=large)], capture_output=True, check=True).stdout)


@pytest.mark.parametrize(
    ("form", "mode"),
    [
        ("WEBP", "RGBA"),
        ("PNG", "RGBA"),
        ("TIFF", "RGBA"),
        ("TIFF", "F"),
        ("GIF", "P"),
        ("AVIF", "RGBA"),
        ("JPEG2000", "RGBA"),
        ("HEIF", "RGBA"),
    ],
)
def test_decoding_takes_no_more_memory_than_the_rules_ask_for(tmp_path, form, mode):
    pixels = 3000 * 2000
    moving = {"save_all": True, "append_images": [Image.new(mode, (3000, 2000), 1)]} if form in ("WEBP", "GIF") else {}
    for name, size in (("small", (64, 64)), ("large", (3000, 2000))):
        options = moving if name == "large" else {}
        Image.new(mode, size).save(tmp_path / name, form, exif=exif(None, 6), **options)
    bytes_ = peak(*(f"read_rgb({str(tmp_path / name)!r})" for name in ("small", "large")))
    assert 7 * pixels < bytes_ < told_by_the_rules("DECODING") * pixels + 4e6


@pytest.mark.parametrize("end", [".png", ".tif"])
def test_decoding_all_bits_takes_no_more_memory_than_the_rules_ask_for(tmp_path, end):
    pixels = 3000 * 2000
    for name, size in (("small", (64, 64, 3)), ("large", (2000, 3000, 3))):
        cv2.imwrite(str(tmp_path / name) + end, np.full(size, 4000, np.uint16))
    bytes_ = peak(*(f"read_rgb({str(tmp_path / name) + end!r})" for name in ("small", "large")))
    assert 7 * pixels < bytes_ < told_by_the_rules("DECODING") * pixels + 4e6


def test_finding_features_takes_no_more_memory_than_the_rules_ask_for():
    bytes_ = peak(
        *(f"detect(numpy.random.default_rng(0).integers(0, 255, ({side}, {side}), dtype=numpy.uint8), 3000)" for side in (64, 1024))
    )
    assert 0.8 < bytes_ / 1024**2 / told_by_the_rules("SEARCHING") < 1.03


def test_photos_outside_the_folders_of_the_config_are_not_opened(tmp_path, monkeypatch):
    for folder in ("photos/deeper", "photos-of-others"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "a.png").write_bytes(encoded(quarters(), "PNG"))
    (tmp_path / "named").symlink_to("photos")
    (tmp_path / "photos/out").symlink_to("../photos-of-others")
    monkeypatch.chdir(tmp_path)
    inside, outside = "photos/deeper/a.png", ("photos-of-others/a.png", "photos/../photos-of-others/a.png", "photos/out/a.png")
    for path in (inside, *outside):
        read_rgb(path)
    monkeypatch.setenv("BOW2CNN_PHOTOS", json.dumps(["named"]))
    assert read_rgb(inside).shape == read_rgb(tmp_path / "named/deeper/a.png").shape
    for path in outside:
        with pytest.raises(PhotoError, match=r"^outside the folders of the config$"):
            read_rgb(path)
