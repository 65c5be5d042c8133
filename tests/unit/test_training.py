"""Training: losses and choices against hand and brute force, gradients against autograd, and runs that are killed and go on."""

import shutil
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional

from bow2cnn.core import artefact
from bow2cnn.descriptors.apply_whitening import apply
from bow2cnn.descriptors.describe import describe_photo
from bow2cnn.network import input as input_module
from bow2cnn.network.backbones import BACKBONES, Choice
from bow2cnn.network.errors import NetworkError
from bow2cnn.network.input import IMAGENET, Input
from bow2cnn.network.layers import FoldedConvBN, StagedBackbone
from bow2cnn.network.model import RetrievalNetwork
from bow2cnn.network.pretrained import load_weights
from bow2cnn.network.projection import Projection
from bow2cnn.network.storage import load_network, save_network
from bow2cnn.network.workers import Workers
from bow2cnn.pairs import exclusions as negatives
from bow2cnn.pairs.exclusions import NegativeRule
from bow2cnn.pairs.found import Found, write_pairs
from bow2cnn.pairs.validation_truth import build_validation
from bow2cnn.training import batches as batches_module
from bow2cnn.training import cache, checkpoint
from bow2cnn.training import gradient as gradient_module
from bow2cnn.training import loop as trainer_module
from bow2cnn.training import train_experiment as train_module
from bow2cnn.training.augment import another_view, augment
from bow2cnn.training.batches import TupleLoader
from bow2cnn.training.cache import PhotoCache
from bow2cnn.training.checkpoint import Checkpoint
from bow2cnn.training.collapse import find_collapse
from bow2cnn.training.errors import TrainingError
from bow2cnn.training.gradient import Gradient
from bow2cnn.training.hard_negatives import draw_negatives, mine_negatives
from bow2cnn.training.interpolation import error_of, one_standard_error_choice
from bow2cnn.training.loss import OVER_THE_BATCH, batch_loss, tuple_loss
from bow2cnn.training.moving_average import interpolate, moving_average
from bow2cnn.training.optimiser import make_optimiser, make_schedule
from bow2cnn.training.pairs import read_pairs
from bow2cnn.training.positives import candidates, check_evidence, draw
from bow2cnn.training.settings import Settings
from bow2cnn.training.train_experiment import train_experiment
from bow2cnn.training.tuple_sampler import EpochSampler

PHOTOS = 26


class TinyBackbone(StagedBackbone):
    """Two normalised convolutions and a plain one."""

    def __init__(self):
        super().__init__(10, Input((127.0,) * 3, (64.0,) * 3))
        self.conv1, self.bn1 = nn.Conv2d(3, 6, 3, 2, bias=False), nn.BatchNorm2d(6)
        self.conv2, self.bn2 = nn.Conv2d(6, 8, 3, 2, bias=False), nn.BatchNorm2d(8)
        self.conv3 = nn.Conv2d(8, 10, 1)
        self._pairs = [FoldedConvBN(self.conv1, self.bn1), FoldedConvBN(self.conv2, self.bn2)]
        self._one, self._two = self._pairs
        self.stages = [
            ([self.conv1, self.bn1], lambda x: functional.relu(self._one(x))),
            ([self.conv2, self.bn2], lambda x: functional.relu(self._two(x))),
            ([self.conv3], lambda x: functional.relu(self.conv3(x))),
        ]

    def __deepcopy__(self, memo):
        twin = TinyBackbone()
        twin.load_state_dict(self.state_dict())
        return twin


@pytest.fixture(autouse=True, scope="module")
def tiny_network():
    BACKBONES["tiny"] = Choice(TinyBackbone)
    yield
    del BACKBONES["tiny"]


def tiny(seed=0):
    torch.manual_seed(seed)
    model = RetrievalNetwork("tiny")
    for pair in model.backbone.normalised():
        pair.norm.running_mean.uniform_(-0.5, 0.5)
        pair.norm.running_var.uniform_(0.5, 2)
    return model


PAIRS = ("positives.h5", "negatives.h5", "validation.h5")


def put_pairs(folder, found):
    """Write pairs in a folder."""
    artefact.write(folder / "photos.h5", "collection", {})
    write_pairs(found, "models", folder / "photos.h5", *(folder / name for name in PAIRS))


def pairs_in(folder, background=True, missing=None):
    """The pairs of a folder as training reads them."""
    return read_pairs(*(folder / name for name in PAIRS), background, np.zeros(PHOTOS, bool) if missing is None else missing)


def put_changed(made, folder, pools=None, **changes):
    """Write the pairs of `made` in another folder, with some arguments of their `NegativeRule` or pools changed."""
    old = made.found
    arguments = {name: getattr(old.negatives, name) for name in ("place", "cluster", "side", "weak", "doubt")} | changes
    rule, pools = NegativeRule(**arguments), pools or old.pools
    put_pairs(folder, Found(old.query, pools, rule, build_validation(rule, old.query, [pool["photo"] for pool in pools]), {}))


@pytest.fixture(scope="module")
def made(tiny_network, tmp_path_factory):
    """Models 0 to 3 train (0 and 1 in one cluster), 4 validates, four photos each; background photos 20 to 23; 24 and 25 are not used."""
    folder = tmp_path_factory.mktemp("training")
    generator = np.random.default_rng(0)
    group = np.array([*np.repeat(np.arange(5), 4), 5, 6, 7, 8, -1, -1])
    cluster = np.array([*np.repeat([0, 0, 1, 2, 3], 4), -1, -1, -1, -1, -1, -1])
    side = np.array([*np.repeat([1, 1, 1, 1, 2], 4), 1, 1, 1, 1, 0, 0])
    patterns = generator.integers(0, 256, (9, 6, 8, 3))
    paths = []
    for row in range(PHOTOS):
        pattern = np.clip(patterns[group[row]] + generator.normal(0, 60, (6, 8, 3)), 0, 255).astype(np.uint8)
        paths.append(str(folder / f"{row}.png"))
        Image.fromarray(pattern).resize((32, 24), Image.Resampling.BILINEAR).save(paths[-1])
    query = np.arange(20)
    pool = [np.setdiff1d(np.flatnonzero(group == group[row]), row) for row in query]
    offset, count = artefact.offsets([len(rows) for rows in pool]), sum(map(len, pool))
    values = {name: generator.random(count).astype(np.float32) for name in ("overlap", "distance")}
    values |= {"scale": np.ones(count, np.float32), "shared": generator.integers(5, 99, count).astype(np.int32)}
    values |= {"inliers": generator.integers(5, 99, count).astype(np.int32), "photo": np.concatenate(pool)}
    pools = [{name: column[a:b] for name, column in values.items()} for a, b in zip(offset[:-1], offset[1:], strict=True)]
    rule = NegativeRule(group, cluster, side, [[20, 1], [20, 21], [24, 3]])
    found = Found(query, pools, rule, build_validation(rule, query, pool), {})
    put_pairs(folder, found)
    sha256 = generator.integers(0, 256, (PHOTOS, 32), np.uint8)
    artefact.write(folder / "collection.h5", "collection", {"path": paths, "sha256": sha256})
    save_network(folder / "start.h5", tiny())
    return SimpleNamespace(folder=folder, group=group, cluster=cluster, side=side, paths=paths, found=found)


SETTINGS = {"network": "tiny", "epochs": 2, "batch": 3, "queries_per_epoch": 8, "exemplars": 1, "negatives": 2}
SETTINGS |= {"image_size": 32, "learning_rate": 1e-3, "test": {"image_size": 0}}


def train(made, out, threads=1, device="cpu", start_projection=None, **changes):
    """Train in a folder, which may hold the state of an earlier training. Returns the bytes of the network and of the history."""
    inputs = [made.folder / name for name in (*PAIRS, "collection.h5", "start.h5")]
    files = [out / "network.h5", out / "history.h5"]
    train_experiment(*inputs, *files, out / "state", SETTINGS | changes, 7, threads, device, start_projection)
    return [file.read_bytes() for file in files]


def history(out):
    return artefact.read(out / "history.h5", "history")


def weights(path):
    return {key: value.numpy() for key, value in load_network(path).state_dict().items()}


# losses


def test_every_network_has_a_default_image_size():
    assert [Settings.of({"network": network}).image_size for network in ("efficientnet-lite0", "squeezenet1_1")] == [256, 362]
    assert Settings.of({"network": "squeezenet1_1", "image_size": 200}).image_size == 200


def test_losses_by_hand():
    descriptors = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8], [-1.0, 0.0]])
    tuples = torch.tensor([[0, 1, 2, 3], [0, 2, 1, -1]])
    # distances squared from 0: to 1 2, to 2 0.8, to 3 4
    contrastive = 0.5 * 2 + 0.5 * (1.5 - 0.8**0.5) ** 2 + 0.5 * 0.8 + 0.5 * (1.5 - 2**0.5) ** 2
    assert float(tuple_loss(descriptors, tuples, "contrastive", 1.5)) == pytest.approx(contrastive, abs=1e-4)
    triplet = (0.5 + 2 - 0.8) + 0 + 0  # 0.5 + 2 - 4 < 0, 0.5 + 0.8 - 2 < 0, and the last has no photo
    assert float(tuple_loss(descriptors, tuples, "triplet", 0.5)) == pytest.approx(triplet, abs=1e-4)


