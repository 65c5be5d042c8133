"""What a vocabulary is made with, noted in a file of its own."""

import json

from bow2cnn.core.atomic_files import write_bytes


def note_recipe(out, recipe):
    """Write the settings and digests that a vocabulary depends on as JSON.

    The vocabulary is trained anew when this file changes, and not when there are more photos.
    """
    write_bytes(out, (json.dumps(recipe, indent=1, sort_keys=True) + "\n").encode())
