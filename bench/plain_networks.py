"""Networks and photos as plain torch has them.

The layers of a network run one by one, as its own package has them: nothing is folded, and activations lie in memory as torch puts them.
"""

import copy
import os

import numpy as np
import torch
from torch import nn

from bow2cnn.network.model import RetrievalNetwork
from bow2cnn.network.pretrained import load_weights

NETWORKS = ("alexnet", "efficientnet-lite0", "squeezenet1_1", "vgg16")


def load_on_cores(options):
    """Limit this process to `threads` cores and torch to as many threads; load `network` with `weights` (all of them of the options)."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.threads])
    torch.set_num_threads(options.threads)
    model = RetrievalNetwork(options.network)
    load_weights(model, options.weights)
    return model


def plain_layers(model):
    """The layers of a `RetrievalNetwork` as one sequence, from normalised photos to activations, with the same weights.

    EfficientNet-Lite0 has the layers of the package efficientnet-lite-pytorch. The others of `NETWORKS` have ours, which are plain already.
    """
    if model.network != "efficientnet-lite0":
        return copy.deepcopy(model.backbone.features).to(memory_format=torch.contiguous_format)
    from efficientnet_lite_pytorch import EfficientNet  # not needed for the other networks

    network = EfficientNet.from_name(model.network)
    unknown = network.load_state_dict(model.backbone.state_dict(), strict=False).missing_keys
    if not all(name.startswith("_fc.") for name in unknown):
        raise SystemExit(f"efficientnet-lite-pytorch has other layers: {', '.join(unknown)}")
    network = network.to(memory_format=torch.contiguous_format).eval()
    stem, head = (network._conv_stem, network._bn0), (network._conv_head, network._bn1)
    return nn.Sequential(*stem, network._swish, *network._blocks, *head, network._swish)


def plain_input(photo, mean, deviation):
    """A photo as the input of a network, float32 [3, h, w]: the arithmetic of torchvision's ToTensor and Normalize.

    Args:
        photo: uint8 [h, w, 3], or a Pillow photo in RGB.
        mean, deviation: of every channel, in grey levels from 0 to 255.
    """
    x = torch.from_numpy(np.array(photo, copy=True)).permute(2, 0, 1).contiguous().to(torch.float32).div(255)
    mean, deviation = (torch.tensor(values)[:, None, None] / 255 for values in (mean, deviation))
    return x.sub_(mean).div_(deviation)
