"""Stores the state of a training atomically: a run that was killed at any moment can be resumed, and a finished one given more epochs."""

import io
import logging
import shutil
import time
from pathlib import Path
from typing import Any

import torch

from bow2cnn.core.atomic_files import ChecksumError, read_checksummed, write_checksummed
from bow2cnn.core.printable import first_line

_LOG = logging.getLogger("bow2cnn")
_NAME = "checkpoint"
_SAVE_EVERY = 60.0  # seconds between two checkpoints


class Checkpoint:
    """The checkpoint of a training.

    Args:
        folder: the folder that holds it.
        key: identifies the training; a checkpoint with another key is not used.
    """

    def __init__(self, folder: str | Path, key: str) -> None:
        self._path, self._key = Path(folder) / _NAME, key
        self._saved = time.monotonic()

    def is_due(self) -> bool:
        """Whether the last checkpoint is old enough to be replaced."""
        return time.monotonic() - self._saved >= _SAVE_EVERY

    def save(self, state: dict[str, Any]) -> None:
        """Replace the checkpoint by `state`: tensors, numbers, texts, lists and dicts.

        Raises:
            WriteError: the disk is full or not writable.
        """
        content = io.BytesIO()
        torch.save(state, content)
        write_checksummed(self._path, self._key, content.getbuffer())
        self._saved = time.monotonic()

    def load(self) -> dict[str, Any] | None:
        """The saved state of this training; None if there is none, or if it is damaged.

        Raises:
            OSError: the operating system refuses to read it.
        """
        try:
            return torch.load(io.BytesIO(read_checksummed(self._path, self._key)), weights_only=True)
        except FileNotFoundError:
            return None
        except ChecksumError as error:
            _LOG.info("training: starting from the first epoch, because the checkpoint cannot be used: %s", first_line(error))
            return None

    def remove(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self._path.parent, ignore_errors=True)

    def remove_all_else(self) -> None:
        """Delete everything in the folder except the checkpoint."""
        for path in self._path.parent.iterdir():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            elif path != self._path:
                path.unlink()
