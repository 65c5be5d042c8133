"""How accurate the 3D models of a demo are: their cameras compared with those that rendered the photos.

    python bench/cameras.py RESULTS CAMERAS.json

RESULTS is a run up to the stage `reconstruction` on photos that `python -m bow2cnn_demo FOLDER` rendered; CAMERAS.json is in
FOLDER/truth. The camera centres of each model are aligned with the true ones by the similarity with the least squared
error (Umeyama, PAMI 1991). Errors are fractions of the scene's size: the largest extent of the true centres along an axis.
"""

import json
import sys
from collections import Counter
from pathlib import Path

import numpy as np

from bow2cnn.reconstruction.models import unpack_models
from bow2cnn.run.run import Run
from bow2cnn_demo.truth import aligned_errors


def main(results, truth):
    cameras = json.loads(Path(truth).read_text())
    true = {Path(name).name: camera for name, camera in cameras.items()}
    run = Run.open(results)
    names = run.photos["name"]
    models, _ = unpack_models(run.models)
    everything = []
    for number, model in enumerate(models):
        shown = [true[Path(names[photo]).name] for photo in model["photo"]]
        found = -np.einsum("nji,nj->ni", model["rotation"], model["translation"])
        error = aligned_errors(found, np.array([-np.array(camera["R"]).T @ camera["t"] for camera in shown]))
        everything += error.tolist()
        landmarks = ", ".join(f"{landmark} {count}" for landmark, count in Counter(camera["landmark"] for camera in shown).most_common())
        print(f"model {number}: {landmarks}; error median {np.median(error):.2%}, largest {error.max():.2%}")
    within = np.mean(np.array(everything) < 0.02)
    print(f"{len(models)} models, {len(everything)} cameras: error median {np.median(everything):.2%}; {within:.1%} within 2 %")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
