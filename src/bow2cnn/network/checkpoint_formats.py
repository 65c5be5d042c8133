"""Recognises the weights files of other programs: gives their tensors our names, and says what a file is that holds no weights."""

import re
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from bow2cnn.core.printable import first_line, printable
from bow2cnn.network.errors import NetworkError

_HEAD = 512  # bytes at the beginning of a file by which its format is recognised
# Bytes, their offset in the file, and what such a file is.
_MAGIC = (
    (b"version https://git-lfs.github.com", 0, "a pointer of Git LFS (`git lfs pull` fetches the weights themselves)"),
    (b"\x89HDF\r\n", 0, "an HDF5 file, as Keras writes them"),
    (b"\x93NUMPY", 0, "an array of NumPy"),
    (b"\x1f\x8b", 0, "compressed by gzip (unpack it)"),
    (b"ustar", 257, "a tar archive (unpack it)"),
    (b"7z\xbc\xaf", 0, "a 7z archive (unpack it)"),
    (b"%PDF", 0, "a PDF"),
)
_PAGE = re.compile(rb"\s*(<!doctype|<html|<\?xml|<head)", re.I)
_GLOBAL = re.compile(r"GLOBAL ([\w.]+)")  # in torch's error message
# Keys under which programs keep the state dict in a checkpoint.
_INSIDE = ("teacher", "state_dict", "model_state_dict", "model_state", "model", "net", "network", "weights")
# cnnimageretrieval numbers the children of a ResNet, without the last two.
_NUMBERED = {"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3", "7": "layer4"}
# Parts of a retrieval network around its backbone: pooling and whitening.
_AROUND = ("pool.", "whiten.", "lwhiten.")
_TIMM = "blocks.0.0.conv_dw.weight"  # a tensor of timm's EfficientNet


def identify(file: str | Path, error: Exception) -> str:
    """What a file is that torch could not load.

    Args:
        file: the file.
        error: what `torch.load` raised.

    Returns:
        one line that completes "not a state dict, but ...".
    """
    with open(file, "rb") as opened:
        head = opened.read(_HEAD)
    if not head:
        return "an empty file"
    if _PAGE.match(head):
        return "a web page (download the file itself)"
    for magic, offset, kind in _MAGIC:
        if head[offset : offset + len(magic)] == magic:
            return kind
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < Path(file).stat().st_size:
        return "a safetensors file (read it by `safetensors.torch.load_file` and save the result by `torch.save`)"
    if head.startswith(b"PK"):
        return _identify_archive(file, error)
    if all(32 <= byte < 127 or byte in b"\t\r\n" for byte in head):
        return "a text file"
    return _identify_pickle(error)


def _identify_archive(file, error):
    try:
        with zipfile.ZipFile(file) as archive:
            names = [name.partition("/")[2] or name for name in archive.namelist()]
    except (zipfile.BadZipFile, OSError, ValueError):
        return "a damaged one, or only its beginning"
    if any(name.startswith("code/") or name == "constants.pkl" for name in names):
        return "a TorchScript program (read it by `torch.jit.load` and save its `state_dict()`)"
    if any(name.endswith(".npy") for name in names):
        return "arrays of NumPy"
    return _identify_pickle(error) if "data.pkl" in names else "a ZIP archive (unpack it)"


def _identify_pickle(error):
    found = _GLOBAL.search(str(error))
    if found:
        return f"one with Python objects in it ({found[1]}), whose code is not run; save the `state_dict()` alone"
    return f"something that cannot be read ({printable(first_line(error))[:120]})"


def unwrap(state: Any) -> tuple[Any, dict]:
    """The state dict in a checkpoint, and the other entries of the checkpoint; anything else as it is, and no entries."""
    for name in _INSIDE:
        if isinstance(state, dict) and isinstance(state.get(name), dict) and state[name]:
            return state[name], {key: value for key, value in state.items() if key != name}
    return state, {}


_Tensors = dict[str, torch.Tensor]


def rename(state: _Tensors, wanted: Iterable[str], network: str, file: str | Path) -> tuple[_Tensors, _Tensors]:
    """Give the tensors of a backbone in a state dict our names.

    Programs that wrap a network put a prefix before its names (`module.`, `model.`, `_orig_mod.backbone.`). If one tensor of the backbone
    has a prefix, all of them have it.

    Args:
        state: tensors by name.
        wanted: our names of the backbone's tensors.
        network: name of the network, for the errors.
        file: the weights file, for the errors.

    Returns:
        the backbone's tensors by our names, and the other tensors of the state dict by name; pooling and whitening without the prefix.

    Raises:
        NetworkError: the state dict holds several such networks, or timm's EfficientNet.
    """
    ours = next(name for name in wanted if not any(other.endswith(f".{name}") for other in wanted))
    first, _, rest = ours.partition(".")
    numbered = next((f"{number}.{rest}" for number, name in _NUMBERED.items() if name == first), None)
    found = {known: _prefixes(state, known) for known in (ours, numbered) if known is not None}
    known = next((known for known, prefixes in found.items() if prefixes), None)
    if known is None:
        if _prefixes(state, _TIMM):
            raise NetworkError(f"weights {file}: are of timm's EfficientNet, whose padding and input differ from those of {network} here")
        return state, {}
    prefixes = [""] if "" in found[known] else found[known]
    if len(prefixes) > 1:
        raise NetworkError(f"weights {file}: hold several networks ({', '.join(sorted(prefixes))}); save one of them alone")
    inside = {key.removeprefix(prefixes[0]): value for key, value in state.items() if key.startswith(prefixes[0])}
    if known == numbered:
        inside = {".".join([_NUMBERED.get(key.partition(".")[0], ""), key.partition(".")[2]]): value for key, value in inside.items()}
    others = {key: value for key, value in state.items() if not key.startswith(prefixes[0])}
    others |= {key: value for key, value in inside.items() if key.startswith(_AROUND)}
    return {key: value for key, value in inside.items() if not key.startswith(_AROUND)}, others


def _prefixes(state, name):
    """The prefixes of a name in a state dict."""
    return [key.removesuffix(name) for key in state if key == name or key.endswith(f".{name}")]
