"""Files that are written whole or not at all, with an error of one line where they cannot be written."""

import contextlib
import errno
import glob
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from bow2cnn.core.printable import first_line

_CHECKSUM = 32  # bytes of a SHA-256


class WriteError(Exception):
    """The disk is full or not writable; the message names the file or folder and the cause in one line."""


class ReadError(OSError):
    """The system refuses to read a file (locked, no permission, no memory, a failing disk). The file need not be damaged.

    The message names the file and the cause in one line.
    """


class ChecksumError(Exception):
    """A file whose checksum differs, or that was written under another key."""


@contextlib.contextmanager
def write_errors(path: str | Path) -> Iterator[None]:
    """Turn an OSError in the block into a `WriteError` that names the file or folder; the system's own errors often do not.

    Raises:
        WriteError: the system refused to write.
    """
    try:
        yield
    except OSError as error:
        raise WriteError(f"{path}: cannot be written ({error.strerror or first_line(error)})") from error


def read_error_of(path: str | Path, error: Exception) -> ReadError | None:
    """The `ReadError` for an error of the system; None for any other error, which means damage."""
    # A damaged file may lead to requests with nonsensical arguments: EINVAL means damage too.
    if isinstance(error, OSError) and error.errno is not None and error.errno != errno.EINVAL:
        return ReadError(f"{path}: cannot be read ({os.strerror(error.errno)})")
    return None


@contextlib.contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Provide the path of a temporary file in the same folder, which replaces `path` when the block ends without an exception.

    Otherwise the old file stays unchanged. Temporary files of earlier writers of the same file that were killed are removed.

    Args:
        path: the file; parent folders are made.

    Raises:
        WriteError: the system refused to write.
    """
    path = Path(path)
    temporary = _temporary(path)
    with write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # First of all: once the file is in its place, a killed writer is not started again.
        for left in _left_by_killed(path):
            left.unlink(missing_ok=True)
        try:
            yield temporary
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Provide a new temporary folder beside `path`, which replaces it when the block ends without an exception.

    So a folder that is there is complete: Snakemake does not look into it after a kill. Temporary folders of earlier writers that were
    killed are removed.

    Args:
        path: the folder; parent folders are made.

    Raises:
        WriteError: the system refused to write.
    """
    path = Path(path)
    temporary = _temporary(path)
    for left in _left_by_killed(path):
        shutil.rmtree(left, ignore_errors=True)
    try:
        with write_errors(path):
            temporary.mkdir(parents=True)
        yield temporary
        with write_errors(path):
            shutil.rmtree(path, ignore_errors=True)
            os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _temporary(path):
    """Where this process writes what is to replace a path."""
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def _left_by_killed(path):
    """What killed processes left where they wrote."""
    return path.parent.glob(f".{glob.escape(path.name)}.*.tmp")


def write_bytes(path: str | Path, *parts: bytes | memoryview) -> None:
    """Write a file atomically from consecutive parts.

    Raises:
        WriteError: the system refused to write.
    """
    with atomic_write(path) as temporary, open(temporary, "wb") as file:
        for part in parts:
            file.write(part)


def write_if_changed(path: str | Path, *parts: bytes | memoryview) -> bool:
    """Like `write_bytes`, but a file that already has exactly this content is not touched, and keeps its time.

    Returns:
        Whether the file was written.

    Raises:
        WriteError: the system refused to write.
    """
    changed = not _holds(path, parts)
    if changed:
        write_bytes(path, *parts)
    return changed


def _holds(path, parts):
    """Whether the file exists and consists of exactly these parts."""
    try:
        with open(path, "rb") as file:
            return all(file.read(len(part)) == part for part in parts) and not file.read(1)
    except FileNotFoundError:
        return False


def write_checksummed(path: str | Path, key: str, content: bytes | memoryview) -> None:
    """Write bytes atomically, preceded by a SHA-256 of the key and the bytes.

    Args:
        path: the file.
        key: names the inputs from which the content was made.
        content: the bytes.

    Raises:
        WriteError: the system refused to write.
    """
    write_bytes(path, _checksum(key, content), content)


def read_checksummed(path: str | Path, key: str) -> bytes:
    """Read the bytes that `write_checksummed` wrote.

    Raises:
        ChecksumError: the file is damaged, or was written under another key.
        OSError: there is no such file, or it cannot be read.
    """
    with open(path, "rb") as file:
        checksum, content = file.read(_CHECKSUM), file.read()
    if checksum != _checksum(key, content):
        raise ChecksumError(f"{path}: damaged, or made from something else")
    return content


def _checksum(key, content):
    total = hashlib.sha256(hashlib.sha256(key.encode()).digest())
    total.update(content)
    return total.digest()
