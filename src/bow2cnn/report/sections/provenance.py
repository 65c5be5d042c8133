"""How the run was made: its config, the times of its rules, the versions of its libraries."""

import csv
import platform
from collections import defaultdict
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

_PACKAGES = ("bow2cnn", "numpy", "scipy", "opencv-python-headless", "faiss-cpu", "pycolmap", "networkx", "torch", "h5py", "snakemake")


def provenance(config: Mapping[str, Any], timings: str | Path | None) -> dict:
    """Config keys, stages with their times, versions.

    Args:
        config: nested.
        timings: folder of Snakemake's benchmark files, one folder per rule, or None.
    """
    stages = read_timings(timings)
    longest = max((stage["seconds"] for stage in stages), default=0.0)
    return {
        "config": list(flatten(config)),
        "stages": [{**stage, "share": stage["seconds"] / longest if longest else 0.0} for stage in stages],
        "total": sum(stage["seconds"] for stage in stages),
        "versions": [("Python", platform.python_version()), *((name, version) for name in _PACKAGES if (version := _version(name)))],
    }


def flatten(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """(dotted key, value as text) of a nested dict."""
    for key, value in config.items():
        if isinstance(value, dict) and value:
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def read_timings(folder: str | Path | None) -> list[dict]:
    """Per rule: jobs, seconds, CPU seconds and peak memory (MB), in the order in which the rules finished.

    Args:
        folder: of Snakemake's benchmark files, one folder per rule; None for no rules.
    """
    found: dict[str, list] = defaultdict(list)
    for path in sorted(Path(folder).rglob("*.tsv")) if folder else []:
        with open(path, encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t"))
        rule = path.relative_to(str(folder)).parts[0]
        found[rule.removesuffix(".tsv")] += [(path.stat().st_mtime, row) for row in rows]
    stages = [
        {
            "rule": rule,
            "jobs": len(rows),
            "seconds": sum(_number(row, "s") for _, row in rows),
            "cpu": sum(_number(row, "cpu_time") for _, row in rows),
            "memory": max((_number(row, "max_rss") for _, row in rows), default=0.0),
            "finished": max((time for time, _ in rows), default=0.0),
        }
        for rule, rows in found.items()
    ]
    return sorted(stages, key=lambda stage: (stage["finished"], stage["rule"]))


def _number(row, key):
    try:
        return float(row.get(key) or 0.0)
    except ValueError:  # Snakemake writes NA for a job that was too short to measure
        return 0.0


def _version(name):
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
