"""Write the activations that the networks' own code computes with given weights; tests compare our backbones with them.

    python bench/activations.py tests/unit/activations.json

torchvision and efficientnet-lite-pytorch have to be importable. If torchvision was built for another torch, its compiled operators are
missing. No backbone needs them; they are declared here so that torchvision imports.
"""

import json
import re
import sys
from importlib.util import find_spec
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent.parent / "tests/unit"))
from activations import fill, kept, photo

CUT = {"alexnet": -1, "vgg16": -1, "squeezenet1_1": None}  # layers of `features` that are left out at the end
RESNETS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
LITES = ("efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2")


def main(out):
    found = {name: torchvision_features(name) for name in (*CUT, *RESNETS)}
    found |= {name: lite_features(name) for name in LITES}
    Path(out).write_text(json.dumps(found, indent=1) + "\n")


def torchvision_features(name):
    declare_operators()
    from torchvision import models

    network = getattr(models, name)(weights=None).eval()
    network.load_state_dict(fill(network.state_dict()))
    if name in CUT:
        layers = network.features[: CUT[name]]
    else:
        layers = torch.nn.Sequential(*list(network.children())[:-2])  # without pooling and classifier
    with torch.no_grad():
        return kept(layers(photo()))


def lite_features(name):
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name(name).eval()
    network.load_state_dict(fill(network.state_dict()))
    with torch.no_grad():
        return kept(network.extract_features(photo()))


def declare_operators():
    """Declare torchvision's compiled operators; call it once, before torchvision is imported."""
    if "torchvision" in sys.modules:
        return
    folder = Path(find_spec("torchvision").origin).parent
    names = re.findall(r'register_meta\("(\w+)"|register_fake\("torchvision::(\w+)"', (folder / "_meta_registrations.py").read_text())
    library = torch.library.Library("torchvision", "DEF")
    for name in {a or b for a, b in names}:
        library.define(f"{name}(Tensor a) -> Tensor")
    declare_operators.library = library  # its declarations end with it


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