def test_the_loss_has_a_gradient_where_photos_are_alike():
    descriptors = torch.tensor([[1.0, 0.0]] * 3, requires_grad=True)
    tuple_loss(descriptors, torch.tensor([[0, 1, 2]]), "contrastive", 0.7).backward()
    assert torch.isfinite(descriptors.grad).all() and descriptors.grad[2].any()


def infonce_by_hand(near, far, temperature):
    """Of one tuple: the similarities of the positive and of the negatives."""
    return -np.log(np.exp(near / temperature) / (np.exp(near / temperature) + np.exp(far / temperature).sum()))


def multi_similarity_by_hand(near, far, _):
    far = far[far > near - 0.1]
    if not len(far):
        return 0.0
    return np.log(1 + np.exp(-2 * (near - 0.5))) / 2 + np.log(1 + np.exp(50 * (far - 0.5)).sum()) / 50


BY_HAND = {"infonce": infonce_by_hand, "multi-similarity": multi_similarity_by_hand}


@pytest.mark.parametrize("kind", OVER_THE_BATCH)
@pytest.mark.parametrize("temperature", [0.05, 0.3])
def test_losses_over_the_batch_by_hand(kind, temperature):
    generator = np.random.default_rng(0)
    descriptors = generator.normal(size=(12, 4))
    descriptors /= np.linalg.norm(descriptors, axis=1, keepdims=True)
    pairs, negatives = np.array([[0, 1], [2, 3], [4, 0], [5, 6], [7, 7]]), generator.random((5, 12)) < 0.5
    negatives[3] = False  # a query without a negative
    descriptors[3], negatives[1, 2:4] = descriptors[2], False  # a positive that is nearer than all negatives by more than epsilon
    expected = [
        BY_HAND[kind](descriptors[query] @ descriptors[positive], descriptors[allowed] @ descriptors[query], temperature)
        for (query, positive), allowed in zip(pairs, negatives, strict=True)
    ]
    assert expected[3] == 0 and min(expected[0], expected[2]) > 0 and (expected[1] == 0) == (kind == "multi-similarity")
    found = batch_loss(torch.tensor(descriptors), torch.tensor(pairs), torch.tensor(negatives), kind, temperature)
    assert float(found) == pytest.approx(sum(expected), rel=1e-9)


@pytest.mark.parametrize("kind", OVER_THE_BATCH)
def test_losses_over_the_batch_have_a_finite_gradient_where_photos_are_alike(kind):
    descriptors = torch.tensor([[0.6, 0.8]] * 5, requires_grad=True)
    negatives = torch.tensor([[False, False, True, True, True], [False] * 5])
    batch_loss(descriptors, torch.tensor([[0, 1], [2, 3]]), negatives, kind, 0.001).backward()
    assert torch.isfinite(descriptors.grad).all() and descriptors.grad[4].any()


@pytest.mark.parametrize("augmentation", ["none", "light"])
def test_photos_of_other_tuples_are_negatives_if_they_surely_show_another_place(made, tmp_path, monkeypatch, augmentation):
    """And each counts once: 8 is in two tuples, and 20 is there with a copy of itself."""
    rule = NegativeRule(made.group, made.cluster, made.side, [[20, 1], [20, 21]], [[8, 12]])
    tuples = {
        "query": np.array([0, 4, 2, 20, 9]),
        "positive": np.array([1, 5, 3, 20, 10]),
        "photo": np.array([[8, 12], [8, 21], [13, 22], [9, -1], [4, 23]]),
    }
    masks = []
    monkeypatch.setattr(batches_module, "batch_loss", lambda _, pairs, negatives, *__: masks.append(negatives))
    settings = Settings.of({"image_size": 32, "negatives": 2, "augmentation": augmentation, "loss": "infonce"})
    photos = PhotoCache(tmp_path, made.paths, [], IMAGENET, 32, 1, "key")
    loads, loss = TupleLoader(photos, settings, 0, None, rule).make(tuples, range(5), 1)
    members, photos = gradient_module._chunk_of(loads, range(5))
    loss(torch.zeros(len(photos), 2), members)
    rows = np.zeros(len(photos), int)
    for number, places in members:
        rows[places] = [row for row in (tuples["query"][number], tuples["positive"][number], *tuples["photo"][number]) if row >= 0]
    everywhere = [8, 9, 10, 12, 13, 21, 22, 23]
    expected = [everywhere, sorted([*everywhere, 20]), everywhere, [4, 5, 8, 9, 10, 12, 13, 22, 23], [0, 1, 2, 3, 4, 5, 20, 21, 22, 23]]
    assert [sorted(rows[line].tolist()) for line in masks[0].numpy()] == expected
    for line, (number, places) in zip(masks[0], members, strict=True):
        assert line[places[2:]].all(), f"the mined negatives of tuple {number}, in the copies that it has of them"


# positives and negatives


POOL = {
    "photo": np.int32([7, 3, 9, 5]),
    "shared": np.int32([10, 30, 30, 5]),
    "overlap": np.float32([0.3, 0.5, 0.1, 0.6]),
    "scale": np.float32([1.0, 1.2, 1.0, 1.9]),
    "inliers": np.int32([5, 50, 80, 80]),
}


@pytest.mark.parametrize(
    ("rule", "expected"),
    [("m1", [3]), ("top1-cnn", [3]), ("m2", [3]), ("m3", [3, 7]), ("top1-bow", [5]), ("random-bow", [5, 9, 3])],
)
def test_positives_of_a_pool(rule, expected):
    settings = Settings(positives=rule, positives_k=3)
    similarity = np.float32([0.1, 0.9, 0.9, 0.2])
    assert candidates(POOL, settings, similarity).tolist() == expected


@pytest.mark.parametrize(
    ("column", "rule"), [("shared", "m2"), ("inliers", "top1-bow"), ("inliers", "random-bow"), ("overlap", "m3"), ("scale", "m3")]
)
def test_a_rule_asks_for_the_evidence_that_it_needs(column, rule):
    """m3 goes without: with neither overlap nor scale every photo of the pool may be the positive."""
    pool = {name: values for name, values in POOL.items() if name != column}
    settings = Settings(positives=rule)
    check_evidence(POOL, settings, "models")
    if rule == "m3":
        check_evidence(pool, settings, "some")
        assert candidates(pool, settings).tolist() == {"overlap": [3, 7, 9], "scale": [3, 5, 7]}[column]
        assert candidates({"photo": POOL["photo"]}, settings).tolist() == [3, 5, 7, 9]
        return
    with pytest.raises(TrainingError) as caught:
        check_evidence(pool, settings, "some")
    assert str(caught.value).startswith(f"settings: positives: {rule} needs `{column}` (") and "the pairs of some do not" in str(
        caught.value
    )


def test_a_plan_without_the_evidence_of_its_rule_is_one_line(made, tmp_path):
    put_changed(made, tmp_path, [{"photo": pool["photo"]} for pool in made.found.pools])
    pairs, descriptors = pairs_in(tmp_path), np.ones((PHOTOS, 4), np.float32)
    assert EpochSampler(pairs, Settings.of(SETTINGS), 7, descriptors).tuples == 9
    with pytest.raises(TrainingError, match=r"^settings: positives: m2 needs `shared` .*, which the pairs of models do not have"):
        EpochSampler(pairs, Settings.of(SETTINGS | {"positives": "m2"}), 7, descriptors)


def test_tuples_keep_to_the_lists_of_their_queries(made, tmp_path):
    """Where a source names the only photos that may be a query's negatives, no other is mined."""
    put_changed(made, tmp_path, lists={row: [8, 12, 20] for row in range(8)})
    pairs, descriptors = pairs_in(tmp_path), np.random.default_rng(0).random((PHOTOS, 4), np.float32)
    plan = EpochSampler(pairs, Settings.of(SETTINGS | {"queries_per_epoch": 16, "negatives": 9}), 7, descriptors)
    found = plan.mine(1, descriptors)
    for query, photo in zip(found["query"].tolist(), found["photo"], strict=True):
        given = set(photo[photo >= 0].tolist())
        assert given <= {8, 12, 20} if query < 8 else given - {8, 12, 20}


def test_positives_are_drawn_evenly():
    options = [np.array([3, 7])] * 1000 + [np.array([5])]
    drawn = draw(options, np.random.default_rng(0))
    assert drawn[-1] == 5 and 400 < (drawn[:-1] == 3).sum() < 600 and set(drawn[:-1]) == {3, 7}


