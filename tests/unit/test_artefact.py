"""Artefacts: written whole or not at all, the same bytes for the same content, an error of one line for every fault."""

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import h5py
import numpy as np
import pytest

from bow2cnn.core import artefact
from bow2cnn.core.artefact import ArtefactError, Reader, describe, offsets, read, write, write_if_changed
from bow2cnn.core.atomic_files import ReadError, WriteError
from bow2cnn.core.lineage import load_previous


def arrays():
    return {
        "offset": offsets([2, 0, 1]),
        "point": np.arange(9, dtype=np.float32).reshape(3, 3),
        "rejected/reason": ["not an image", ""],
        "architecture": "gem",
        "count": np.int64(3),
    }


def complaint(function, *arguments):
    with pytest.raises(ArtefactError) as caught:
        function(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_written_is_read(tmp_path):
    write(tmp_path / "new/a.h5", "models", arrays(), {"seed": 1})
    back = read(tmp_path / "new/a.h5", "models")
    assert back.keys() == arrays().keys()
    assert back["rejected/reason"] == ["not an image", ""] and back["architecture"] == "gem" and back["count"] == 3
    np.testing.assert_array_equal(back["point"], arrays()["point"])
    assert back["offset"].dtype == np.int64 and list(back["offset"]) == [0, 2, 2, 3]
    assert read(tmp_path / "new/a.h5", "models", ["count"]).keys() == {"count"}


def test_empty_lists_and_arrays(tmp_path):
    write(tmp_path / "a.h5", "models", {"reason": [], "point": np.zeros((0, 3), np.float32)})
    back = read(tmp_path / "a.h5", "models")
    assert back["reason"] == [] and back["point"].shape == (0, 3)


@pytest.mark.parametrize("name", ["straße.jpg", "照片.jpg", os.fsdecode(b"old\xe9.jpg"), "two\nlines"])
def test_file_names_survive(tmp_path, name):
    write(tmp_path / "a.h5", "collection", {"path": [name, "b"]})
    assert read(tmp_path / "a.h5", "collection")["path"] == [name, "b"]


def test_parts_and_shapes_without_reading_all(tmp_path):
    write(tmp_path / "a.h5", "models", arrays())
    with Reader(tmp_path / "a.h5", "models") as reader:
        np.testing.assert_array_equal(reader.part("point", 1, 3), arrays()["point"][1:3])
        assert reader.part("rejected/reason", 0, 1) == ["not an image"]
        assert reader.shape("point") == (3, 3) and reader.dtype("point") == np.float32
        assert "point" in reader and "rejected/reason" in reader and "line" not in reader


def test_the_same_content_is_the_same_bytes(tmp_path):
    code = (
        "import sys, numpy as np; sys.path.insert(0, sys.argv[2]); from bow2cnn.core.artefact import write;"
        "write(sys.argv[1], 'models', {'b': np.arange(5), 'a/x': ['t', 'u']}, {'z': 1, 'y': [2]})"
    )
    source = str(Path(artefact.__file__).parents[2])
    for name in ("one.h5", "two.h5"):
        subprocess.run([sys.executable, "-c", code, str(tmp_path / name), source], check=True)
    assert (tmp_path / "one.h5").read_bytes() == (tmp_path / "two.h5").read_bytes()


def test_unchanged_content_leaves_the_file_untouched(tmp_path):
    path = tmp_path / "a.h5"
    assert write_if_changed(path, "models", arrays())
    os.utime(path, ns=(1, 1))
    assert not write_if_changed(path, "models", arrays())
    assert path.stat().st_mtime_ns == 1
    assert write_if_changed(path, "models", arrays(), {"seed": 2})
    assert os.listdir(tmp_path) == ["a.h5"]
    whole = path.read_bytes()
    for other in (whole[:-1], whole + b"\0", b"", whole.replace(b"not an image", b"not an Image")):
        path.write_bytes(other)
        assert write_if_changed(path, "models", arrays(), {"seed": 2}) and path.read_bytes() == whole


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError, ValueError])
def test_a_failed_write_keeps_the_old_file_and_leaves_no_other(tmp_path, error, monkeypatch):
    path = tmp_path / "a.h5"
    write(path, "models", arrays())
    old = path.read_bytes()

    def fail(*_):
        raise error("No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises((WriteError, error)):
        write(path, "models", arrays())
    assert path.read_bytes() == old
    assert os.listdir(tmp_path) == ["a.h5"]


TERMINATED = """
import os, signal, sys
import numpy as np
from bow2cnn.core import artefact

def stop(*_):
    raise SystemExit(5)

class MemoryFile(artefact._MemoryFile):
    def write(self, content):
        os.kill(os.getpid(), signal.SIGTERM)
        super().write(content)

signal.signal(signal.SIGTERM, stop)
artefact._MemoryFile = MemoryFile
artefact.write(sys.argv[1], "models", {"point": np.zeros(100_000)})
"""


def test_a_signal_while_hdf5_is_at_work_ends_cleanly(tmp_path):
    done = subprocess.run([sys.executable, "-c", TERMINATED, tmp_path / "a.h5"], capture_output=True, text=True, check=False, timeout=600)
    assert (done.returncode, done.stderr, os.listdir(tmp_path)) == (5, "", [])


LARGE = """
import resource, sys
import numpy as np
from bow2cnn.core import artefact
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
artefact.write(sys.argv[1], "models", {"point": np.zeros(10)})
point = np.ones(30_000_000)
before = peak()
artefact.write(sys.argv[1], "models", {"point": point})
print(peak() - before)
"""


def test_a_large_artefact_is_not_copied_in_memory(tmp_path):
    done = subprocess.run([sys.executable, "-c", LARGE, tmp_path / "a.h5"], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 20_000_000
    assert (tmp_path / "a.h5").stat().st_size > 240_000_000
    (tmp_path / "a.h5").unlink()


@pytest.mark.parametrize("dtype", ["?", "u1", "i4", "i8", "u8", "f2", "f4", "f8", "S3"])
@pytest.mark.parametrize("shape", [(), (0,), (1,), (7,), (0, 3), (5, 2, 3)])
def test_every_array_is_what_hdf5_itself_reads(tmp_path, dtype, shape):
    value = (np.arange(np.prod(shape, dtype=int)) % 3).reshape(shape).astype(dtype)
    write(tmp_path / "a.h5", "models", {"before": np.arange(3), "a/b/x": value.T, "y": 1})
    with h5py.File(tmp_path / "a.h5") as file:
        np.testing.assert_array_equal(file["a/b/x"][()], value.T)
        assert file["a/b/x"].dtype == value.dtype and file["y"][()] == 1 and file["before"][()].tolist() == [0, 1, 2]


def test_refuses_what_it_cannot_use(tmp_path):
    path = tmp_path / "a.h5"
    assert "no such file" in complaint(read, path, "models")
    write(path, "split", {"side": np.zeros(2, np.int8)})
    assert f"{path}: holds split, expected models" in complaint(read, path, "models")
    assert f"{path}: has no place" in complaint(read, path, "split", ["place"])
    with h5py.File(path, "a") as file:
        file.attrs["version"] = 999
    assert "version 999, this program reads version" in complaint(read, path, "split")
    with h5py.File(tmp_path / "foreign.h5", "w") as file:
        file["x"] = 1
    assert "not an artefact of bow2cnn" in complaint(read, tmp_path / "foreign.h5", "split")


@pytest.mark.parametrize("name", ["open", "read"])
def test_an_error_of_the_system_is_no_damage(tmp_path, monkeypatch, name):
    """Both when the file is opened and when an array is read."""
    path = tmp_path / "a.h5"
    artefact.write(path, "collection", {"xy": np.arange(9)}, {"lineage": "made so"})
    reader = artefact.Reader(path)
    errors = [OSError(number, "long words of HDF5") for number in (errno.EAGAIN, errno.EACCES, errno.EIO, errno.EMFILE, errno.EINTR)]
    for error in errors:

        def fail(*_, error=error):
            raise error

        monkeypatch.setattr(*((artefact.h5py, "File") if name == "open" else (artefact.Reader, "_read")), fail)
        with pytest.raises(ReadError, match=rf"a\.h5: cannot be read \({os.strerror(error.errno)}\)$"):
            artefact.read(path, "collection") if name == "open" else reader["xy"]
        with pytest.raises(ReadError):
            load_previous(path, "collection", "made so")


def test_an_array_that_does_not_fit_into_memory_is_not_damaged(tmp_path, monkeypatch):
    artefact.write(tmp_path / "a.h5", "collection", {"xy": np.arange(9)})

    def fail(*_):
        raise MemoryError

    with artefact.Reader(tmp_path / "a.h5") as reader:
        monkeypatch.setattr(reader, "_read", fail)
        with pytest.raises(ReadError, match="xy does not fit into memory"):
            reader["xy"]


def test_a_file_that_another_program_holds_is_locked(tmp_path):
    """HDF5 itself meets the lock."""
    path = tmp_path / "a.h5"
    artefact.write(path, "collection", {"xy": np.arange(9)}, {"lineage": "made so"})
    with open(path, "rb+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        for read in (lambda: artefact.read(path, "collection"), lambda: load_previous(path, "collection", "made so")):
            with pytest.raises(ReadError, match="Resource temporarily unavailable"):
                read()
    assert load_previous(path, "collection", "made so")["xy"].tolist() == list(range(9))


def test_what_is_damaged_is_made_again_with_a_word(tmp_path, caplog):
    path = tmp_path / "a.h5"
    assert load_previous(path, "collection", "made so") is None and not caplog.text
    path.write_bytes(b"damaged")
    assert load_previous(path, "collection", "made so") is None and "a.h5: not an artefact of bow2cnn, or damaged" in caplog.text


@pytest.mark.parametrize("keep", [0, 10, 0.5])
def test_a_cut_file_is_one_line(tmp_path, keep):
    path = tmp_path / "a.h5"
    write(path, "models", {"x": np.arange(1000)})
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole)) if isinstance(keep, float) else keep])
    assert "damaged" in complaint(read, path, "models")


