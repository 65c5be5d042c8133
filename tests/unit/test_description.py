"""Description: the same bytes whatever the threads and the neighbours, regions cut from the full photo, missing photos."""

import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from bow2cnn.benchmarks.ground_truth import read_ground_truth
from bow2cnn.benchmarks.read import truth_in_rows
from bow2cnn.benchmarks.truth import write_truth
from bow2cnn.core import artefact
from bow2cnn.descriptors import describe as describe_module
from bow2cnn.descriptors.describe import describe_collection, describe_photo, describe_photos
from bow2cnn.network import input as input_module
from bow2cnn.network.errors import NetworkError
from bow2cnn.network.input import IMAGENET, cut, shrink
from bow2cnn.network.model import RetrievalNetwork
from bow2cnn.network.projection import Projection
from bow2cnn.network.storage import save_network
from bow2cnn.photos.decode import PhotoError

SIZE = 64


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return RetrievalNetwork("resnet18")


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    """Five photos of different sizes, a sixth that is none, a network, and a collection artefact."""
    folder = tmp_path_factory.mktemp("description")
    generator = np.random.default_rng(0)
    names = [f"{number}.png" for number in range(6)]
    for name, (width, height) in zip(names, [(64, 48), (48, 64), (100, 75), (40, 30), (129, 97)], strict=False):
        Image.fromarray(generator.integers(0, 256, (height, width, 3), np.uint8)).save(folder / name)
    (folder / "5.png").write_bytes(b"no photo")
    sha256 = np.array([list(hashlib.sha256((folder / name).read_bytes()).digest()) for name in names], np.uint8)
    arrays = {"path": [str(folder / name) for name in names], "name": names, "sha256": sha256}
    artefact.write(folder / "collection.h5", "collection", arrays)
    save_network(folder / "network.h5", model)
    return folder


def described(folder, out="out.h5", scales=(1.0,), threads=1, **options):
    describe_collection(folder / "network.h5", folder / "collection.h5", folder / out, SIZE, scales, threads, **options)
    return artefact.read(folder / out, "descriptors")


def test_threads_do_not_change_a_byte(folder):
    described(folder, "one.h5", threads=1)
    described(folder, "two.h5", threads=2)
    assert (folder / "one.h5").read_bytes() == (folder / "two.h5").read_bytes()


@pytest.mark.gpu
def test_a_gpu_gives_the_same_but_for_the_last_digits(folder):
    here, there = described(folder, "cpu.h5", scales=(1.0, 0.5)), described(folder, "gpu.h5", scales=(1.0, 0.5), threads=2, device="cuda")
    assert here["missing"].tolist() == there["missing"].tolist()
    np.testing.assert_allclose(here["descriptor"], there["descriptor"], atol=1e-4)


def test_a_missing_photo_is_a_row_of_zeros(folder):
    found = described(folder)
    assert found["missing"].tolist() == [False] * 5 + [True]
    np.testing.assert_allclose(np.linalg.norm(found["descriptor"], axis=1), [1] * 5 + [0], atol=1e-6)


def test_only_photos_that_are_used_are_read(folder, tmp_path, monkeypatch):
    """Those with a place in the pairs. What an earlier file holds of others is left out: the bytes are those of a file made anew."""
    opened = []
    read = input_module.read_rgb
    monkeypatch.setattr(input_module, "read_rgb", lambda path, *more: opened.append(Path(path).name) or read(path, *more))
    sha256 = artefact.read(folder / "collection.h5", "collection")["sha256"]
    whole = described(folder, tmp_path / "grown.h5")
    for group in ([3, -1, 0, -1, -1, 7], [3, -1, -1, 0, -1, 7]):
        artefact.write(tmp_path / "negatives.h5", "negatives", {"place": np.array(group), "sha256": sha256})
        used = np.array(group) >= 0
        opened.clear()
        found = described(folder, tmp_path / "new.h5", negatives=tmp_path / "negatives.h5")
        assert opened == [f"{row}.png" for row in np.flatnonzero(used)]
        assert found["missing"].tolist() == [not one for one in used[:5]] + [True]
        np.testing.assert_array_equal(found["descriptor"], np.where(used[:, None], whole["descriptor"], 0))
        opened.clear()
        described(folder, tmp_path / "grown.h5", negatives=tmp_path / "negatives.h5")
        assert (tmp_path / "grown.h5").read_bytes() == (tmp_path / "new.h5").read_bytes()
        (tmp_path / "new.h5").unlink()
        assert opened == (["5.png"] if used[2] else ["3.png", "5.png"])


