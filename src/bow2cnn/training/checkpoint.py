"""Unfinished training on disk: written atomically, so that a run killed at any moment goes on where it was."""

import io
import logging
import shutil
from pathlib import Path

import torch

from bow2cnn.core.atomic_files import ChecksumError, read_checksummed, write_checksummed
from bow2cnn.core.printable import first_line

_LOG = logging.getLogger("bow2cnn")
_NAME = "checkpoint"


class Checkpoint:
    """A checkpoint in a folder.

    Args:
        folder: where.
        key: text that tells runs apart; the checkpoint of another run is not used.
    """

    def __init__(self, folder, key):
        self._path, self._key = Path(folder) / _NAME, key

    def save(self, state):
        """Replace the checkpoint by `state`: tensors, numbers, texts, lists and dicts.

        Raises:
            WriteError: the disk is full or not writable.
        """
        content = io.BytesIO()
        torch.save(state, content)
        write_checksummed(self._path, self._key, content.getbuffer())

    def load(self):
        """The saved state of this run; None if there is none that can be used.

        Raises:
            OSError: the system does not let it be read.
        """
        try:
            return torch.load(io.BytesIO(read_checksummed(self._path, self._key)), weights_only=True)
        except FileNotFoundError:
            return None
        except ChecksumError as error:
            _LOG.warning("training: starting again, without the checkpoint: %s", first_line(error))
            return None

    def remove(self):
        """Delete the folder."""
        shutil.rmtree(self._path.parent, ignore_errors=True)
