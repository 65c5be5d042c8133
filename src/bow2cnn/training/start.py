"""The network as it comes off the shelf."""

from bow2cnn.network.model import RetrievalNetwork
from bow2cnn.network.pretrained import load_weights
from bow2cnn.network.storage import save_network


def start_network(network, pooling, weights, out):
    """Write the `network` artefact of a pretrained backbone with untrained pooling (GeM: p = 3, unless the weights have one of their own).

    Args:
        network, pooling: see `RetrievalNetwork`.
        weights: file of a state dict; None for the weights that come with the installation.
        out: the artefact.

    Raises:
        NetworkError: the weights cannot be used.
    """
    model = RetrievalNetwork(network, pooling)
    load_weights(model, weights)
    save_network(out, model, {"weights": "packaged" if weights is None else str(weights)})