def test_neighbours_do_not_matter(folder, model):
    found = described(folder)["descriptor"]
    for row in range(5):
        alone, _ = describe_photos(model, [lambda row=row: IMAGENET.load(folder / f"{row}.png", SIZE)], (1.0,), 1, None)
        np.testing.assert_array_equal(alone[0], found[row])
    assert len(np.unique(found[:5].round(4), axis=0)) == 5


def test_other_errors_than_of_photos_go_on(model):
    def fail():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        describe_photos(model, [fail], (1.0,), 2, None)
    assert all(pair.folded is None for pair in model.backbone.normalised())


def test_several_scales_are_joined_by_the_generalised_mean(folder, model):
    found = described(folder, scales=(1.0, 0.7071, 0.5))["descriptor"]
    np.testing.assert_allclose(np.linalg.norm(found[:5], axis=1), 1, atol=1e-6)
    photo = IMAGENET.load(folder / "0.png", SIZE)
    each = np.stack([describe_photo(model, photo, (scale,)) for scale in (1.0, 0.7071, 0.5)])
    joined = (each**3).mean(0) ** (1 / 3)
    np.testing.assert_allclose(found[0], joined / np.linalg.norm(joined), atol=1e-5)
    assert np.abs(found[0] - each[0]).max() > 1e-3


@pytest.mark.parametrize("p", [1.5, 8.0, 40.0, 300.0])
def test_several_scales_are_joined_by_any_exponent(folder, p):
    """The powers of a descriptor's components, which are hundredths, lie far below what float32 holds."""
    torch.manual_seed(0)
    network, photo = RetrievalNetwork("resnet18"), IMAGENET.load(folder / "0.png", SIZE)
    with torch.no_grad():
        network.pooling.p.fill_(p)
    each = np.stack([describe_photo(network, photo, (scale,)) for scale in (1.0, 0.7071)]).clip(1e-6).astype(np.longdouble)
    joined = (each**p).mean(0) ** (1 / np.longdouble(p))
    np.testing.assert_allclose(describe_photo(network, photo, (1.0, 0.7071)), joined / np.linalg.norm(joined), atol=1e-5)


@pytest.mark.parametrize("pooling", ["mac", "gemmp", "rmac"])
def test_several_scales_of_other_poolings_are_averaged(folder, pooling):
    torch.manual_seed(0)
    model, photo = RetrievalNetwork("squeezenet1_1", pooling), IMAGENET.load(folder / "0.png", SIZE)
    each = np.stack([describe_photo(model, photo, (scale,)) for scale in (1.0, 0.5)])
    np.testing.assert_allclose(describe_photo(model, photo, (1.0, 0.5)), each.sum(0) / np.linalg.norm(each.sum(0)), atol=1e-5)


def test_several_scales_are_averaged_behind_a_projection(folder):
    torch.manual_seed(0)
    layer = Projection.of_whitening(np.zeros(512, np.float32), np.random.default_rng(0).normal(0, 1, (9, 512)))
    model, photo = RetrievalNetwork("squeezenet1_1", projection=layer), IMAGENET.load(folder / "0.png", SIZE)
    each = np.stack([describe_photo(model, photo, (scale,)) for scale in (1.0, 0.5)])
    assert each.shape == (2, 9) and (each < 0).any()
    np.testing.assert_allclose(describe_photo(model, photo, (1.0, 0.5)), each.sum(0) / np.linalg.norm(each.sum(0)), atol=1e-5)


def test_a_scale_is_a_smaller_photo(model):
    flat = np.full((48, 64, 3), 90, np.uint8)
    flat[:, 32:] = 200
    with torch.no_grad():
        prepared = model.prepare(torch.from_numpy(flat).permute(2, 0, 1)[None], 0.5)
    assert prepared.shape[2:] == (24, 32)
    expected = (90 - np.array([0.485, 0.456, 0.406]) * 255) / (np.array([0.229, 0.224, 0.225]) * 255)
    np.testing.assert_allclose(prepared[0, :, 12, 4], expected, rtol=1e-4)


def truth_of(folder, content):
    """The artefact of a ground truth whose photos are those of the folder's collection."""
    (folder / "gnd.json").write_text(json.dumps(content))
    photos = artefact.read(folder / "collection.h5", "collection", ["name", "sha256"])
    row_of = {name: row for row, name in enumerate(photos["name"])}
    write_truth(folder / "truth.h5", truth_in_rows(read_ground_truth(folder / "gnd.json"), row_of, 6), {"sha256": photos["sha256"]})
    return folder / "truth.h5"


