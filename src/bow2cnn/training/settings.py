"""What an experiment decides. The config's schema mirrors these keys; this module says what each one means."""

import dataclasses
import math

from bow2cnn.network.backbones import POOLINGS, find
from bow2cnn.training.errors import TrainingError


def _key(default, doc, choices=None, minimum=None, maximum=None):
    return dataclasses.field(default=default, metadata={"doc": doc, "choices": choices, "minimum": minimum, "maximum": maximum})


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of one experiment; what each key means is in the field's metadata under `doc`."""

    network: str = _key("efficientnet-lite0", "the backbone (`network.backbones`), or timm:NAME where timm is installed")
    weights: str | None = _key(
        None,
        "file with its pretrained weights, a state dict as torchvision, DINOv2 or timm has it (null for those that come with the "
        "installation, efficientnet-lite0 only)",
    )
    pooling: str = _key("gem", "how activations become a vector (talk slide 19); cls: the class token of a vision transformer", POOLINGS)
    positives: str = _key(
        "m3",
        "which photo of a query's pool is its positive: m1 or top1-cnn the nearest by the starting network; m2 the one with "
        "most common 3D points; m3 a random one with enough overlap and little change of scale; top1-bow the one with most "
        "inliers; random-bow a random one of the positives_k with most inliers (TPAMI section 3.3; talk slide 15)",
        ("m1", "m2", "m3", "top1-cnn", "top1-bow", "random-bow"),
    )
    positives_k: int = _key(10, "random-bow draws from so many", minimum=1)
    positives_overlap: float = _key(0.2, "m3 asks for more than this share of the query's 3D points", minimum=0, maximum=1)
    positives_scale: float = _key(1.5, "m3 allows at most this change of scale", minimum=1)
    redraw: bool = _key(True, "draw random positives anew every epoch (false: once, as in the paper)")
    negatives: int = _key(5, "hard negatives of a tuple", minimum=1)
    per_model: bool = _key(True, "at most one negative per model (N2 of TPAMI section 3.3; talk slide 14)")
    outsiders: bool = _key(True, "photos outside every model may be negatives, each as a model of its own")
    pool_size: int = _key(20000, "negatives are mined among so many photos, drawn anew every epoch", minimum=2)
    loss: str = _key("contrastive", "the loss", ("contrastive", "triplet"))
    margin: float = _key(0.85, "negatives farther away do not count (contrastive), or by so much farther (triplet)", minimum=0)
    keep: float = _key(0.0, "weight of the squared distance of a descriptor to the starting network's", minimum=0)
    epochs: int = _key(3, "negatives are mined again and validation is run so many times", minimum=0)
    queries_per_epoch: int = _key(200, "tuples of an epoch, at most one per query", minimum=1)
    exemplars: int = _key(
        200,
        "so many tuples more are of photos outside every model (with outsiders: true), each with a changed copy of itself as the positive "
        "(Dosovitskiy et al., TPAMI 2016)",
        minimum=0,
    )
    batch: int = _key(5, "tuples of a step", minimum=1)
    image_size: int = _key(
        0,
        "longer side of the photos in training and validation (pixels; 0 for what validation chose for the network: 256 for "
        "efficientnet-lite0, and for the others the paper's 362)",
        minimum=0,
    )
    learning_rate: float = _key(2e-5, "step size of the optimiser; GeM's p takes steps ten times as long", minimum=0)
    weight_decay: float = _key(1e-6, "pull of the weights towards zero", minimum=0)
    decay: float = _key(0.1, "the learning rate of epoch e is that of the first times exp(-decay (e - 1))", minimum=0)
    optimiser: str = _key("adam", "the optimiser", ("adam", "adamw", "sgd"))
    average: float = _key(
        0.9, "memory of the running average of the weights that is validated and kept (0: the weights as they are)", None, 0, 1
    )
    interpolation: tuple = _key(
        (0.25, 0.5, 0.75, 1.0),
        "validation tries the start weights moved by these shares towards those of the best epoch, and keeps the smallest share within one "
        "standard error of the best, which has forgotten least of what the collection does not show (Wortsman et al., CVPR 2022, section "
        "4; Hastie et al., The Elements of Statistical Learning, section 7.10)",
    )
    freeze: int = _key(0, "the first so many parts of the backbone (stages, or blocks) do not learn", minimum=0)
    learn_norms: bool = _key(True, "the scales and shifts of batch normalisation learn (their statistics never do)")
    augmentation: str = _key("none", "random changes of crop, light and colour", ("none", "light", "strong"))
    flip: bool = _key(False, "mirror half of the tuples")
    whitening: str = _key("learned", "what is learned for the whitened rows", ("learned", "pca"))
    dimensions: int = _key(0, "of the whitened descriptor (0: as many as the network gives)", minimum=0)

    @classmethod
    def of(cls, values):
        """Settings from a dict of some keys, checked; an `image_size` of 0 becomes the network's.

        Raises:
            TrainingError: an unknown key or a wrong value.
        """
        known = {field.name: field for field in dataclasses.fields(cls)}
        for key in values:
            if key not in known:
                raise TrainingError(f"settings: no such key {key!r}; known are {', '.join(known)}")
        settings = cls(**{key: _checked(known[key], value) for key, value in values.items()})
        return settings if settings.image_size else dataclasses.replace(settings, image_size=find(settings.network).training_size)


def _checked(field, value):
    kind, limits = type(field.default), field.metadata
    if field.name == "weights":
        return value
    if field.name == "interpolation":
        return _shares(value)
    if type(value) is not kind and not (kind is float and type(value) is int):
        raise TrainingError(f"settings: {field.name} must be {kind.__name__}, got {value!r}")
    if limits["choices"] and value not in limits["choices"]:
        raise TrainingError(f"settings: {field.name} must be one of {', '.join(limits['choices'])}, got {value!r}")
    if kind in (int, float):
        low, high = limits["minimum"], limits["maximum"]
        if not math.isfinite(value) or (low is not None and value < low) or (high is not None and value > high):
            most = "" if high is None else f" and at most {high}"
            raise TrainingError(f"settings: {field.name} must be at least {low}{most}, got {value!r}")
    return kind(value)


def _shares(value):
    if not isinstance(value, (list, tuple)) or not value or not all(type(w) in (int, float) and 0 < w <= 1.5 for w in value):
        raise TrainingError(f"settings: interpolation must be a list of shares above 0, got {value!r}")
    return tuple(float(share) for share in value)
