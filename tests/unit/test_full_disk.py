"""Disks with too little room, from none to nearly enough: an error of one line that names the file, and no half-written file."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bow2cnn.reconstruction.model_cache import Source

# Writes repeatedly, with more room at every attempt; prints the room, the exit code, stderr and the list of files of every attempt.
ATTEMPTS = """
import contextlib, io, json, resource, subprocess, sys
from pathlib import Path
from bow2cnn.core.stage import stage

kind, folder, most, code, *given = sys.argv[1:]
folder, most = Path(folder), int(most)
resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))  # a half-written file must not make a reader exhaust the memory
scope = dict(folder=folder, given=given)
exec(code, scope)

@contextlib.contextmanager
def small(room):
    if kind == "limit":
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
        yield
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    else:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={room}", "tmpfs", folder], check=True)
        try:
            yield
        finally:
            subprocess.run(["umount", folder], check=True)

step = most // 40 if kind == "limit" else 4096 * max(1, most // 40 // 4096)
for room in range(1 if kind == "mount" else 0, 2 * most, step):
    said, ended = io.StringIO(), 0
    with small(room):
        try:
            with contextlib.redirect_stderr(said), stage(folder / "job.log"):
                scope["write"]()
        except SystemExit as error:
            ended = error.code
        files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    print(json.dumps([room, ended, said.getvalue(), files]))
    if not ended:
        break
"""
ARTEFACT = """
import numpy as np
from bow2cnn.core import artefact
arrays = {sizes}
def write():
    artefact.write(folder / "a.h5", "models", arrays)
"""
SOURCE = Source(["view"], [], "", "")
WRITERS = {
    "an artefact of one large array": ("a.h5", 500_000, ARTEFACT.replace("{sizes}", '{"x": np.zeros(500_000, np.uint8)}')),
    "an artefact of many small arrays": ("a.h5", 300_000, ARTEFACT.replace("{sizes}", '{f"w/{i}": np.zeros(200) for i in range(100)}')),
    "an artefact of nearly nothing": ("a.h5", 1500, ARTEFACT.replace("{sizes}", '{"x": np.zeros(3), "none": []}')),
    "a checkpoint": (
        "checkpoint",
        400_000,
        "import torch\n"
        "from bow2cnn.training.checkpoint import Checkpoint\n"
        "def write():\n"
        "    Checkpoint(folder, 'key').save({'weights': {str(i): torch.zeros(1000) for i in range(100)}})\n",
    ),
    "photos of a training": (
        "photos.*",
        300_000,
        "from bow2cnn.network.input import IMAGENET\nfrom bow2cnn.training.cache import PhotoCache\n"
        "def write():\n    PhotoCache(folder, given, range(len(given)), IMAGENET, 100, 1, 'key')\n",
    ),
    "a text": (
        "a.csv",
        100_000,
        "from bow2cnn.core.atomic_files import write_bytes\ndef write():\n    write_bytes(folder / 'a.csv', bytes(100_000))\n",
    ),
    "a model of COLMAP's": (
        f"kept/{SOURCE.key}",
        400_000,
        "import pycolmap\n"
        "from bow2cnn.reconstruction.model_cache import ModelCache, Source\n"
        "model = pycolmap.Reconstruction(given[0])\n"
        "def write():\n"
        f"    ModelCache(folder / 'kept').save({SOURCE}, [model])\n",
    ),
}
CAUSES = {"limit": "File too large", "mount": "No space left on device"}


def attempts(kind, folder, most, code, given):
    folder.mkdir()
    if kind == "mount":
        if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], capture_output=True, check=False).returncode:
            pytest.skip("NOT RUN: needs the right to mount a small disk")
        subprocess.run(["umount", folder], check=True)
    command = [sys.executable, "-c", ATTEMPTS, kind, folder, str(most), code, *given]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1800)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("kind", CAUSES)
@pytest.mark.parametrize("writer", WRITERS)
def test_no_room_is_one_line_and_leaves_nothing(writer, kind, tmp_path, request):
    name, most, code = WRITERS[writer]
    given = []
    if writer == "photos of a training":
        given = sorted(map(str, Path(request.getfixturevalue("rendered").folder).rglob("*.*")))[:10]
    if writer == "a model of COLMAP's":
        given = [str(next(request.getfixturevalue("modelled").colmap.iterdir()))]
    *failed, last = attempts(kind, tmp_path / "disk", most, code, given)
    assert len(failed) >= (most > 4096) and last[1] == 0, "more room helps"
    for room, ended, said, files in failed:
        (line,) = [line for line in said.splitlines() if line and not line.startswith("photos:")]
        assert ended == 1 and f" error: {tmp_path}/disk/" in line and line.endswith(f": cannot be written ({CAUSES[kind]})"), (room, line)
        # The first of two files may be complete where there is no room for the second.
        assert [file for file in files if file not in ("job.log", "photos.bin")] == [], room
    assert [file for file in last[3] if Path(file).match(name) or Path(file).is_relative_to(name)], last
