"""Files that are written whole or not at all, with one line for whoever cannot write."""

import contextlib
import errno
import glob
import hashlib
import os
from pathlib import Path

from bow2cnn.core.printable import first_line

_SEAL = 32  # bytes of a SHA-256


class WriteError(Exception):
    """The disk is full or not writable; the message names the file or folder and the cause in one line."""


class ReadError(OSError):
    """The system does not let a file be read (locked, no right, no memory, a failing disk), which says nothing of what is in it; the
    message names the file and the cause in one line."""


class ChecksumError(Exception):
    """A file that does not hold what was written to it, or is not the one that is wanted."""


@contextlib.contextmanager
def write_errors(path):
    """Around whatever writes to a file or folder.

    Raises:
        WriteError: the system refused; its own errors do not say which file it was.
    """
    try:
        yield
    except OSError as error:
        raise WriteError(f"{path}: cannot be written ({error.strerror or first_line(error)})") from error


def read_error_of(path, error):
    """The `ReadError` of an error of the system, which is met where damaged files are too; None for any other error."""
    if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):  # a damaged file may ask the system for nonsense
        return ReadError(f"{path}: cannot be read ({os.strerror(error.errno)})")
    return None


@contextlib.contextmanager
def atomic_write(path):
    """The path of a temporary file in the same folder, which takes the place of `path` when the block ends well.

    Whatever else happens, the old file stays as it was. What writers of the same file left behind when they were killed is removed.

    Args:
        path: where; parent folders are made.

    Raises:
        WriteError: see `writing`.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        for left in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
            left.unlink(missing_ok=True)


def write_bytes(path, *parts):
    """Write a file atomically: bytes-like parts, one after the other."""
    with atomic_write(path) as temporary, open(temporary, "wb") as file:
        for part in parts:
            file.write(part)


def write_if_changed(path, *parts):
    """Like `write_bytes`, but a file that already holds exactly this stays untouched (its time too). Returns whether it was written."""
    changed = not _holds(path, parts)
    if changed:
        write_bytes(path, *parts)
    return changed


def _holds(path, parts):
    """Whether a file is there that consists of these parts."""
    try:
        with open(path, "rb") as file:
            return all(file.read(len(part)) == part for part in parts) and not file.read(1)
    except FileNotFoundError:
        return False


def write_checksummed(path, key, content):
    """Write bytes atomically, behind a SHA-256 of them and of a key: a text that says what they belong to."""
    write_bytes(path, _seal(key, content), content)


def read_checksummed(path, key):
    """The bytes that `write_sealed` wrote.

    Raises:
        SealError: they are not what was written, or were written under another key.
        OSError: there is no such file, or it cannot be read.
    """
    with open(path, "rb") as file:
        seal, content = file.read(_SEAL), file.read()
    if seal != _seal(key, content):
        raise ChecksumError(f"{path}: damaged, or made from something else")
    return content


def _seal(key, content):
    total = hashlib.sha256(hashlib.sha256(key.encode()).digest())
    total.update(content)
    return total.digest()
