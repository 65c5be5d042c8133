"""Makes the network from which a training starts: pretrained weights without fine-tuning."""

from pathlib import Path

from bow2cnn.network.model import RetrievalNetwork
from bow2cnn.network.pretrained import load_weights
from bow2cnn.network.storage import save_network


def start_network(network: str, pooling: str, weights: str | Path | None, out: str | Path) -> None:
    """Write the artefact of a pretrained network; GeM starts with the exponents of the weights file, or with 3 if the file has none.

    Args:
        network, pooling: see `RetrievalNetwork`.
        weights: the weights file, see `load_weights`; None for the weights of a package, see `packaged_weights`.
        out: the artefact to write, of kind `network`.

    Raises:
        NetworkError: network, pooling or weights cannot be used.
        ReadError: the operating system refuses to read the weights file.
    """
    model = RetrievalNetwork(network, pooling)
    load_weights(model, weights)
    save_network(out, model, {"weights": "packaged" if weights is None else str(weights)})
