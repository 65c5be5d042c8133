"""The gradient of one step, photo by photo in worker threads.

Every photo passes the network alone, with one library thread. The loss takes the descriptors of all photos; its gradient then goes back
through the graph of each photo. The gradients of the photos are added in the order of the photos, so the sum does not depend on the number
of workers. A photo without a gradient (a negative beyond the margin) needs no backward pass.

A loss that is a sum over tuples is computed for as many tuples at a time as fit into memory. A loss over the whole batch needs all
descriptors at once. If the graphs of all photos do not fit, the photos pass the network twice: first for the descriptors and the gradient
of the loss, then, some at a time, for the backward pass (GradCache, Gao et al., arXiv 2101.06983). The result is the same.
"""

from collections.abc import Callable, Hashable, Sequence
from contextlib import contextmanager

import numpy as np
import torch

from bow2cnn.network.model import RetrievalNetwork
from bow2cnn.network.workers import Workers

_GRAPH_BYTES = 2 * 2**30  # maximum size of the activations in memory at a time

# A photo of a tuple: its key, and a function that returns it, uint8 [h, w, c] as `Input.load` does. Photos with one key are the same.
Photo = tuple[Hashable, Callable[[], np.ndarray]]
# Of each tuple its number, and the rows of its photos among some descriptors.
Members = list[tuple[int, list[int]]]
# From descriptors, float32 [n, D], and the tuples among them to a scalar.
Loss = Callable[[torch.Tensor, Members], torch.Tensor]


class Gradient:
    """Computes the gradient of a loss with respect to a network's weights.

    Args:
        model: the network.
        workers: an entered pool.
        image_size: longer side of the photos, in pixels; it determines how many photos fit into memory at a time.
        over_batch: whether the loss needs all tuples at once; else it must be a sum over tuples.
    """

    def __init__(self, model: RetrievalNetwork, workers: Workers, image_size: int, over_batch: bool = False) -> None:
        self._model, self._workers, self._over_batch = model, workers, over_batch
        self._normalised = [pair for pair in model.backbone.normalised() if _learns(pair)]
        inside = {id(tensor) for pair in self._normalised for tensor in _weights(pair)}
        self._direct = [weight for weight in model.parameters() if weight.requires_grad and id(weight) not in inside]
        self._photos = max(1, _GRAPH_BYTES // _graph_bytes(model, image_size))

    def accumulate(self, tuples: Sequence[Sequence[Photo]], loss: Loss) -> float:
        """Set `grad` of every learning weight to the gradient of the loss over some tuples.

        Args:
            tuples: the photos of each tuple; a photo that several tuples have passes the network once.
            loss: the loss.

        Returns:
            the loss.
        """
        total = 0.0
        with self._leaves() as (leaves, distribute):
            sums = [torch.zeros_like(leaf) for leaf in leaves]
            for chunk in self._chunks(tuples):
                total += self._chunk(chunk, loss, leaves, sums)
            distribute(sums)
        return total

    def _chunks(self, tuples):
        """The tuples in order, as chunks for which the loss is computed, see `_chunk_of`."""
        if self._over_batch:
            yield _chunk_of(tuples, range(len(tuples)))
            return
        chunk, photos = [], 0
        for number, members in enumerate(tuples):
            if chunk and photos + len(members) > self._photos:
                yield _chunk_of(tuples, chunk)
                chunk, photos = [], 0
            chunk.append(number)
            photos += len(members)
        if chunk:
            yield _chunk_of(tuples, chunk)

    def _chunk(self, chunk, loss, leaves, sums):
        members, photos = chunk
        fit = not self._over_batch or len(photos) <= self._photos
        graphs = list(self._workers.map(self._describe if fit else lambda load: self._describe(load).detach(), photos))
        descriptors = torch.cat([graph.detach() for graph in graphs]).requires_grad_()
        value = loss(descriptors, members)
        (outer,) = torch.autograd.grad(value, descriptors)
        if fit:
            self._back(graphs, outer, leaves, sums)
        else:
            self._back_in_parts(photos, outer, leaves, sums)
        return float(value.detach())

    def _describe(self, load):
        return self._model(self._model.pixels(load()))

    def _back_in_parts(self, photos, outer, leaves, sums):
        learning = [number for number in range(len(photos)) if bool(outer[number].any())]
        for start in range(0, len(learning), self._photos):
            numbers = learning[start : start + self._photos]
            graphs = list(self._workers.map(self._describe, [photos[number] for number in numbers]))
            self._back(graphs, outer[numbers], leaves, sums)

    def _back(self, graphs, outer, leaves, sums):
        """Add the gradients of photos, given those of their descriptors, to `sums`."""

        def back(number):
            if not bool(outer[number].any()):
                return None
            return torch.autograd.grad(graphs[number], leaves, outer[number : number + 1], allow_unused=True)

        for gradients in self._workers.map(back, range(len(graphs))):
            for total, gradient in zip(sums, gradients or (), strict=gradients is not None):
                if gradient is not None:
                    total += gradient

    @contextmanager
    def _leaves(self):
        """Fold batch normalisation once for the whole step.

        Gradients are computed with respect to the folded kernels. At the end their sum goes back to the weights behind the kernels.
        """
        graphs, leaves = [], list(self._direct)
        try:
            for pair in self._normalised:
                folded = pair.fold()
                graphs += folded
                pair.folded = tuple(tensor.detach().requires_grad_() for tensor in folded)
                leaves += pair.folded
            yield leaves, lambda sums: self._distribute(graphs, sums)
        finally:
            for pair in self._normalised:
                pair.folded = None

    def _distribute(self, graphs, sums):
        for weight, gradient in zip(self._direct, sums, strict=False):
            weight.grad = gradient
        inner = [weight for pair in self._normalised for weight in _weights(pair) if weight.requires_grad]
        if inner:
            learning = [(graph, total) for graph, total in zip(graphs, sums[len(self._direct) :], strict=True) if graph.requires_grad]
            outputs, totals = zip(*learning, strict=True)
            for weight, gradient in zip(inner, torch.autograd.grad(outputs, inner, totals), strict=True):
                weight.grad = gradient


def _chunk_of(tuples, numbers):
    """`Members` of some tuples, and the functions that load their photos, by row."""
    rows, photos, members = {}, [], []
    for number in numbers:
        for key, load in tuples[number]:
            if key not in rows:
                rows[key] = len(photos)
                photos.append(load)
        members.append((number, [rows[key] for key, _ in tuples[number]]))
    return members, photos


def _graph_bytes(model, image_size):
    """Bytes that the graph of one photo keeps for its backward pass, measured on a photo of 4 : 3."""
    sizes = {}

    def count(tensor):
        sizes[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        model(model.pixels(model.input.blank(image_size * 3 // 4, image_size)))
    return max(1, sum(sizes.values()))


def _weights(pair):
    return [pair.convolution.weight, pair.norm.weight, pair.norm.bias]


def _learns(pair):
    return any(weight.requires_grad for weight in _weights(pair))
