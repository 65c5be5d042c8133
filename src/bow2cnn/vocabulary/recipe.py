"""The settings with which a vocabulary is made, in a file of their own."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bow2cnn.core.atomic_files import write_bytes


def note_recipe(out: str | Path, recipe: Mapping[str, Any]) -> None:
    """Write the settings and digests that a vocabulary depends on as JSON.

    The vocabulary is trained again when this file changes, not when there are more photos.

    Args:
        out: path.
        recipe: settings and digests by name.

    Raises:
        WriteError: the disk is full or not writable.
    """
    write_bytes(out, (json.dumps(recipe, indent=1, sort_keys=True) + "\n").encode())
