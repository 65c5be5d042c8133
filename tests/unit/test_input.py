"""What a network sees of a file: sizes, channels, normalisation, and that a network of one channel is trained and asked like any other."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional

from bow2cnn.core import artefact
from bow2cnn.descriptors.describe import describe_collection, describe_photo
from bow2cnn.network.backbones import BACKBONES, Choice
from bow2cnn.network.errors import NetworkError
from bow2cnn.network.input import IMAGENET, Input
from bow2cnn.network.layers import StagedBackbone
from bow2cnn.network.model import RetrievalNetwork
from bow2cnn.network.storage import load_network, save_network
from bow2cnn.pairs.exclusions import NegativeRule
from bow2cnn.pairs.found import Found, write_pairs
from bow2cnn.pairs.validation_truth import build_validation
from bow2cnn.training.augment import another_view, augment
from bow2cnn.training.cache import PhotoCache
from bow2cnn.training.settings import Settings
from bow2cnn.training.train_experiment import start_model, train_experiment

GREY = Input([100], [50], "grey", smallest=8, multiple=4)
PATCHES = dataclasses.replace(IMAGENET, smallest=14, multiple=14)


class OneChannel(StagedBackbone):
    """One convolution of one channel."""

    def __init__(self):
        super().__init__(6, GREY)
        self.conv = nn.Conv2d(1, 6, 4, 4)
        self.stages = [([self.conv], lambda x: functional.relu(self.conv(x)))]

    def __deepcopy__(self, memo):
        twin = OneChannel()
        twin.load_state_dict(self.state_dict())
        return twin


@pytest.fixture(autouse=True, scope="module")
def one_channel():
    BACKBONES["one"] = Choice(OneChannel)
    yield
    del BACKBONES["one"]


@pytest.mark.parametrize(
    ("seen", "shape", "factor", "expected"),
    [
        (IMAGENET, (300, 400), 0.5, (150, 200)),
        (IMAGENET, (301, 401), 0.1, (30, 40)),
        (IMAGENET, (1, 400), 0.1, (1, 40)),
        (PATCHES, (272, 362), 1.0, (266, 350)),
        (PATCHES, (280, 350), 1.0, (280, 350)),
        (PATCHES, (300, 400), 0.5, (140, 196)),
        (PATCHES, (13, 27), 1.0, (13, 14)),  # filled up later, not enlarged
    ],
)
def test_sizes(seen, shape, factor, expected):
    assert seen.sides(shape, factor) == expected


def test_a_photo_is_loaded_at_its_final_size(tmp_path):
    """One resampling: what is loaded for patches of 14 pixels passes the network as it is."""
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)).save(tmp_path / "a.png")
    image = PATCHES.load(tmp_path / "a.png", 200)
    assert image.shape == (140, 196, 3) and IMAGENET.load(tmp_path / "a.png", 200).shape == (150, 200, 3)
    prepared = PATCHES.prepare(PATCHES.tensor(image))
    by_hand = (image[50, 60] - np.array([0.485, 0.456, 0.406]) * 255) / (np.array([0.229, 0.224, 0.225]) * 255)
    np.testing.assert_allclose(prepared[0, :, 50, 60], by_hand, rtol=1e-5)
    assert PATCHES.load(tmp_path / "a.png", 200, (10, 20, 110, 60)).shape == (14, 42, 3)  # 20 x 50, by the factor of the whole
    assert PATCHES.load(tmp_path / "a.png", 900).shape == (294, 392, 3)  # never enlarged
    assert PATCHES.prepare(PATCHES.tensor(image), 0.5).shape == (1, 3, 70, 98)


def test_a_short_side_is_filled_up():
    image = np.random.default_rng(0).integers(0, 256, (5, 60, 3), np.uint8)
    prepared = PATCHES.prepare(PATCHES.tensor(image))
    assert prepared.shape == (1, 3, 14, 56)
    assert (prepared[:, :, 5:] == prepared[:, :, 4:5]).all()


def test_one_channel_is_the_luminance(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    image = GREY.load(tmp_path / "a.png", 400)
    assert image.shape == (24, 32, 1) and image.dtype == np.uint8
    np.testing.assert_allclose(image[..., 0], pixels @ [0.299, 0.587, 0.114], atol=0.51)
    assert GREY.load(tmp_path / "a.png", 16).shape == (12, 16, 1) and GREY.blank(3, 4).shape == (3, 4, 1)
    np.testing.assert_allclose(GREY.prepare(GREY.tensor(image))[0, 0], (image[..., 0] - 100.0) / 50, rtol=1e-5)


@pytest.mark.parametrize("strength", ["none", "light", "strong"])
def test_one_channel_is_augmented_as_three_equal_ones(strength):
    grey = np.random.default_rng(0).integers(0, 256, (40, 60, 1), np.uint8)
    for change in (lambda image, rng: augment(image, strength, True, rng), another_view):
        one, three = (change(image, np.random.default_rng(3)) for image in (grey, np.repeat(grey, 3, 2)))
        assert one.shape == (*three.shape[:2], 1)
        np.testing.assert_allclose(one[..., 0].astype(int), three[..., 0], atol=1)


@pytest.mark.parametrize(
    ("values", "part"),
    [
        ({"load_as": "sketch"}, "load_as 'sketch' is unknown; choose from photo, grey"),
        ({"load_as": "grey"}, "grey has 1 channels"),
        ({"mean": [1.0, 2.0]}, "photo has 3 channels"),
        ({"multiple": 14, "smallest": 20}, r"the smallest side \(20\) is not a multiple of 14 pixels"),
        ({"multiple": 0}, "is not a multiple of 0"),
    ],
)
def test_an_input_that_does_not_fit_itself_is_refused(values, part):
    with pytest.raises(NetworkError, match=f"^input: .*{part}"):
        dataclasses.replace(IMAGENET, **values)


def test_the_input_travels_with_the_network(tmp_path):
    """It is the file's that counts, not that of the program that reads it; another one is another network."""
    lineages = []
    for mean in (100, 90):
        torch.manual_seed(0)
        model = RetrievalNetwork("one", input=dataclasses.replace(GREY, mean=[mean]))
        save_network(tmp_path / "a.h5", model, {"seed": 1})
        back = load_network(tmp_path / "a.h5")
        assert back.input == model.input and back.input.mean == (mean,)
        assert start_model(tmp_path / "a.h5", Settings.of({"network": "one"})).input == model.input
        with artefact.Reader(tmp_path / "a.h5", "network") as reader:
            lineages.append(reader.params["lineage"])
            assert reader.params["input"] == json.loads(json.dumps(dataclasses.asdict(model.input))) and reader.params["seed"] == 1
    assert lineages[0] != lineages[1]
    with pytest.raises(NetworkError, match="takes images of 1 channels, not of 3"):
        RetrievalNetwork("one", input=IMAGENET)


