"""What the rest of the program knows of a backbone: whatever fulfils this can be fine-tuned, stored and asked."""

from torch import nn


class Backbone(nn.Module):
    """A network without its classifier: normalised images [b, c, h, w] to activations [b, d, h', w'].

    A subclass sets `dimension` and `input`, defines `forward` and `parts`, and the rest where it has it.

    Attributes:
        dimension: d, the channels of its activations.
        input: `Input`, what it sees of a file.
        class_token: function from normalised images [b, c, h, w] to one vector each [b, d], which wants no pooling; None where the
            network has no such thing.
    """

    class_token = None

    def __init__(self, dimension, input):
        super().__init__()
        self.dimension, self.input = dimension, input

    def parts(self) -> list[list[nn.Parameter]]:
        """Its weights, part by part from the image on: the first so many can be frozen."""
        raise NotImplementedError

    def freeze(self, count):
        """Stop learning in the first `count` parts."""
        for part in self.parts()[:count]:
            for weight in part:
                weight.requires_grad_(False)

    def normalised(self) -> list:
        """All pairs of a convolution and the batch normalisation behind it that run as one (`network.layers.Normalised`)."""
        return []

    def norms(self) -> list[nn.Module]:
        """All batch normalisations."""
        return [module for module in self.modules() if isinstance(module, nn.BatchNorm2d)]

    def published(self) -> nn.Module:
        """The module whose tensors have the names that files of pretrained weights use."""
        return self
