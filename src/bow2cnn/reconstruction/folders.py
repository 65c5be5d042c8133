"""Folders of COLMAP models. Snakemake looks into them while it plans, where nothing but this module is needed."""

import os
from pathlib import Path

_PARTS = ("cameras", "images", "points3D")


def model_files(folder):
    """Files of the COLMAP models in a folder, at any depth, sorted; links to folders are not followed."""
    found = []
    for place, _, names in os.walk(folder):
        for kind in (".bin", ".txt"):
            if all(part + kind in names for part in _PARTS):
                found += [Path(place, name) for name in names if name.endswith(kind) and Path(name).stem in (*_PARTS, "rigs", "frames")]
                break
    return sorted(found)