def test_photos_of_another_input_are_decoded_again(tmp_path):
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "a.png")
    for seen, channels in ((IMAGENET, 3), (GREY, 1)):
        cache = PhotoCache(tmp_path, [tmp_path / "a.png"], [0], seen, 8, 1, "key")
        assert cache[0].shape == (8, 8, channels) and cache.blank().shape == (8, 8, channels)


def test_a_network_of_one_channel_is_trained_and_asked(tmp_path):
    """Four places of four photos each to train on, one to validate, and two photos outside of them as exemplars."""
    generator = np.random.default_rng(0)
    group = np.array([*np.repeat(np.arange(5), 4), 5, 6])
    patterns, paths = generator.integers(0, 256, (7, 6, 8, 3)), []
    for row, place in enumerate(group):
        pattern = np.clip(patterns[place] + generator.normal(0, 40, (6, 8, 3)), 0, 255).astype(np.uint8)
        paths.append(str(tmp_path / f"{row}.png"))
        Image.fromarray(pattern).resize((32, 24), Image.Resampling.BILINEAR).save(paths[-1])
    query = np.arange(20)
    pool = [np.setdiff1d(np.flatnonzero(group == group[row]), row) for row in query]
    rule = NegativeRule(group, np.where(group < 5, group, -1), np.where(group == 4, 2, 1))
    found = Found(query, [{"photo": rows} for rows in pool], rule, build_validation(rule, query, pool), {})
    sha256 = generator.integers(0, 256, (len(paths), 32), np.uint8)
    artefact.write(tmp_path / "collection.h5", "collection", {"path": paths, "sha256": sha256})
    pairs = [tmp_path / f"{name}.h5" for name in ("positives", "negatives", "validation")]
    write_pairs(found, "models", tmp_path / "collection.h5", *pairs)
    torch.manual_seed(0)
    start = RetrievalNetwork("one")
    save_network(tmp_path / "start.h5", start)
    settings = {"network": "one", "epochs": 1, "batch": 3, "queries_per_epoch": 6, "exemplars": 2, "negatives": 2, "image_size": 32}
    settings |= {"learning_rate": 1e-2, "augmentation": "light", "interpolation": [1.0], "ema_decay": 0.0}
    files = [tmp_path / name for name in ("collection.h5", "start.h5", "network.h5", "history.h5", "state")]
    train_experiment(*pairs, *files, settings, 7, 1)
    history, trained = artefact.read(files[3], "history"), load_network(files[2])
    assert np.isfinite(history["loss"]).all() and history["loss"][0] > 0 and trained.input == GREY
    describe_collection(files[2], files[0], tmp_path / "d.h5", 32, (1.0, 0.5), 1)
    found = artefact.read(tmp_path / "d.h5", "descriptors")
    assert not found["missing"].any()
    np.testing.assert_allclose(np.linalg.norm(found["descriptor"], axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(found["descriptor"][3], describe_photo(trained, GREY.load(paths[3], 32), (1.0, 0.5)))
