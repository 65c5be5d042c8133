"""Unfinished training on disk: written atomically, so that a run killed at any moment goes on where it was."""

import logging
import pickle
import shutil
import zipfile
from pathlib import Path

import torch

from bow2cnn.files import replacing

_LOG = logging.getLogger("bow2cnn")
_NAME = "checkpoint.pt"


class Checkpoint:
    """A checkpoint in a folder.

    Args:
        folder: where.
        key: text that tells runs apart; the checkpoint of another run is not used.
    """

    def __init__(self, folder, key):
        self.folder, self._key = Path(folder), key

    def save(self, state):
        """Replace the checkpoint by `state`: tensors, numbers, texts, lists and dicts."""
        with replacing(self.folder / _NAME) as temporary:
            torch.save({"key": self._key, "state": state}, temporary)

    def load(self):
        """The saved state of this run; None if there is none that can be used."""
        try:
            saved = torch.load(self.folder / _NAME, weights_only=True)
            return saved["state"] if saved["key"] == self._key else None
        except FileNotFoundError:
            return None
        except (OSError, RuntimeError, EOFError, KeyError, TypeError, pickle.UnpicklingError, zipfile.BadZipFile):
            _LOG.warning("training: the checkpoint in %s is damaged; starting again", self.folder)
            return None

    def remove(self):
        """Delete the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)