def test_queries_of_a_benchmark(folder, model):
    """The region is cut from the full photo and scaled as the whole photo is."""
    region = [21.0, 9.0, 95.0, 80.0]
    truth = {"imlist": ["0.png", "1.png"], "qimlist": ["4.png", "2.png"], "gnd": [{"ok": [0], "bbx": region}, {"ok": [1]}]}
    found = described(folder, "b.h5", threads=2, truth=truth_of(folder, truth))
    photo = np.asarray(Image.open(folder / "4.png"))
    factor = SIZE / 129
    size = (round((95 - 21) * factor), round((80 - 9) * factor))
    by_hand = cv2.resize(photo[9:80, 21:95], size, interpolation=cv2.INTER_AREA)
    with model.folded():
        np.testing.assert_allclose(found["query"][0], describe_photo(model, by_hand), atol=1e-6)
    np.testing.assert_array_equal(found["query"][1], found["descriptor"][2])
    assert found["missing"].shape == (6,)


@pytest.mark.parametrize("region", [None, [0, 0, 9, 9]])
def test_a_query_that_cannot_be_decoded_is_one_line(folder, region):
    """Whatever was ranked for it would be an accident, and count."""
    truth = {"imlist": ["0.png", "1.png"], "qimlist": ["4.png", "5.png"], "gnd": [{"ok": [0]}, {"ok": [1], "bbx": region}]}
    with pytest.raises(artefact.ArtefactError, match=r"/5\.png: is a query of a benchmark, but cannot be decoded"):
        described(folder, "b.h5", truth=truth_of(folder, truth))


@pytest.mark.parametrize(("factor", "said"), [(1e30, "descriptors are not numbers"), (0.0, "all descriptors are the same")])
def test_weights_that_overflow_or_say_nothing_are_one_line(folder, tmp_path, factor, said):
    torch.manual_seed(0)
    model = RetrievalNetwork("resnet18")
    with torch.no_grad():
        for weight in model.backbone.parameters():
            weight.mul_(factor)
    save_network(tmp_path / "network.h5", model)
    with pytest.raises(NetworkError) as caught:
        describe_collection(tmp_path / "network.h5", folder / "collection.h5", tmp_path / "d.h5", SIZE, (1.0,), 1)
    assert str(caught.value).startswith(f"{tmp_path / 'network.h5'}: ") and said in str(caught.value)
    assert not (tmp_path / "d.h5").exists()


def test_a_photo_in_which_the_network_finds_nothing_is_missing(folder, monkeypatch):
    whole, describe = described(folder), describe_module.describe_photo
    nothing = lambda model, photo, scales: describe(model, photo, scales) * (photo.shape[0] != 30)  # noqa: E731
    monkeypatch.setattr(describe_module, "describe_photo", nothing)
    found = described(folder, "nothing.h5")
    assert found["missing"].tolist() == [False] * 3 + [True, False, True] and not found["descriptor"][3].any()
    np.testing.assert_array_equal(found["descriptor"][:3], whole["descriptor"][:3])


def test_many_scales_do_not_underflow(folder):
    """The generalised mean of small numbers by a large exponent."""
    torch.manual_seed(0)
    model, photo = RetrievalNetwork("resnet18", p=60.0), IMAGENET.load(folder / "0.png", SIZE)
    assert np.linalg.norm(describe_photo(model, photo, (1.0, 0.5))) == pytest.approx(1)


def test_cut_stays_inside():
    photo = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    np.testing.assert_array_equal(cut(photo, (-3, 1.2, 2.4, 99)), photo[1:4, 0:2])
    assert cut(photo, (50, 50, 60, 60)).shape == (1, 1, 3) and cut(photo, (2, 2, 2.2, 2.2)).shape == (1, 1, 3)


def test_photos_are_shrunk_and_never_enlarged(folder):
    assert IMAGENET.load(folder / "3.png", SIZE).shape == (30, 40, 3)
    assert IMAGENET.load(folder / "2.png", SIZE).shape == (48, 64, 3)
    np.testing.assert_array_equal(shrink(np.uint8([[[0] * 3, [100] * 3]]), (1, 1)), [[[50] * 3]])
    with pytest.raises(PhotoError):
        IMAGENET.load(folder / "5.png", SIZE)