def test_parts_across_the_blocks_of_the_checksums(tmp_path, monkeypatch):
    monkeypatch.setattr(artefact, "_BLOCK", 64)
    point = np.arange(300, dtype=np.float32).reshape(100, 3)
    write(tmp_path / "a.h5", "models", {"point": point})
    with Reader(tmp_path / "a.h5", "models") as reader:
        for start, stop in ((0, 1), (4, 6), (3, 97), (99, 100), (100, 100), (50, 40), (None, None)):
            np.testing.assert_array_equal(reader.part("point", start, stop), point[start:stop])


def test_a_mapped_array_is_the_array_and_is_checked(tmp_path, monkeypatch):
    monkeypatch.setattr(artefact, "_BLOCK", 64)
    path, point = tmp_path / "a.h5", np.arange(300, dtype=np.float32).reshape(100, 3)
    write(path, "models", {"point": point, "none": np.zeros((0, 3))})
    with Reader(path, "models") as reader:
        mapped, none = reader.map("point"), reader.map("none")
    np.testing.assert_array_equal(mapped, point)
    assert not mapped.flags.writeable and none.shape == (0, 3)
    whole = bytearray(path.read_bytes())
    whole[whole.index(point.tobytes()) + 4 * 55] ^= 4
    path.write_bytes(whole)
    with Reader(path, "models") as reader:
        assert "point is damaged" in complaint(reader.map, "point")


