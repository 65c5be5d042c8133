"""Networks of timm (Wightman, PyTorch Image Models): `timm:NAME` in the config.

timm is not a dependency: it is imported only when a network of it is built. The weights come from a file of the user; nothing is
downloaded.
"""

from typing import Any

import torch
from torch import nn

from bow2cnn.core.printable import first_line
from bow2cnn.network.backbone import Backbone
from bow2cnn.network.errors import MissingLibraryError, NetworkError
from bow2cnn.network.input import Input

_SMALLEST = 32  # pixels; convolutional networks halve a photo five times
_LOADED_AS = {3: "photo", 1: "grey"}  # by channels


class TimmBackbone(Backbone):
    """A network of timm without its classifier: [b, c, h, w] to its activations, or the tokens of its patches, [b, d, h', w'].

    Tokens are signed, like those of `VisionTransformer`.

    Args:
        name: name of the network in `timm.create_model`.

    Raises:
        MissingLibraryError: timm is not installed, or does not import.
        NetworkError: timm has no such network, or the network takes photos of one size only.
    """

    def __init__(self, name: str) -> None:
        model, facts = _create(name)
        has_tokens = hasattr(model, "num_prefix_tokens")  # vision transformers: some tokens for the whole photo, then one per patch
        patch = max(model.patch_embed.patch_size) if has_tokens else 1
        mean, deviation = (tuple(255 * value for value in facts[part]) for part in ("mean", "std"))
        load_as = _LOADED_AS.get(facts["input_size"][0])
        if load_as is None:
            raise NetworkError(f"network timm:{name}: takes images of {facts['input_size'][0]} channels, photos have 3")
        super().__init__(0, Input(mean, deviation, load_as, patch if has_tokens else _SMALLEST, patch))
        self.model = model.eval()
        self._prefix_tokens = model.num_prefix_tokens if has_tokens else None
        self.has_class_token = getattr(model, "cls_token", None) is not None
        self.dimension = self._measure(name)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalised images [b, c, h, w] to activations [b, d, h', w']."""
        features = self.model.forward_features(x)
        if self._prefix_tokens is not None:
            height, width = (side // self.input.multiple for side in x.shape[2:])
            return features[:, self._prefix_tokens :].transpose(1, 2).unflatten(2, (height, width))
        return features.permute(0, 3, 1, 2) if getattr(self.model, "output_fmt", "NCHW") == "NHWC" else features

    def class_token(self, x: torch.Tensor) -> torch.Tensor:
        """Normalised images [b, c, h, w] to class tokens [b, d]."""
        return self.model.forward_features(x)[:, 0]

    def parts(self) -> list[list[nn.Parameter]]:
        """The children of timm's module in their order, a sequence member by member; tensors of the module itself join the first part."""
        modules: list[nn.Module] = []
        for child in self.model.children():
            modules += child if isinstance(child, (nn.Sequential, nn.ModuleList)) else [child]
        parts = [weights for module in modules if (weights := list(module.parameters()))]
        return [[*self.model.parameters(recurse=False), *parts[0]], *parts[1:]]

    def published(self) -> nn.Module:
        """timm's module."""
        return self.model

    def _measure(self, name):
        """Number of channels of the activations, from a trial: for some networks timm names another number than they return."""
        height, width = 2 * self.input.smallest, 3 * self.input.smallest
        try:
            with torch.no_grad():
                features = self(torch.zeros(1, self.input.channels, height, width))
        except Exception as error:  # a network of one size may raise anything
            raise NetworkError(f"network timm:{name}: takes no photos of {width} x {height} pixels ({first_line(error)})") from error
        if features.dim() != 4:
            raise NetworkError(f"network timm:{name}: its activations are not a map [b, d, h, w] that can be pooled")
        return features.shape[1]


def _create(name: str) -> tuple[Any, dict]:
    """timm's module, and how timm normalises its photos."""
    try:
        import timm
        from timm.data import resolve_model_data_config
    except Exception as error:  # a torchvision that does not fit torch may raise anything
        why = first_line(error)
        raise MissingLibraryError(f"network timm:{name}: timm does not import here ({why}); install it, or take another network") from error
    arguments: dict[str, Any] = {"pretrained": False, "num_classes": 0}
    try:
        try:  # vision transformers take photos of any size only where this is asked for
            model = timm.create_model(name, dynamic_img_size=True, **arguments)
        except TypeError:
            model = timm.create_model(name, **arguments)
    except RuntimeError as error:
        raise NetworkError(f"network timm:{name}: timm has no such network ({first_line(error)})") from error
    return model, resolve_model_data_config(model)
