"""Seconds and memory of a plan (dry run) for a million photos in a thousand shards, before the first scan and without a photo.

python bench/plan.py [--photos 1000] [--clusters 64]
"""

import argparse
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=1000, help="shards of photos")
    parser.add_argument("--clusters", type=int, default=64, help="shards of clusters")
    options = parser.parse_args()
    print("jobs {}, {:.1f} s, {:.0f} MB".format(*plan(options.photos, options.clusters)))


def plan(photos, clusters):
    """(jobs, seconds, megabytes) of a plan with these numbers of shards."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "photos").mkdir()
        shards = f"shards: {{photos: {photos}, clusters: {clusters}}}"
        Path(folder, "million.yaml").write_text(f"photos: [photos]\nresults: results\n{shards}\n")
        command = [Path(sys.executable).parent / "snakemake", "--snakefile", ROOT / "Snakefile", "-n", "--quiet", "rules"]
        begin = time.monotonic()
        done = subprocess.run([*command, "--configfile", "million.yaml"], cwd=folder, capture_output=True, text=True, check=False)
        seconds = time.monotonic() - begin
    if done.returncode:
        sys.exit(done.stderr)
    jobs = int(re.search(r"^total +(\d+)", done.stdout + done.stderr, re.M)[1])
    return jobs, seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


if __name__ == "__main__":
    main()
