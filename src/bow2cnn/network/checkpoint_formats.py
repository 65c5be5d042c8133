"""Weights files of others: what a file is that holds no state dict, and state dicts whose names are not ours."""

import re
import zipfile
from pathlib import Path

from bow2cnn.core.printable import first_line, printable
from bow2cnn.network.errors import NetworkError

_HEAD = 512  # bytes that tell what a file is
# (bytes, at which place) of a file's beginning, and what it is.
_MAGIC = (
    (b"version https://git-lfs.github.com", 0, "a pointer of Git LFS (`git lfs pull` fetches the weights themselves)"),
    (b"\x89HDF\r\n", 0, "an HDF5 file, as Keras writes them"),
    (b"\x93NUMPY", 0, "an array of NumPy's"),
    (b"\x1f\x8b", 0, "compressed by gzip (unpack it)"),
    (b"ustar", 257, "a tar archive (unpack it)"),
    (b"7z\xbc\xaf", 0, "a 7z archive (unpack it)"),
    (b"%PDF", 0, "a PDF"),
)
_PAGE = re.compile(rb"\s*(<!doctype|<html|<\?xml|<head)", re.I)
_GLOBAL = re.compile(r"GLOBAL ([\w.]+)")  # in what torch says
# Where programs keep the state dict of a checkpoint.
_INSIDE = ("teacher", "state_dict", "model_state_dict", "model_state", "model", "net", "network", "weights")
# cnnimageretrieval has the children of a ResNet in a row, without the two last ones.
_IN_A_ROW = {"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3", "7": "layer4"}
# Of a retrieval network around its backbone: pooling and whitening.
_AROUND = ("pool.", "whiten.", "lwhiten.")
_TIMM = "blocks.0.0.conv_dw.weight"


def what_it_is(file, error) -> str:
    """What a file is that torch could not load, in words that go on with "not a state dict, but", and do so in one line."""
    with open(file, "rb") as opened:
        head = opened.read(_HEAD)
    if not head:
        return "an empty file"
    if _PAGE.match(head):
        return "a web page (download the file itself)"
    for magic, place, what in _MAGIC:
        if head[place : place + len(magic)] == magic:
            return what
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < Path(file).stat().st_size:
        return "a safetensors file (save what `safetensors.torch.load_file` reads of it by `torch.save`)"
    if head.startswith(b"PK"):
        return _of_archive(file, error)
    if all(32 <= byte < 127 or byte in b"\t\r\n" for byte in head):
        return "a text"
    return _of_pickle(error)


def _of_archive(file, error):
    try:
        with zipfile.ZipFile(file) as archive:
            names = [name.partition("/")[2] or name for name in archive.namelist()]
    except (zipfile.BadZipFile, OSError, ValueError):
        return "the beginning of one, cut off or damaged"
    if any(name.startswith("code/") or name == "constants.pkl" for name in names):
        return "a TorchScript program (save the `state_dict()` of what `torch.jit.load` reads of it)"
    if any(name.endswith(".npy") for name in names):
        return "arrays of NumPy's"
    return _of_pickle(error) if "data.pkl" in names else "a ZIP archive (unpack it)"


def _of_pickle(error):
    found = _GLOBAL.search(str(error))
    if found:
        return f"one with Python objects in it ({found[1]}), whose code is not run; save the `state_dict()` alone"
    return f"something that cannot be read ({printable(first_line(error))[:120]})"


def unwrap(state):
    """The state dict within a checkpoint, and the rest of the checkpoint."""
    for name in _INSIDE:
        if isinstance(state, dict) and isinstance(state.get(name), dict) and state[name]:
            return state[name], {key: value for key, value in state.items() if key != name}
    return state, {}


def rename(state, wanted, network, file):
    """The tensors of a backbone of ours in a state dict, by our names, and what else is in it.

    Whatever wrapped a network left a prefix before its names (`module.`, `model.`, `_orig_mod.backbone.`): where one name of the backbone
    stands behind a prefix, the others do.

    Args:
        state: the state dict.
        wanted: names of the backbone's tensors.
        network: its name; file: of the weights; for the errors.

    Returns:
        two dicts.

    Raises:
        NetworkError: there are several such networks in it, or one that is not ours for all its names.
    """
    ours = next(name for name in wanted if not any(other.endswith(f".{name}") for other in wanted))
    first, _, rest = ours.partition(".")
    in_a_row = next((f"{number}.{rest}" for number, name in _IN_A_ROW.items() if name == first), None)
    found = {known: _prefixes(state, known) for known in (ours, in_a_row) if known is not None}
    known = next((known for known, prefixes in found.items() if prefixes), None)
    if known is None:
        if _prefixes(state, _TIMM):
            raise NetworkError(f"weights {file}: are of timm's EfficientNet, which is padded and fed otherwise than {network} here")
        return state, {}
    prefixes = [""] if "" in found[known] else found[known]
    if len(prefixes) > 1:
        raise NetworkError(f"weights {file}: hold several networks ({', '.join(sorted(prefixes))}); save one of them alone")
    inside = {key.removeprefix(prefixes[0]): value for key, value in state.items() if key.startswith(prefixes[0])}
    if known == in_a_row:
        inside = {".".join([_IN_A_ROW.get(key.partition(".")[0], ""), key.partition(".")[2]]): value for key, value in inside.items()}
    others = {key: value for key, value in state.items() if not key.startswith(prefixes[0])}
    others |= {key: value for key, value in inside.items() if key.startswith(_AROUND)}
    return {key: value for key, value in inside.items() if not key.startswith(_AROUND)}, others


def _prefixes(state, name):
    """What stands before a name in the names of a state dict."""
    return [key.removesuffix(name) for key in state if key == name or key.endswith(f".{name}")]