def test_a_mapped_array_is_checked_once_a_file(tmp_path, monkeypatch):
    path, read = tmp_path / "a.h5", []
    compare = Reader._compare
    monkeypatch.setattr(Reader, "_compare", lambda self, name, *more: read.append(name) or compare(self, name, *more))

    def mapped(name):
        read.clear()
        with Reader(path) as reader:
            return reader.map(name).tolist(), len(read)

    write(path, "index", {"word": np.arange(9), "photo": np.arange(5)})
    assert mapped("word") == (list(range(9)), 1) and mapped("photo") == (list(range(5)), 1)
    assert mapped("word") == (list(range(9)), 0) and mapped("photo") == (list(range(5)), 0)
    before = path.stat()
    write(path, "index", {"word": np.arange(9)[::-1], "photo": np.arange(5)})
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert mapped("word") == (list(range(9))[::-1], 1) and mapped("word")[1] == 0, "another file, though of the same size and time"
    for note in (b"", b"[]", b"{}", b"\xff"):
        (tmp_path / ".a.h5.checked").write_bytes(note)
        assert mapped("word")[1] == 1
    (tmp_path / ".a.h5.checked").unlink()
    monkeypatch.setattr(artefact.files, "write_bytes", Mock(side_effect=WriteError("read-only")))
    assert mapped("word")[1] == 1 and mapped("word")[1] == 1, "where nothing can be noted"


def test_a_flipped_bit_is_one_line_or_harmless(tmp_path):
    path = tmp_path / "a.h5"
    write(path, "models", arrays(), {"seed": 1})
    whole, expected = path.read_bytes(), read(path, "models")
    found = 0
    for place in range(0, len(whole), 5):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << (place % 8)
        path.write_bytes(damaged)
        try:
            back = read(path, "models")
        except ArtefactError as error:
            assert "\n" not in str(error) and str(path) in str(error)
            found += 1
            continue
        assert back.keys() == expected.keys()
        for name, value in expected.items():
            np.testing.assert_array_equal(back[name], value)
    assert found > len(whole) // 5 / 2


def test_a_flipped_bit_is_found_when_its_rows_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(artefact, "_BLOCK", 400)
    path, point = tmp_path / "a.h5", np.arange(1000, dtype=np.float32)
    write(path, "models", {"point": point})
    whole = bytearray(path.read_bytes())
    whole[whole.index(point.tobytes()) + 4 * 555] ^= 4
    path.write_bytes(whole)
    with Reader(path, "models") as reader:
        np.testing.assert_array_equal(reader.part("point", 0, 500), point[:500])
        assert "point is damaged (its checksum differs)" in complaint(reader.part, "point", 540, 541)


def test_describe_names_everything(tmp_path):
    path = tmp_path / "a.h5"
    write(path, "models", arrays(), {"min_photos": 5})
    text = "\n".join(describe(path))
    for part in (
        "models, version 1",
        "param min_photos = 5",
        "point: 3 x 3 float32",
        "rejected/reason: 2 text",
        "architecture: scalar text",
    ):
        assert part in text


def test_offsets():
    assert offsets([]).tolist() == [0]
    assert offsets([3, 0, 2]).tolist() == [0, 3, 3, 5] and offsets([1]).dtype == np.int64
