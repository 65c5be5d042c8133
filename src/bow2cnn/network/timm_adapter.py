"""Networks of timm (Wightman, PyTorch Image Models), where it is installed: `timm:NAME` in the config.

timm is no dependency: it is imported when a config names one of its networks, never before. Weights come from a file of the user's, as for
all networks but the default one: nothing is downloaded.
"""

import torch
from torch import nn

from bow2cnn.core.printable import first_line
from bow2cnn.network.backbone import Backbone
from bow2cnn.network.errors import MissingLibraryError, NetworkError
from bow2cnn.network.input import Input

_SMALLEST = 32  # pixels; convolutional networks halve a photo five times
_LOADED_AS = {3: "photo", 1: "grey"}  # by channels


class TimmBackbone(Backbone):
    """A network of timm's without its classifier: its activations, or the tokens of its patches, [b, d, h', w'].

    Tokens are signed, as those of `VisionTransformer` are.

    Args:
        name: as `timm.create_model` has it.

    Raises:
        MissingLibraryError: timm is not installed, or does not import.
        NetworkError: timm has no such network, or it takes no photos of any size.
    """

    def __init__(self, name):
        model, facts = _create(name)
        has_tokens = hasattr(model, "num_prefix_tokens")  # vision transformers: tokens of their own, then one per patch
        patch = max(model.patch_embed.patch_size) if has_tokens else 1
        mean, deviation = ([255 * value for value in facts[part]] for part in ("mean", "std"))
        load_as = _LOADED_AS.get(facts["input_size"][0])
        if load_as is None:
            raise NetworkError(f"network timm:{name}: takes images of {facts['input_size'][0]} channels, photos have 3")
        super().__init__(None, Input(mean, deviation, load_as, patch if has_tokens else _SMALLEST, patch))
        self.model = model.eval()
        self._own_tokens = model.num_prefix_tokens if has_tokens else None
        self.dimension = self._measure(name)

    def forward(self, x):
        found = self.model.forward_features(x)
        if self._own_tokens is not None:
            height, width = (side // self.input.multiple for side in x.shape[2:])
            return found[:, self._own_tokens :].transpose(1, 2).unflatten(2, (height, width))
        return found.permute(0, 3, 1, 2) if getattr(self.model, "output_fmt", "NCHW") == "NHWC" else found

    @property
    def class_token(self):
        return None if getattr(self.model, "cls_token", None) is None else self._first_token

    def _first_token(self, x):
        return self.model.forward_features(x)[:, 0]

    def parts(self):
        """What timm's module holds, in its order: the members of a sequence one by one, and its own tensors with the first of them."""
        modules = []
        for child in self.model.children():
            modules += child if isinstance(child, (nn.Sequential, nn.ModuleList)) else [child]
        parts = [weights for module in modules if (weights := list(module.parameters()))]
        return [[*self.model.parameters(recurse=False), *parts[0]], *parts[1:]]

    def published(self):
        return self.model

    def _measure(self, name):
        """Channels of the activations: what timm says of a network is not for all of them what comes out."""
        height, width = 2 * self.input.smallest, 3 * self.input.smallest
        try:
            with torch.no_grad():
                found = self(torch.zeros(1, self.input.channels, height, width))
        except Exception as error:  # a network of one size may raise anything
            raise NetworkError(f"network timm:{name}: takes no photos of {width} x {height} pixels ({first_line(error)})") from error
        if found.dim() != 4:
            raise NetworkError(f"network timm:{name}: has no map of activations, which could be pooled")
        return found.shape[1]


def _create(name):
    """timm's module, and what its photos are like."""
    try:
        import timm
        from timm.data import resolve_model_data_config
    except Exception as error:  # also what a torchvision of another torch raises
        said = first_line(error)
        raise MissingLibraryError(f"network timm:{name}: timm does not import here ({said}); install it, or take another") from error
    arguments = {"pretrained": False, "num_classes": 0}
    try:
        try:  # vision transformers have to be told that photos are of any size
            model = timm.create_model(name, dynamic_img_size=True, **arguments)
        except TypeError:
            model = timm.create_model(name, **arguments)
    except RuntimeError as error:
        raise NetworkError(f"network timm:{name}: timm has no such network ({first_line(error)})") from error
    return model, resolve_model_data_config(model)
