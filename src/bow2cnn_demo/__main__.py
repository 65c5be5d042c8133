"""Command line: python -m bow2cnn_demo FOLDER [--size full|tiny] [--seed 0]."""

import argparse
from pathlib import Path

from bow2cnn.core.atomic_files import WriteError, write_errors

from .collection import MARK, PLANS, make_collection


def main() -> None:
    """Render a demo collection."""
    parser = argparse.ArgumentParser(prog="python -m bow2cnn_demo", description="Render a collection of demo photos.")
    parser.add_argument("folder", type=Path, help="a new or empty folder for the collection")
    parser.add_argument("--size", choices=PLANS, default="full", help="number and size of the photos (default: full)")
    parser.add_argument("--seed", type=int, default=0, help="another seed gives another collection (default: 0)")
    options = parser.parse_args()
    try:
        with write_errors(options.folder):
            made = make_collection(options.folder, options.size, options.seed)
    except WriteError as error:
        raise SystemExit(f"error: {error}") from None
    if made:
        print(f"{options.folder}: rendered.")
    else:
        print(f"{options.folder}: already complete ({MARK}); nothing to do.")


if __name__ == "__main__":
    main()