@pytest.mark.parametrize("mining", ["diverse", "naive"])
def test_negatives_by_brute_force(mining):
    generator = np.random.default_rng(3)
    descriptors = generator.normal(size=(120, 6)).astype(np.float32)
    group = generator.integers(0, 15, 120)
    cluster = np.where(group < 12, group // 3, -1)  # three models to a cluster
    pool = generator.permutation(120)[:90]
    queries = np.arange(0, 120, 7)
    photo, similarity = mine_negatives(descriptors, queries, pool, NegativeRule(group, cluster, np.ones(120)), 4, mining)
    for line, query in enumerate(queries):
        expected, seen = [], set()
        for row in sorted(pool, key=lambda row: (-float(descriptors[row] @ descriptors[query]), row)):
            related = group[row] == group[query] or (cluster[query] >= 0 and cluster[row] == cluster[query])
            if not related and not (mining == "diverse" and group[row] in seen):
                seen.add(group[row])
                expected.append(row)
        assert photo[line].tolist() == expected[:4]
        np.testing.assert_allclose(similarity[line], descriptors[expected[:4]] @ descriptors[query], rtol=1e-4, atol=1e-5)


def test_drawn_negatives_are_even_and_allowed():
    """Photos 0 and 1 show one place; 6 is not in the pool."""
    rule = NegativeRule([0, 0, 1, 2, 3, 4, 5], np.arange(7), np.ones(7))
    pool, queries = np.arange(6), np.zeros(2000, int)
    drawn = draw_negatives(queries, pool, rule, 2, np.random.default_rng(0))
    assert drawn.shape == (2000, 2) and (drawn[:, 0] != drawn[:, 1]).all()
    counts = np.bincount(drawn.ravel(), minlength=7)
    assert counts[[0, 1, 6]].tolist() == [0, 0, 0] and (np.abs(counts[2:6] - 1000) < 100).all()
    everything = draw_negatives(np.array([0, 2]), pool, rule, 2, None)
    assert everything.tolist() == [[2, 3, 4, 5, -1, -1], [0, 1, 3, 4, 5, -1]]


@pytest.mark.parametrize(("mining", "width"), [("random", 2), ("all", 5)])
def test_negatives_without_mining_train_the_same_again(made, tmp_path, mining, width):
    """No descriptor is needed to draw them, so none is told."""
    outputs = [train(made, tmp_path / str(threads), threads, negative_mining=mining, negative_pool_size=5) for threads in (1, 2)]
    assert outputs[0] == outputs[1]
    history = artefact.read(tmp_path / "1/history.h5", "history")
    assert history["negatives/photo"].shape[2] == width and np.isnan(history["negatives/similarity"]).all()
    assert np.isfinite(history["loss"]).all() and (history["negatives/photo"] >= 0).any(2).all()
    hard = train(made, tmp_path / "hard", negative_pool_size=5)
    assert hard[0] != outputs[0][0]


def test_too_few_negatives_leave_gaps():
    descriptors = np.eye(3, dtype=np.float32)
    rule = NegativeRule([0, 0, 1], np.arange(3), np.ones(3))
    photo, similarity = mine_negatives(descriptors, np.array([0]), np.array([0, 1, 2]), rule, 2, "diverse")
    assert photo.tolist() == [[2, -1]] and np.isnan(similarity[0, 1])


def test_photos_that_a_cut_pair_joins_are_not_negatives_of_each_other():
    """Places 0 (photos 0, 1), 1 (2, 3) and 2 (4, 5), and two photos outside: 1 and 2 are in doubt, 3 and 4 as well, and 5 and 6."""
    group, cluster, doubt = np.array([0, 0, 1, 1, 2, 2, 3, 4]), np.array([0, 0, 1, 1, 2, 2, -1, -1]), np.array([[2, 1], [3, 4], [6, 5]])
    descriptors, rows = np.ones((8, 2), np.float32), np.arange(8)
    photo, _ = mine_negatives(descriptors, rows, rows, NegativeRule(group, cluster, np.ones(8), doubt=doubt), 6, "naive")
    found = [line[line >= 0].tolist() for line in photo]
    assert found == [[4, 5, 6, 7]] * 2 + [[6, 7]] * 2 + [[0, 1, 7]] * 2 + [[0, 1, 2, 3, 7], [0, 1, 2, 3, 4, 5]]


def test_without_a_photo_that_surely_shows_another_place_there_is_no_training(made, tmp_path):
    put_changed(made, tmp_path, doubt=[[0, 8], [4, 12], [8, 12]])
    with pytest.raises(TrainingError, match="photos that surely show another place"):
        pairs_in(tmp_path, background=False)
    assert pairs_in(tmp_path).rule.doubt.tolist() == [[0, 8], [4, 12], [8, 12]]


def test_a_background_photo_is_not_a_negative_of_the_models_it_may_belong_to():
    descriptors, mined = np.float32([[1, 0], [0, 1], [-1, 0], [0.9, 0.1]]), []
    for weak in ([], [[3, 1], [3, 2], [3, 2]]):
        rule = NegativeRule(np.arange(4), [0, 1, 2, -1], np.ones(4), weak).wary(descriptors, 1)
        mined.append(mine_negatives(descriptors, np.arange(3), np.array([2, 3]), rule, 2, "diverse")[0])
    assert rule._possible.tolist() == [[-1, -1, -1], [-1, -1, -1], [-1, -1, -1], [0, 1, 2]]
    assert [found.tolist() for found in mined] == [[[2, -1], [3, 2], [3, -1]], [[2, -1], [2, -1], [-1, -1]]]


@pytest.mark.parametrize("chunk", [1, 5, 1000])
def test_the_nearest_models_of_background_photos_are_found_chunk_by_chunk(monkeypatch, chunk):
    monkeypatch.setattr(negatives, "_CHUNK", chunk)
    generator = np.random.default_rng(0)
    descriptors, group = generator.integers(-9, 9, (200, 8)).astype(np.float32), generator.integers(-1, 12, 200)
    background = np.arange(200) >= 150
    group[background] = 12 + np.arange(50)
    found = NegativeRule(group, np.where(background, -1, 0), np.ones(200)).wary(descriptors, 3)._possible
    for row in np.flatnonzero(background):
        best = [(descriptors[(group == g) & ~background] @ descriptors[row]).max() for g in range(12)]
        assert found[row].tolist() == np.argsort(-np.array(best), kind="stable")[:3].tolist()
    assert (found[:150] == -1).all()


def test_weak_matches_with_what_may_not_be_used_raise_no_doubt():
    rule = NegativeRule([0, 0, 1, 2, -1], [0, 0, -1, -1, 0], np.ones(5), [[2, 3], [2, 4], [3, 0], [3, 1]])
    assert rule.wary(np.zeros((5, 2), np.float32), 1)._possible.tolist() == [[-1, -1], [-1, -1], [0, 2], [0, 0], [-1, -1]]


def test_negatives_of_a_photo_outside_every_model():
    """Of 0: not 1 (of a model it may belong to), 2 (may belong to that too), 3 and 4 (weak matches, of it and with it), so 5."""
    rule = NegativeRule([10, 0, 11, 12, 13, 14, 1], [-1, 0, -1, -1, -1, -1, 1], np.ones(7), [[0, 1], [0, 3], [2, 1], [4, 0], [5, 6]])
    photo, _ = mine_negatives(np.ones((7, 2), np.float32), np.array([0]), np.arange(6), rule, 5, "diverse")
    assert photo.tolist() == [[5, -1, -1, -1, -1]]


def test_exemplars_of_an_epoch(made):
    pairs = pairs_in(made.folder)
    descriptors = np.random.default_rng(0).random((PHOTOS, 4), np.float32)
    plan = EpochSampler(pairs, Settings.of(SETTINGS | {"exemplars": 3}), 7, descriptors)
    epochs = [plan.queries(epoch) for epoch in (1, 2)]
    for query, positive in epochs:
        exemplar = query == positive
        assert plan.tuples == len(query) == 11 and exemplar.sum() == 3 and len(np.unique(query)) == 11
        assert set(query[exemplar]) < {20, 21, 22, 23} and (query[~exemplar] < 16).all()
    assert set(epochs[0][0][epochs[0][0] > 16]) != set(epochs[1][0][epochs[1][0] > 16])
    np.testing.assert_array_equal(plan.queries(1), epochs[0])
    assert EpochSampler(pairs, Settings.of(SETTINGS | {"exemplars": 99}), 7, descriptors).tuples == 12
    inside = pairs_in(made.folder, background=False)
    assert EpochSampler(inside, Settings.of(SETTINGS), 7, descriptors).tuples == 8


def test_a_mirrored_exemplar_has_a_mirrored_copy(made, tmp_path, monkeypatch):
    monkeypatch.setattr(batches_module, "another_view", lambda photo, _: photo)
    photos = PhotoCache(tmp_path, made.paths, [], IMAGENET, 32, 1, "key")
    tuples = {name: np.full(20, 20) for name in ("query", "positive")} | {"photo": np.full((20, 1), 2)}
    batches = TupleLoader(photos, Settings.of({"image_size": 32, "flip": True}), 0, None, None)
    found = [[load() for _, load in loads] for loads in batches.make(tuples, range(20), 1)[0]]
    mirrored = [np.array_equal(query, photos[20][:, ::-1]) for query, _, _ in found]
    assert 0 < sum(mirrored) < 20
    for members, mirror in zip(found, mirrored, strict=True):
        for photo, row in zip(members, (20, 20, 2), strict=True):
            np.testing.assert_array_equal(photo, photos[row][:, ::-1] if mirror else photos[row])


@pytest.mark.parametrize("augmentation", ["none", "light"])
def test_the_positive_of_an_exemplar_is_a_changed_copy(made, tmp_path, augmentation):
    photos = PhotoCache(tmp_path, made.paths, [], IMAGENET, 32, 1, "key")
    tuples = {"query": np.array([20, 3]), "positive": np.array([20, 2]), "photo": np.array([[2, -1], [20, -1]])}
    batches = TupleLoader(photos, Settings.of({"image_size": 32, "augmentation": augmentation}), 0, None, None)
    first, again, later = (batches.make(tuples, [0, 1], epoch)[0] for epoch in (1, 1, 2))
    copies = [loads[0][1][1]() for loads in (first, again, later)]
    np.testing.assert_array_equal(copies[0], copies[1])
    assert not np.array_equal(copies[0], copies[2]) and not np.array_equal(copies[0], photos[20])
    keys = [key for loads in first for key, _ in loads]
    assert keys.count(first[0][1][0]) == 1
    if augmentation == "none":
        assert keys == [20, ("copy", 0), 2, 3, 2, 20]


def test_pairs_are_those_of_the_training_side(made):
    missing = np.zeros(PHOTOS, bool)
    pairs = pairs_in(made.folder, missing=missing)
    assert pairs.query.tolist() == list(range(16)) and pairs.negative.tolist() == [*range(16), 20, 21, 22, 23]
    assert all((made.group[pool["photo"]] == made.group[query]).all() for query, pool in zip(pairs.query, pairs.pools, strict=True))
    assert pairs.validation.query.tolist() == [16, 17, 18, 19]
    assert pairs_in(made.folder, background=False).negative.tolist() == list(range(16))
    missing[[0, 1, 20]] = True
    pairs = pairs_in(made.folder, missing=missing)
    assert pairs.query.tolist() == list(range(2, 16)) and pairs.pools[0]["photo"].tolist() == [3] and 20 not in pairs.negative
    missing[:16] = True
    with pytest.raises(TrainingError, match="nothing to train on"):
        pairs_in(made.folder, missing=missing)


# gradients


@pytest.mark.parametrize("chunk", [100, 1])
@pytest.mark.parametrize(("freeze", "learn_norms"), [(0, True), (1, True), (0, False), (2, False)])
@pytest.mark.parametrize("projected", [False, True])
def test_the_gradient_is_that_of_autograd(chunk, freeze, learn_norms, projected):
    model = tiny()
    if projected:
        model.projection = Projection(torch.randn(7, 10), torch.randn(7))
    model.backbone.freeze(freeze)
    for pair in model.backbone.normalised():
        if not learn_norms:
            pair.norm.requires_grad_(False)
    photos = np.random.default_rng(0).integers(0, 256, (6, 20, 24, 3), np.uint8)
    tuples = [[0, 1, 2, 3], [2, 4, 0, 1], [5, 4, 3, 2]]  # photos shared between tuples

    def loss(descriptors, placed):
        places = torch.tensor([members for _, members in placed])
        return tuple_loss(descriptors, places, "contrastive", 1.2)

    with Workers(2) as workers:
        gradient = Gradient(model, workers, 32)
        gradient._photos = chunk
        value = gradient.accumulate([[(row, lambda row=row: photos[row]) for row in members] for members in tuples], loss)
    learning = {key: weight for key, weight in model.named_parameters() if weight.requires_grad}
    found = {key: weight.grad.clone() for key, weight in learning.items()}
    assert all(weight.grad is None for key, weight in model.named_parameters() if key not in learning)
    descriptors = torch.cat([model(model.pixels(photo)) for photo in photos])
    expected = tuple_loss(descriptors, torch.tensor(tuples), "contrastive", 1.2)
    assert value == pytest.approx(float(expected.detach()), rel=1e-5)
    for key, plain in zip(learning, torch.autograd.grad(expected, list(learning.values())), strict=True):
        assert plain.any()
        torch.testing.assert_close(found[key], plain, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("kind", OVER_THE_BATCH)
def test_a_loss_over_the_batch_does_not_depend_on_how_many_photos_fit_into_memory(kind):
    model, photos = tiny(), np.random.default_rng(0).integers(0, 256, (6, 20, 24, 3), np.uint8)
    tuples, pairs = [[0, 1, 2, 3], [4, 2, 0, 1]], torch.tensor([[0, 1], [4, 2]])
    negatives = torch.tensor([[0, 0, 1, 1, 1], [1, 1, 0, 0, 0]]).bool()
    found, calls = {}, []
    with Workers(2) as workers:
        for chunk in (100, 2, 1):
            gradient = Gradient(model, workers, 32, over_batch=True)
            gradient._photos = chunk
            value = gradient.accumulate(
                [[(row, lambda row=row: photos[row]) for row in members] for members in tuples],
                lambda descriptors, placed: calls.append(placed) or batch_loss(descriptors, pairs, negatives, kind, 0.1),
            )
            found[chunk] = [torch.tensor(value), *(weight.grad.clone() for weight in model.parameters())]
    assert calls == [[(0, [0, 1, 2, 3]), (1, [4, 2, 0, 1])]] * 3
    descriptors = torch.cat([model(model.pixels(photo)) for photo in photos[:5]])
    expected = batch_loss(descriptors, pairs, negatives, kind, 0.1)
    plain = torch.autograd.grad(expected, list(model.parameters()))
    for whole, two, one, value in zip(found[100], found[2], found[1], [expected, *plain], strict=True):
        assert torch.equal(whole, two) and torch.equal(whole, one) and value.any()
        torch.testing.assert_close(whole, value.detach(), rtol=1e-3, atol=1e-5)


def test_feature_distillation_pulls_towards_the_starting_network():
    start = torch.nn.functional.normalize(torch.rand(6, 10), dim=1)
    rows = {name: np.array(value) for name, value in {"query": [0], "positive": [2], "photo": [[4, -1]]}.items()}
    photos = SimpleNamespace(load=lambda row: row)
    members, found = [(0, [0, 1, 2])], torch.nn.functional.normalize(torch.rand(3, 10), dim=1)
    values = []
    for weight in (0.0, 3.0):
        settings = Settings(negatives=2, feature_distillation=weight)
        _, loss = TupleLoader(photos, settings, 0, start if weight else None, None).make(rows, range(1), 1)
        values.append(float(loss(found, members)))
    assert values[1] - values[0] == pytest.approx(3 * float(((found - start[[0, 2, 4]]) ** 2).sum()), rel=1e-5)


def test_the_pull_does_not_depend_on_how_many_photos_fit_into_memory(made, tmp_path):
    """Photos 0, 1 and 2 are in both tuples, and 20 is there with a copy of itself."""
    photos, model = PhotoCache(tmp_path, made.paths, [], IMAGENET, 32, 1, "key"), tiny()
    tuples = {"query": np.array([0, 1, 20]), "positive": np.array([1, 2, 20]), "photo": np.array([[2, 5], [0, -1], [2, 0]])}
    start, found = functional.normalize(torch.rand(PHOTOS, 10), dim=1), {}
    with Workers(1) as workers:
        for chunk in (100, 1):
            gradient = Gradient(model, workers, 32)
            gradient._photos = chunk
            batches = TupleLoader(photos, Settings(negatives=2, feature_distillation=0.7, image_size=32), 0, start, None)
            value = gradient.accumulate(*batches.make(tuples, range(3), 1))
            found[chunk] = [torch.tensor(value), *(weight.grad.clone() for weight in model.parameters())]
    for whole, alone in zip(found[100], found[1], strict=True):
        torch.testing.assert_close(whole, alone, rtol=1e-4, atol=1e-5)


def test_averages_and_points_between():
    model, other = tiny(0), tiny(1)
    average = moving_average(other, 0.9)
    average.update_parameters(model)
    mean = average.module.state_dict()
    torch.testing.assert_close(mean["backbone.conv1.weight"], 0.9 * other.backbone.conv1.weight + 0.1 * model.backbone.conv1.weight)
    middle = interpolate(other.state_dict(), model.state_dict(), 0.25)
    torch.testing.assert_close(middle["pooling.p"], model.pooling.p)
    torch.testing.assert_close(middle["backbone.bn1.bias"], torch.lerp(other.backbone.bn1.bias, model.backbone.bn1.bias, 0.25))
    assert interpolate(other.state_dict(), mean, 1.0) is mean
    without = moving_average(other, 0.0)
    without.update_parameters(model)
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in without.module.state_dict().items())


@pytest.mark.parametrize("decay", [0.5, 0.9, 0.999])
def test_an_average_stays_where_it_is_while_the_weights_do(decay):
    model = tiny()
    average = moving_average(model, decay)
    for _ in range(5):
        average.update_parameters(model)
    for name, value in average.module.state_dict().items():
        assert torch.equal(value, model.state_dict()[name])


def test_rates():
    settings = Settings(learning_rate=1e-3, lr_decay=0.5, optimiser="sgd")
    optimiser = make_optimiser(tiny(), settings)
    schedule = make_schedule(optimiser, settings)
    for epoch in (1, 2, 3):
        assert [group["lr"] for group in optimiser.param_groups] == pytest.approx(np.array([1e-3, 1e-2]) * np.exp(-0.5 * (epoch - 1)))
        optimiser.step()
        schedule.step()


def test_a_projection_learns_like_the_backbone():
    settings, layer = Settings(learning_rate=1e-3, weight_decay=0.1), Projection(torch.ones(7, 10), torch.ones(7))
    model = RetrievalNetwork("tiny", "mac", projection=layer)
    [group] = make_optimiser(model, settings).param_groups
    assert {id(weight) for weight in group["params"]} == {id(weight) for weight in model.parameters()}
    layer.requires_grad_(False)
    [group] = make_optimiser(model, settings).param_groups
    assert {id(weight) for weight in group["params"]} == {id(weight) for weight in model.backbone.parameters()}


def test_exponents_of_channels_learn_faster_and_do_not_decay():
    settings = Settings(learning_rate=1e-3, weight_decay=0.1)
    groups = make_optimiser(RetrievalNetwork("tiny", "gemmp"), settings).param_groups
    assert [(group["lr"], group["weight_decay"]) for group in groups] == [(1e-3, 0.1), (pytest.approx(0.1), 0.0)]
    assert len(make_optimiser(RetrievalNetwork("tiny", "rmac"), settings).param_groups) == 1


# whole runs


@pytest.fixture(scope="module")
def undisturbed(made, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    return SimpleNamespace(folder=folder, bytes=train(made, folder))


def test_what_a_history_tells(made, undisturbed):
    curve = history(undisturbed.folder)
    assert curve["epoch"].tolist() == [0, 1, 2] and len(curve["loss"]) == 2 and len(curve["validation_map"]) == 3
    assert curve["validation_map"][curve["chosen"]] == curve["validation_map"].max()
    assert curve["negatives/photo"].shape == (2, 9, 2)
    exemplar = curve["negatives/query"] >= 16
    assert exemplar.sum(1).tolist() == [1, 1] and (curve["negatives/positive"] == curve["negatives/query"])[exemplar].all()
    query, photo = curve["negatives/query"][..., None], curve["negatives/photo"]
    given = photo >= 0
    assert given.any() and (made.side[photo[given]] == 1).all()
    related = (made.group[photo] == made.group[query]) | ((made.cluster[photo] == made.cluster[query]) & (made.cluster[query] >= 0))
    assert not (related & given).any() and (made.group[photo[given]] >= 0).all()
    assert (made.group[curve["negatives/positive"]] == made.group[curve["negatives/query"]]).all()


class Killed(BaseException):
    pass


def kill(*_):
    raise Killed


@pytest.mark.parametrize(
    ("owner", "name", "call"),
    [
        ("gradient", "accumulate", 1),
        ("gradient", "accumulate", 3),
        ("gradient", "accumulate", 5),
        ("trainer", "_validate_and_mine", 1),
        ("trainer", "_validate_and_mine", 2),
        ("train", "_write", 1),
    ],
)
def test_a_killed_run_goes_on_to_the_same_bytes(made, undisturbed, tmp_path, monkeypatch, owner, name, call):
    owner = {"gradient": Gradient, "trainer": trainer_module.Trainer, "train": train_module}[owner]
    original, calls = getattr(owner, name), []

    def kill(*arguments):
        calls.append(name)
        if len(calls) == call:
            raise Killed
        return original(*arguments)

    monkeypatch.setattr(checkpoint, "_SAVE_EVERY", 0.0)
    monkeypatch.setattr(owner, name, kill)
    with pytest.raises(Killed):
        train(made, tmp_path)
    assert not (tmp_path / "network.h5").exists()
    steps = []
    add = Gradient.accumulate if owner is not Gradient else original
    monkeypatch.setattr(owner, name, original)
    monkeypatch.setattr(Gradient, "accumulate", lambda *arguments: steps.append(1) or add(*arguments))
    assert train(made, tmp_path) == undisturbed.bytes
    validated = {("_validate_and_mine", 1): 0, ("_validate_and_mine", 2): 3}
    done = ({("accumulate", 1): 0, ("accumulate", 3): 2, ("accumulate", 5): 4, ("_write", 1): 6} | validated)[name, call]
    assert len(steps) == 6 - done  # nothing is done twice


def test_a_damaged_or_foreign_checkpoint_is_not_used(made, undisturbed, tmp_path):
    (tmp_path / "state").mkdir()
    (tmp_path / "state/checkpoint").write_bytes(b"damaged")
    assert train(made, tmp_path) == undisturbed.bytes


def left_in_state(out):
    return sorted(path.relative_to(out / "state").as_posix() for path in (out / "state").rglob("*") if path.is_file())


@pytest.fixture
def steps(monkeypatch):
    """Grows by one with every training step."""
    found, add = [], Gradient.accumulate
    monkeypatch.setattr(Gradient, "accumulate", lambda *arguments: found.append(1) or add(*arguments))
    return found


@pytest.mark.parametrize("changes", [{}, {"optimiser": "sgd", "ema_decay": 0, "augmentation": "light"}, {"test": {"image_size": 40}}])
@pytest.mark.parametrize("validated", [True, False])
def test_a_finished_training_that_gets_more_epochs_goes_on_to_the_same_bytes(made, unvalidated, tmp_path, steps, validated, changes):
    inputs, changes = made if validated else unvalidated, changes | {"resample_positives": False}
    for name in ("whole", "grown"):
        (tmp_path / name).mkdir()
    whole = train(inputs, tmp_path / "whole", **changes | {"epochs": 4})
    found = train(inputs, tmp_path / "grown", **changes)
    assert left_in_state(tmp_path / "grown") == ["checkpoint"] and found != whole
    del steps[:]
    assert train(inputs, tmp_path / "grown", **changes | {"epochs": 4, "interpolation": [0.5]}) != whole
    assert len(steps) == 6, "two of four epochs"
    assert train(inputs, tmp_path / "grown", **changes | {"epochs": 4}) == whole
    assert len(steps) == 6, "another interpolation needs no training"


def test_a_training_that_was_killed_goes_on_with_another_number_of_epochs(made, undisturbed, tmp_path, monkeypatch, steps):
    monkeypatch.setattr(checkpoint, "_SAVE_EVERY", 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(trainer_module.Trainer, "_validate_and_mine", stop_in(2))
        with pytest.raises(Killed):
            train(made, tmp_path, epochs=4)
    assert train(made, tmp_path) == undisturbed.bytes and len(steps) == 6


def stop_in(epoch):
    """`Trainer._validate_and_mine` that is killed in an epoch."""
    original = trainer_module.Trainer._validate_and_mine

    def validate(trainer):
        if trainer._epoch == epoch:
            raise Killed
        original(trainer)

    return validate


def test_fewer_epochs_than_were_done_start_again(made, undisturbed, tmp_path, steps):
    train(made, tmp_path, epochs=4)
    assert train(made, tmp_path) == undisturbed.bytes and len(steps) == 18
    del steps[:]
    train(made, tmp_path, epochs=0)
    assert history(tmp_path)["chosen"] == 0 and same_weights(made, tmp_path)
    assert train(made, tmp_path) == undisturbed.bytes and steps == []


@pytest.mark.parametrize("changed", ["settings", "seed", "photos", "pairs", "start", "code"])
def test_any_other_change_starts_again(made, tmp_path, monkeypatch, steps, changed):
    inputs = {name: made.folder / name for name in (*PAIRS, "collection.h5", "start.h5")}
    seed, settings = 7, SETTINGS
    train(made, tmp_path)
    del steps[:]
    if changed == "settings":
        settings = SETTINGS | {"learning_rate": 2e-3}
    elif changed == "seed":
        seed = 8
    elif changed == "photos":
        inputs["collection.h5"] = tmp_path / "collection.h5"
        artefact.write(tmp_path / "collection.h5", "collection", {"path": made.paths, "sha256": np.zeros((PHOTOS, 32), np.uint8)})
    elif changed == "pairs":
        put_changed(made, tmp_path, doubt=[[0, 8]])
        inputs |= {name: tmp_path / name for name in PAIRS}
    elif changed == "start":
        inputs["start.h5"] = tmp_path / "start.h5"
        save_network(tmp_path / "start.h5", tiny(1))
    else:
        monkeypatch.setattr(train_module, "digest", lambda _: "other")
    outputs, found = [], []
    for folder in (tmp_path, tmp_path / "anew"):
        folder.mkdir(exist_ok=True)
        outputs = [folder / "network.h5", folder / "history.h5"]
        train_experiment(*inputs.values(), *outputs, folder / "state", settings | {"epochs": 3}, seed, 1)
        found.append([path.read_bytes() for path in outputs])
    assert len(steps) == 2 * 9 and found[0] == found[1]


def test_nothing_of_a_damaged_checkpoint_is_read(tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO")
    checkpoint = Checkpoint(tmp_path, "key")
    checkpoint.save({"weights": {"a": torch.arange(300.0), "b": torch.zeros(3)}, "position": [1, 2, 0.5]})
    assert checkpoint.load()["weights"]["a"].tolist() == list(range(300)) and checkpoint.load()["position"] == [1, 2, 0.5]
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("it was read"))
    whole = (tmp_path / "checkpoint").read_bytes()
    places = [*range(0, len(whole), 97), len(whole) - 1]
    damaged = [whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1 :] for place in places]
    for content in [*damaged, *(whole[:size] for size in places), whole + b"\0"]:
        (tmp_path / "checkpoint").write_bytes(content)
        assert checkpoint.load() is None
    assert "starting from the first epoch" in caplog.text
    (tmp_path / "checkpoint").write_bytes(whole)
    assert Checkpoint(tmp_path, "other").load() is None
    assert Checkpoint(tmp_path / "none", "key").load() is None


def test_threads_do_not_change_a_byte(made, undisturbed, tmp_path):
    assert train(made, tmp_path, threads=2) == undisturbed.bytes


@pytest.mark.parametrize("loss", OVER_THE_BATCH)
def test_a_training_over_batches_is_the_same_with_more_threads_and_after_a_kill(made, undisturbed, tmp_path, monkeypatch, loss):
    folders = [tmp_path / name for name in ("whole", "killed", "fewer")]
    for folder in folders:
        folder.mkdir()
    changes = {"loss": loss, "batch": 5, "feature_distillation": 0.1, "augmentation": "light"}
    whole = train(made, folders[0], **changes)
    monkeypatch.setattr(checkpoint, "_SAVE_EVERY", 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(trainer_module.Trainer, "_validate_and_mine", stop_in(1))
        with pytest.raises(Killed):
            train(made, folders[1], threads=2, **changes)
    assert train(made, folders[1], threads=2, **changes) == whole
    assert history(folders[0])["loss"].tolist() != history(undisturbed.folder)["loss"].tolist()
    monkeypatch.setattr(gradient_module, "_GRAPH_BYTES", 1)
    assert train(made, folders[2], **changes) == whole, "one photo in memory at a time"


@pytest.mark.gpu
def test_training_on_a_gpu_gives_the_same_bytes_twice_also_after_a_kill(made, tmp_path, monkeypatch):
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    whole = train(made, tmp_path / "whole", device="cuda", feature_distillation=0.1)
    with monkeypatch.context() as patch:
        patch.setattr(train_module, "_write", kill)
        with pytest.raises(Killed):
            train(made, tmp_path / "killed", device="cuda", feature_distillation=0.1)
    assert train(made, tmp_path / "killed", device="cuda", feature_distillation=0.1) == whole


def same_weights(made, out):
    start, found = weights(made.folder / "start.h5"), weights(out / "network.h5")
    return all(np.array_equal(start[key], found[key]) for key in start)


def test_the_untrained_network_can_win(made, tmp_path, undisturbed):
    train(made, tmp_path, learning_rate=0)
    assert history(tmp_path)["chosen"] == 0 and same_weights(made, tmp_path)
    curve = history(undisturbed.folder)
    assert same_weights(made, undisturbed.folder) == (curve["chosen"] == 0)


def average_precision(path, made, query):
    """AP of a photo of model 4 that asks for the other three among all that may be used, by the network in a file."""
    model = load_network(path)
    with torch.no_grad():
        found = torch.cat([model(model.pixels(np.asarray(Image.open(made.paths[row])))) for row in np.flatnonzero(made.group >= 0)])
    order = [row for row in (-(found @ found[query])).argsort(stable=True).tolist() if row != query]
    right = [place for place, row in enumerate(order) if made.group[row] == made.group[query]]
    return 100 * np.mean([((n / place if place else 1) + (n + 1) / (place + 1)) / 2 for n, place in enumerate(right)])


@pytest.mark.parametrize("ema_decay", [0, 0.9])
def test_the_network_kept_is_the_one_that_validated_better(made, tmp_path, ema_decay):
    """The scores in the history are those of the networks in the files, computed anew from the photos."""
    train(made, tmp_path, epochs=3, ema_decay=ema_decay, learning_rate=0.02, interpolation=[1.0])
    curve = history(tmp_path)
    start, kept = (
        [average_precision(path, made, query) for query in range(16, 20)] for path in (made.folder / "start.h5", tmp_path / "network.h5")
    )
    assert curve["chosen"] > 0 and not same_weights(made, tmp_path)
    assert curve["validation_map"][0] == curve["tried/validation_map"][0] == pytest.approx(np.mean(start), abs=1e-3)
    assert curve["validation_map"].max() == curve["validation_map"][curve["chosen"]] == pytest.approx(np.mean(kept), abs=1e-3)
    assert np.mean(kept) > np.mean(start)


def described_average_precision(made, path, size, scales):
    """mAP of the photos of model 4 among all that may be used, described by the network in a file at a size and at scales."""
    model, rows = load_network(path), np.flatnonzero(made.group >= 0)
    found = np.stack([describe_photo(model, model.input.load(made.paths[row], size), scales) for row in rows])
    scores = []
    for query in range(16, 20):
        order = [row for row in np.argsort(-(found @ found[query]), kind="stable").tolist() if row != query]
        right = [place for place, row in enumerate(order) if made.group[row] == made.group[query]]
        scores.append(100 * np.mean([((n / place if place else 1) + (n + 1) / (place + 1)) / 2 for n, place in enumerate(right)]))
    return np.mean(scores)


@pytest.mark.parametrize(("size", "scales"), [(0, (1.0, 0.5)), (48, (1.0,)), (12, (1.0,)), (12, (1.0, 2.0))])
def test_validation_describes_photos_as_at_test_time(made, tmp_path, monkeypatch, size, scales):
    """And negatives are mined by descriptors of the size of the training: the same as with other settings for the test."""
    monkeypatch.setattr("bow2cnn.config.experiment._SMALLEST", 1)
    train(made, tmp_path, learning_rate=0.02, interpolation=[1.0])
    there, plain = tmp_path / "test", history(tmp_path)
    there.mkdir()
    train(made, there, learning_rate=0.02, interpolation=[1.0], test={"image_size": size, "scales": list(scales)})
    curve = history(there)
    for name in ("loss", "negatives/photo", "negatives/similarity"):
        np.testing.assert_array_equal(curve[name], plain[name])
    start, kept = (described_average_precision(made, path, size or 32, scales) for path in (made.folder / "start.h5", there / "network.h5"))
    assert curve["validation_map"][0] == curve["tried/validation_map"][0] == pytest.approx(start, abs=1e-3)
    assert curve["tried/validation_map"][curve["tried/chosen"]] == pytest.approx(kept, abs=1e-3)
    if size == 48:  # photos of 32 pixels are never enlarged
        assert curve["validation_map"].tolist() == plain["validation_map"].tolist()
    else:
        assert curve["validation_map"].tolist() != plain["validation_map"].tolist()
    assert left_in_state(there) == ["checkpoint"]


def test_a_training_with_another_size_at_test_time_goes_on(made, tmp_path, monkeypatch):
    """Killed before its end it has the same bytes; the photos of both sizes are found again."""
    changes = {"test": {"image_size": 40, "scales": [1.0, 0.5]}}
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    whole = train(made, tmp_path / "whole", **changes)
    with monkeypatch.context() as patch:
        patch.setattr(train_module, "_write", kill)
        with pytest.raises(Killed):
            train(made, tmp_path / "killed", **changes)
    found = sorted(path.relative_to(tmp_path / "killed/state").as_posix() for path in (tmp_path / "killed/state").rglob("photos.bin"))
    assert found == ["40px/photos.bin", "photos.bin"]
    monkeypatch.setattr(input_module, "read_rgb", None)
    assert train(made, tmp_path / "killed", **changes) == whole


def scored(monkeypatch, out, scores):
    """Validation of a new training by these mAP in turn: every epoch, then the interpolations.

    All queries have the same AP, so no mean has an error.
    """
    scores = iter(scores)
    shutil.rmtree(out / "state", ignore_errors=True)
    monkeypatch.setattr(trainer_module, "validation_scores", lambda *_: np.full(4, next(scores)))


def test_an_epoch_is_not_validated_twice(made, tmp_path, monkeypatch):
    """The network at the end of the way from the start to the best epoch is that of the epoch."""
    labels = []
    real = trainer_module.describe_photos
    monkeypatch.setattr(trainer_module, "describe_photos", lambda *arguments: labels.append(arguments[-1]) or real(*arguments))
    train(made, tmp_path, epochs=1, learning_rate=0.02, interpolation=[0.5, 1.0, 1.5])
    assert labels == [f"descriptors, {of}" for of in ("start", "epoch 1", "interpolation 0.5", "interpolation 1.5")]
    tried = history(tmp_path)
    assert tried["tried/share"].tolist() == [0, 0.5, 1, 1.5] and tried["tried/validation_map"][2] == tried["validation_map"][1]
    assert tried["tried/error"][2] > 0


def test_validation_decides(made, tmp_path, monkeypatch):
    scored(monkeypatch, tmp_path, [50.0, 40.0, 30.0, 50.0, 40.0])
    train(made, tmp_path, interpolation=[1.0])
    assert history(tmp_path)["chosen"] == 0 and same_weights(made, tmp_path)
    assert history(tmp_path)["tried/validation_map"].tolist() == [50, 40] and history(tmp_path)["tried/chosen"] == 0
    scored(monkeypatch, tmp_path, [50.0, 60.0, 30.0, 50.0, 60.0])
    train(made, tmp_path, interpolation=[1.0])
    assert history(tmp_path)["chosen"] == 1 and not same_weights(made, tmp_path)


def test_without_validation_the_last_is_kept(made, tmp_path, monkeypatch):
    monkeypatch.setattr(trainer_module, "validation_scores", lambda *_: np.zeros(0))
    train(made, tmp_path, interpolation=[1.0])
    assert history(tmp_path)["chosen"] == 2 and history(tmp_path)["tried/share"][history(tmp_path)["tried/chosen"]] == 1
    assert not same_weights(made, tmp_path)


def test_an_average_with_a_decay_of_one_never_moves(made, tmp_path):
    train(made, tmp_path, ema_decay=1.0)
    assert len(set(history(tmp_path)["validation_map"].tolist())) == 1 and same_weights(made, tmp_path)


def test_the_smallest_alpha_among_equals_is_kept(made, tmp_path, monkeypatch):
    scored(monkeypatch, tmp_path, [1.0, 3.0, 1.0, 3.0])
    train(made, tmp_path, epochs=1, interpolation=[1.0])
    start, learned = weights(made.folder / "start.h5"), weights(tmp_path / "network.h5")
    scored(monkeypatch, tmp_path, [1.0, 3.0, 1.0, 2.0, 3.0, 3.0])
    train(made, tmp_path, epochs=1, interpolation=[1.0, 0.25, 0.5])
    middle, tried = weights(tmp_path / "network.h5"), history(tmp_path)
    assert tried["tried/share"].tolist() == [0.0, 0.25, 0.5, 1.0] and tried["tried/chosen"] == 2
    assert tried["tried/error"].tolist() == [0.0] * 4
    for key, value in middle.items():
        np.testing.assert_allclose(value, start[key] + 0.5 * (learned[key] - start[key]), atol=1e-6)


def test_the_nearest_network_within_one_standard_error_is_good():
    def around(mean):
        return np.array([mean - 2, mean, mean, mean + 2]) * 1.0

    assert error_of(around(50)) == pytest.approx(np.sqrt(8 / 3) / 2)
    assert one_standard_error_choice([around(50), around(53), around(54), around(54.5)]) == 2
    assert one_standard_error_choice([around(50), around(53.8), around(54), around(54.5)]) == 1
    assert one_standard_error_choice([around(50), around(49.9), around(50.5)]) == 2, "nothing below the start"
    assert one_standard_error_choice([around(50), around(50), around(49)]) == 0, "no gain"
    assert one_standard_error_choice([np.array([50.0]), np.array([51.0]), np.array([52.0])]) == 2, "one query has no error"
    assert one_standard_error_choice([np.zeros(0)] * 3) == 2


def test_the_p_of_an_epoch_is_that_of_the_network_validated(made, tmp_path, monkeypatch):
    scored(monkeypatch, tmp_path, [1.0, 2.0, 3.0, 1.0, 3.0])
    train(made, tmp_path, interpolation=[1.0], learning_rate=1e-2)
    curve = history(tmp_path)
    assert curve["chosen"] == 2 and curve["pooling_p"][0] == 3.0
    assert float(load_network(tmp_path / "network.h5").pooling.p.detach()) == pytest.approx(curve["pooling_p"][2], abs=1e-6)


def test_a_p_of_each_channel_is_learned_and_noted_as_their_mean(made, tmp_path, monkeypatch):
    """The start has one p, which all channels start with."""
    scored(monkeypatch, tmp_path, [1.0, 2.0, 3.0, 1.0, 3.0])
    train(made, tmp_path, pooling="gemmp", interpolation=[1.0], learning_rate=1e-3)
    curve, p = history(tmp_path), load_network(tmp_path / "network.h5").pooling.p.detach()
    assert curve["pooling_p"][0] == 3.0 and p.shape == (10,) and p.unique().numel() > 1
    assert curve["pooling_p"][2] == pytest.approx(float(p.mean()), abs=1e-6)


@pytest.fixture(scope="module")
def start_projection(tmp_path_factory):
    """A whitening for the tiny network: the artefact, and its arrays."""
    generator = np.random.default_rng(0)
    arrays = {"mean": generator.normal(0, 0.1, 10).astype(np.float32), "projection": generator.normal(0, 1, (7, 10)).astype(np.float32)}
    path = tmp_path_factory.mktemp("projection") / "projection.h5"
    artefact.write(path, "whitening", arrays)
    return SimpleNamespace(path=path, **arrays)


def test_an_untrained_projection_is_the_whitening(made, tmp_path, start_projection):
    train(made, tmp_path, start_projection=start_projection.path, projection="pca", epochs=0)
    photo = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    plain, found = (describe_photo(load_network(path), photo) for path in (made.folder / "start.h5", tmp_path / "network.h5"))
    np.testing.assert_allclose(found, apply(plain[None], start_projection.mean, start_projection.projection)[0], atol=1e-5)


@pytest.mark.parametrize("trained", [True, False])
def test_a_projection_is_trained_or_not(made, tmp_path, monkeypatch, start_projection, trained):
    scored(monkeypatch, tmp_path, [1.0, 2.0, 3.0, 1.0, 3.0])
    train(
        made, tmp_path, start_projection=start_projection.path, projection="learned", train_projection=trained, interpolation=[1.0]
    )  # fmt: skip
    before, after = weights(made.folder / "start.h5"), weights(tmp_path / "network.h5")
    assert (before["backbone.conv1.weight"] != after["backbone.conv1.weight"]).any()
    assert (after["projection.weight"] != start_projection.projection).any() == trained
    bias = -start_projection.projection @ start_projection.mean
    assert np.allclose(after["projection.bias"], bias, atol=1e-6) != trained


def test_a_killed_training_of_a_projection_goes_on_to_the_same_bytes(made, tmp_path, monkeypatch, start_projection):
    options = {"start_projection": start_projection.path, "projection": "pca"}
    (tmp_path / "whole").mkdir()
    (tmp_path / "killed").mkdir()
    whole = train(made, tmp_path / "whole", **options)
    with monkeypatch.context() as patch:
        patch.setattr(train_module, "_write", kill)
        with pytest.raises(Killed):
            train(made, tmp_path / "killed", **options)
    steps = []
    monkeypatch.setattr(Gradient, "accumulate", lambda *_: steps.append(1))
    assert train(made, tmp_path / "killed", **options) == whole and not steps


def test_a_projection_that_cannot_start_is_one_line(made, tmp_path):
    with pytest.raises(TrainingError, match=r"^settings: projection pca needs a whitening to start with$"):
        train(made, tmp_path, projection="pca")
    artefact.write(tmp_path / "w.h5", "whitening", {"mean": np.zeros(3, np.float32), "projection": np.eye(3, dtype=np.float32)})
    with pytest.raises(NetworkError, match=r"^network tiny: its projection takes 3 dimensions, not 10$"):
        train(made, tmp_path, projection="pca", start_projection=tmp_path / "w.h5")


@pytest.fixture(scope="module")
def unvalidated(made, tmp_path_factory):
    """The same without a validation query, as a database with an empty validation part gives it."""
    folder = tmp_path_factory.mktemp("unvalidated")
    put_changed(made, folder, side=np.where(made.side == 2, 0, made.side))
    for name in ("collection.h5", "start.h5"):
        (folder / name).symlink_to(made.folder / name)
    return SimpleNamespace(folder=folder)


@pytest.mark.parametrize("changes", [{}, {"ema_decay": 0}, {"epochs": 1, "batch": 99}, {"epochs": 1, "batch": 99, "ema_decay": 0}])
@pytest.mark.parametrize("validated", [True, False])
def test_a_training_that_diverges_keeps_the_start_and_says_so(made, unvalidated, tmp_path, caplog, validated, changes):
    """In the loss, or with one step only in the descriptors after it."""
    caplog.set_level("INFO")
    inputs = made if validated else unvalidated
    train(inputs, tmp_path, learning_rate=1e6, optimiser="sgd", **changes)
    assert same_weights(made, tmp_path) and not (tmp_path / "state").exists()
    curve = history(tmp_path)
    assert curve["diverged"] == 1 and curve["chosen"] == 0 and curve["tried/share"].tolist() == [0]
    assert len(curve["loss"]) == len(curve["negatives/query"]) == 1 and len(curve["validation_map"]) == len(curve["pooling_p"]) == 2
    assert np.isfinite(curve["validation_map"][0]) == validated and np.isnan(curve["validation_map"][1])
    [line] = [record.getMessage() for record in caplog.records if "diverged" in record.getMessage()]
    assert line.startswith("training: diverged in epoch 1 (") and "the network it started from is kept" in line
    messages = "\n".join(record.getMessage() for record in caplog.records)
    assert "nan" not in messages and "-1.00" not in messages and "no epoch validated better" not in messages


def test_a_training_whose_descriptors_collapse_keeps_the_start_and_says_so(made, tmp_path, caplog):
    """The loss stays finite, and validation of nearly equal descriptors may even be better by chance."""
    model = RetrievalNetwork("efficientnet-lite0")
    load_weights(model, None)
    save_network(tmp_path / "start.h5", model)
    inputs = [*(made.folder / name for name in (*PAIRS, "collection.h5")), tmp_path / "start.h5"]
    changes = {"network": "efficientnet-lite0", "epochs": 1, "learning_rate": 1.0, "optimiser": "sgd"}
    train_experiment(*inputs, tmp_path / "network.h5", tmp_path / "history.h5", tmp_path / "state", SETTINGS | changes, 7, 1)
    start, found, curve = weights(tmp_path / "start.h5"), weights(tmp_path / "network.h5"), history(tmp_path)
    assert all(np.array_equal(found[name], start[name]) for name in start) and not (tmp_path / "state").exists()
    assert curve["diverged"] == 1 and np.isfinite(curve["loss"]).all()
    [line] = [record.getMessage() for record in caplog.records if "diverged" in record.getMessage()]
    assert "all descriptors are nearly the same" in line and "try a smaller learning_rate" in line and "\n" not in line


def test_only_descriptors_much_closer_than_at_the_start_have_collapsed():
    start = functional.normalize(torch.randn(50, 8), dim=1).numpy()
    centre = start.mean(0)
    assert find_collapse(centre + 0.11 * (start - centre), start) is None
    assert find_collapse(centre + 0.09 * (start - centre), start).startswith("all descriptors are nearly the same: their variance is ")
    assert find_collapse(np.repeat(start[:1], 50, 0), np.repeat(start[:1], 50, 0)) is None, "as at the start"
    same = np.repeat(start[:1], 5, 0)
    assert find_collapse(same[:3], start[:3]) is None and find_collapse(same[:4], start[:4])
    same[:2] = 0
    assert find_collapse(same, start[:5]) is None, "three photos with a descriptor"


def test_a_start_that_overflows_is_one_line(made, tmp_path):
    model = tiny()
    with torch.no_grad():
        for weight in model.backbone.parameters():
            weight.mul_(1e20)
    save_network(tmp_path / "start.h5", model)
    with pytest.raises(
        TrainingError, match=r"the network to start from overflows or is damaged: .* descriptors are not numbers; take other"
    ):
        train_experiment(*(made.folder / name for name in (*PAIRS, "collection.h5")), tmp_path / "start.h5",
                         tmp_path / "n.h5", tmp_path / "h.h5", tmp_path / "state", SETTINGS, 7, 1)  # fmt: skip


def test_pairs_of_two_places_are_reported(made, tmp_path, caplog):
    """As databases of other programs have them: one pair across two classes, or every photo a class of its own."""
    pools = [{"photo": np.array([1, 2, 8])}, *({"photo": pool["photo"]} for pool in made.found.pools[1:])]
    put_changed(made, tmp_path, pools)
    assert pairs_in(tmp_path).pools[0]["photo"].tolist() == [1, 2]
    assert "1 of 48 pairs of a training query and a positive join two places (in a database: two clusters) and are left out" in caplog.text
    put_changed(made, tmp_path, pools, place=np.arange(PHOTOS), cluster=np.arange(PHOTOS))
    with pytest.raises(TrainingError, match=r"48 of 48 pairs of a training query and a positive join two places .* nothing to train on"):
        pairs_in(tmp_path)


# photos and settings


@pytest.mark.parametrize("augmentation", ["none", "light"])
def test_a_photo_that_vanishes_during_training_is_grey(augmentation, tmp_path):
    photos = PhotoCache(tmp_path, [tmp_path / "gone.jpg"] * 3, [], IMAGENET, 32, 1, "key")
    tuples = {"query": np.array([0]), "positive": np.array([1]), "photo": np.array([[2, -1]])}
    loads, _ = TupleLoader(photos, Settings.of({"image_size": 32, "augmentation": augmentation}), 0, None, None).make(tuples, [0], 1)
    assert [len(np.unique(load())) for _, load in loads[0]] == [1, 1, 1]


def test_only_photos_that_are_used_are_read(made, tmp_path, monkeypatch, undisturbed):
    """Photos 24 and 25 are in no place: they are neither decoded nor described."""
    opened, described = [], []
    read = input_module.read_rgb
    monkeypatch.setattr(input_module, "read_rgb", lambda path, *more: opened.append(path) or read(path, *more))
    real = trainer_module.describe_photos
    monkeypatch.setattr(
        trainer_module, "describe_photos", lambda net, loads, *more: described.append(len(loads)) or real(net, loads, *more)
    )
    assert train(made, tmp_path) == undisturbed.bytes
    assert opened == made.paths[:24] and max(described) == 24


@pytest.mark.parametrize("augmentation", ["none", "light"])
def test_a_training_decodes_a_photo_once_per_size(made, tmp_path, monkeypatch, augmentation):
    """In mining, tuples and validation of all epochs together; validation has a size of its own."""
    opened = Counter()
    read = input_module.read_rgb
    monkeypatch.setattr(input_module, "read_rgb", lambda path, side: opened.update([(path, side // 2)]) or read(path, side))
    train(made, tmp_path, 2, epochs=3, augmentation=augmentation, test={"image_size": 40, "scales": [1.0, 0.5]})
    assert history(tmp_path)["negatives/query"].shape[0] == 3
    assert opened == Counter((path, size) for path in made.paths[:24] for size in (32, 40))


def test_photos_are_kept_and_found_again(made, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no photo")
    paths = [*made.paths[:3], str(tmp_path / "bad.png")]
    for limit in (2**20, 3000):  # one photo has 2304 bytes
        cache = PhotoCache(tmp_path / f"{limit}", paths, [0, 2, 3], IMAGENET, 32, 1, "key", limit)
        assert cache.missing.tolist() == [False, False, False, True]
        for row in range(3):
            np.testing.assert_array_equal(cache[row], np.asarray(Image.open(paths[row])))
    time = (tmp_path / "3000/photos.bin").stat().st_mtime_ns
    assert PhotoCache(tmp_path / "3000", paths, [0, 2, 3], IMAGENET, 32, 1, "key", 3000).missing[3]
    assert (tmp_path / "3000/photos.bin").stat().st_mtime_ns == time
    PhotoCache(tmp_path / "3000", paths, [0, 2, 3], IMAGENET, 32, 1, "other", 3000)
    assert (tmp_path / "3000/photos.bin").stat().st_mtime_ns != time


@pytest.mark.parametrize("name", ["photos.bin", "photos.list"])
def test_damaged_photos_are_decoded_again(made, tmp_path, name):
    def pixels():
        return [PhotoCache(tmp_path, made.paths[:2], [0, 1], IMAGENET, 32, 1, "key")[row].tobytes() for row in (0, 1)]

    expected, whole = pixels(), (tmp_path / name).read_bytes()
    for place in range(0, len(whole), 97):
        for content in (whole[:place], whole[:place] + bytes([whole[place] ^ 16]) + whole[place + 1 :]):
            (tmp_path / name).write_bytes(content)
            assert pixels() == expected
    (tmp_path / name).unlink()
    assert pixels() == expected


@pytest.mark.parametrize("kept", ["checkpoint", "photos"])
def test_what_the_system_refuses_is_not_made_anew(made, tmp_path, monkeypatch, kept):
    Checkpoint(tmp_path, "key").save({"a": 1})
    PhotoCache(tmp_path, made.paths[:2], [0, 1], IMAGENET, 32, 1, "key")

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(checkpoint if kept == "checkpoint" else cache, "read_checksummed", refuse)
    with pytest.raises(PermissionError):
        Checkpoint(tmp_path, "key").load() if kept == "checkpoint" else PhotoCache(tmp_path, made.paths[:2], [0, 1], IMAGENET, 32, 1, "key")


def test_augmentation():
    photo = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    np.testing.assert_array_equal(augment(photo, "none", True, None), photo[:, ::-1])
    for strength, least in (("light", 0.85 * 0.8), ("strong", 0.7 * 0.6)):
        changed = [augment(photo, strength, False, np.random.default_rng(seed)) for seed in (1, 1, 2)]
        np.testing.assert_array_equal(changed[0], changed[1])
        assert changed[0].dtype == np.uint8 and changed[0].shape != changed[2].shape
        assert all(least * 40 - 2 <= one.shape[0] <= 40 and least * 60 - 2 <= one.shape[1] <= 60 for one in changed)


def test_another_view_shows_part_of_the_photo():
    ramp = np.broadcast_to(np.arange(60, 180, 2, np.uint8)[None, :, None], (40, 60, 3))
    for seed in range(50):
        view, again = (another_view(ramp, np.random.default_rng(seed)) for _ in range(2))
        np.testing.assert_array_equal(view, again)
        assert 0.6 * 60 - 1 <= view.shape[1] <= 60 and view.dtype == np.uint8
        # The ramp still rises along every row, over at least a quarter and at most the whole of its range.
        row = view[len(view) // 2, :, 0].astype(int)
        assert (np.diff(row) >= 0).all() and row[-1] > row[0]


@pytest.mark.parametrize(
    ("values", "part"),
    [
        ({"speed": 1}, "settings: speed: no such key"),
        ({"network": "vgg17"}, "settings: network: 'vgg17' is not one of efficientnet-lite0, efficientnet-lite1"),
        ({"loss": "cosine"}, "settings: loss: 'cosine' is not one of contrastive, triplet, infonce, multi-similarity"),
        (
            {"negative_mining": "all"},
            "settings: negative_pool_size must be at most 1000 with negative_mining: all, got 20000: every photo of the pool",
        ),
        ({"temperature": 0}, "settings: temperature: must be at least 0.001, got 0"),
        ({"batch": 0}, "settings: batch: must be at least 1, got 0"),
        ({"batch": True}, "settings: batch: expected a whole number, got True"),
        ({"ema_decay": 1.5}, "settings: ema_decay: must be at most 1, got 1.5"),
        ({"learning_rate": float("nan")}, "settings: learning_rate: expected a number, got 'nan'"),
        ({"interpolation": []}, "settings: interpolation: must not be empty"),
    ],
)
def test_wrong_settings_are_one_line(values, part):
    with pytest.raises(TrainingError) as caught:
        Settings.of(values)
    assert part in str(caught.value) and "\n" not in str(caught.value)


def test_a_start_that_does_not_fit_is_one_line(made, tmp_path):
    with pytest.raises(TrainingError, match="holds tiny, the experiment wants resnet18"):
        train(made, tmp_path, network="resnet18")
    with pytest.raises(TrainingError, match="freeze must be below the 3 parts of tiny"):
        train(made, tmp_path, freeze=3)
