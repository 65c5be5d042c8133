"""Find folders of COLMAP models. Snakemake does this while it plans, so this module imports nothing else of the package."""

import os
from pathlib import Path

_PARTS = ("cameras", "images", "points3D")


def model_files(folder: str | Path) -> list[Path]:
    """The files of all COLMAP models in a folder, at any depth, sorted. Links to folders are not followed."""
    found = []
    for place, _, names in os.walk(folder):
        for kind in (".bin", ".txt"):
            if all(part + kind in names for part in _PARTS):
                found += [Path(place, name) for name in names if name.endswith(kind) and Path(name).stem in (*_PARTS, "rigs", "frames")]
                break
    return sorted(found)
