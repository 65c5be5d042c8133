"""A collection that grows: the rows of unchanged photos are kept, and no others."""

import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from seeding import write_seeds

from bow2cnn.clustering.growth import grow_graph
from bow2cnn.core import artefact
from bow2cnn.core.lineage import find_rows, lineage, load_previous
from bow2cnn.features import extract
from bow2cnn.features.extract import extract_features
from bow2cnn.index import words as index_words
from bow2cnn.index.build import build_index
from bow2cnn.index.watermarks import find_watermarks
from bow2cnn.index.words import quantise_shard


@pytest.fixture
def growing(made, tmp_path):
    """The collection of all rendered photos, and one of every fourth left out, as one shard each."""
    photos = made.photos
    arrays = {name: photos[name] for name in ("path", "name", "sha256", "width", "height", "focal", "gps", "shard")}
    rows = np.arange(len(photos["path"]))
    few = rows[rows % 4 != 1]
    for name, chosen in (("all", rows), ("few", few)):
        part = {key: [value[row] for row in chosen] if isinstance(value, list) else value[chosen] for key, value in arrays.items()}
        artefact.write(tmp_path / f"{name}.h5", "collection", part)
    return SimpleNamespace(folder=tmp_path, few=few, all=rows, vocabulary=made.vocabulary)


def features(growing, name, out="features.h5", max_features=800, code=""):
    extract_features(growing.folder / f"{name}.h5", growing.folder / out, 2, max_features, code=code)
    return artefact.read(growing.folder / out, "features")


def watch(monkeypatch, module, name, count):
    """Note `count(*arguments)` of every call of a function."""
    noted, real = [], getattr(module, name)

    def noting(*arguments):
        noted.append(count(*arguments))
        return real(*arguments)

    monkeypatch.setattr(module, name, noting)
    return noted


def same(a, b):
    assert a.keys() == b.keys()
    for name, value in a.items():
        np.testing.assert_array_equal(value, b[name])


def test_rows_are_found_by_content():
    sha = np.random.default_rng(0).integers(0, 256, (5, 32), dtype=np.uint8)
    assert find_rows(sha[[3, 1]], sha).tolist() == [-1, 1, -1, 0, -1]
    assert find_rows(sha[:0], sha).tolist() == [-1] * 5 and find_rows(sha, sha[:0]).tolist() == []


def test_another_lineage_or_a_damaged_file_is_not_used(tmp_path):
    path = tmp_path / "a.h5"
    assert load_previous(path, "split", lineage(1)) is None
    artefact.write(path, "split", {"side": np.arange(500)}, {"lineage": lineage(1)})
    assert load_previous(path, "split", lineage(2)) is None and load_previous(path, "words", lineage(1)) is None
    assert load_previous(path, "split", lineage(1))["side"].tolist() == list(range(500))
    data = bytearray(path.read_bytes())
    data[data.index(np.arange(500).tobytes()) + 99] ^= 1
    path.write_bytes(data)
    assert load_previous(path, "split", lineage(1)) is None


def test_features_of_known_photos_are_kept(growing, monkeypatch):
    asked = watch(monkeypatch, extract, "_extract", lambda tasks, *_: len(tasks))
    features(growing, "few")
    grown = features(growing, "all")
    same(grown, features(growing, "all", "fresh.h5"))
    same(features(growing, "few"), features(growing, "few", "few-fresh.h5"))
    count, few = len(growing.all), len(growing.few)
    assert asked == [few, count - few, count, 0, few]


@pytest.mark.parametrize("change", [{"max_features": 700}, {"code": "edited"}])
def test_features_made_otherwise_are_not(growing, monkeypatch, change):
    features(growing, "few")
    asked = watch(monkeypatch, extract, "_extract", lambda tasks, *_: len(tasks))
    features(growing, "all", **change)
    assert asked == [len(growing.all)]


def test_a_photo_that_gave_an_error_is_tried_again(growing, monkeypatch):
    collection = artefact.read(growing.folder / "few.h5", "collection")
    path = collection["path"][2]
    collection["path"][2] = str(growing.folder / "not-there.jpg")
    artefact.write(growing.folder / "few.h5", "collection", collection)
    assert features(growing, "few")["error"][2] == "vanished"
    folder = growing.folder
    quantise_shard(folder / "features.h5", growing.vocabulary, folder / "words.h5", 1)
    assert np.diff(artefact.read(folder / "words.h5", "words")["offset"])[2] == 0
    collection["path"][2] = path
    artefact.write(folder / "few.h5", "collection", collection)
    asked = watch(monkeypatch, extract, "_extract", lambda tasks, *_: len(tasks))
    assert features(growing, "few")["error"][2] == "" and asked == [1]
    quantise_shard(folder / "features.h5", growing.vocabulary, folder / "words.h5", 1)
    assert np.diff(artefact.read(folder / "words.h5", "words")["offset"])[2] > 100


def test_words_of_known_photos_are_kept(growing, monkeypatch):
    folder = growing.folder
    features(growing, "few")
    quantise_shard(folder / "features.h5", growing.vocabulary, folder / "words.h5", 1)
    before = artefact.read(folder / "words.h5", "words")
    features(growing, "all")
    asked = watch(monkeypatch, index_words, "quantise_features", lambda descriptors, *_: len(descriptors))
    quantise_shard(folder / "features.h5", growing.vocabulary, folder / "words.h5", 1)
    after = artefact.read(folder / "words.h5", "words")
    assert sum(asked) == len(after["word"]) - len(before["word"])
    quantise_shard(folder / "features.h5", growing.vocabulary, folder / "fresh.h5", 1)
    fresh = artefact.read(folder / "fresh.h5", "words")
    np.testing.assert_array_equal(after["offset"], fresh["offset"])
    assert (after["word"] == fresh["word"]).mean() > 0.999, "but for rounding at the borders of words"
    for number, row in enumerate(growing.few):
        np.testing.assert_array_equal(
            after["signature"][slice(*after["offset"][row : row + 2])], before["signature"][slice(*before["offset"][number : number + 2])]
        )


def graph_of(growing, name, out, tentative=8):
    """Everything up to the graph for one of the collections."""
    folder = growing.folder
    features(growing, name)
    quantise_shard(folder / "features.h5", growing.vocabulary, folder / "words.h5", 1)
    find_watermarks(folder / f"{name}.h5", [folder / "words.h5"], folder / "watermarks.h5", 24, 8, 0)
    build_index(folder / f"{name}.h5", [folder / "words.h5"], folder / "watermarks.h5", growing.vocabulary, folder / "index.h5")
    write_seeds(folder / "index.h5", folder / "seeds.h5", 24, threads=2)
    grow_graph(folder / "index.h5", folder / "seeds.h5", [folder / "features.h5"], folder / out, 100, 24, tentative, 20, threads=2)
    return artefact.read(folder / out, "graph")


def by_content(graph):
    """(content of the first, of the second photo) -> inliers."""
    names = [bytes(content) for content in graph["content"]]
    return {frozenset((names[a], names[b])): int(count) for (a, b), count in zip(graph["pair"], graph["inliers"], strict=True)}


def test_a_graph_grows_and_shrinks_with_the_collection(growing):
    small = graph_of(growing, "few", "graph.h5")
    grown, fresh = graph_of(growing, "all", "graph.h5"), graph_of(growing, "all", "fresh.h5")
    old, now, full = by_content(small), by_content(grown), by_content(fresh)
    assert old.items() <= now.items(), "what was confirmed stays"
    assert len(now.keys() & full.keys()) >= 0.98 * len(full), "and what a fresh run finds is found"
    shrunk = graph_of(growing, "few", "graph.h5")
    left = {bytes(content) for content in small["content"]}
    assert by_content(shrunk) == {pair: count for pair, count in now.items() if pair <= left}, "pairs of photos that are gone go"
    assert by_content(shrunk).keys() >= old.keys()


def test_another_choice_of_seeds_is_another_graph(growing):
    folder = growing.folder
    assert len(graph_of(growing, "few", "graph.h5")["pair"]) > 0
    grow = ([folder / "features.h5"], folder / "graph.h5", 100, 24, 8, 20)
    for similarity, some in ((0.99, False), (0.045, True)):
        write_seeds(folder / "index.h5", folder / "seeds.h5", 24, min_similarity=similarity, threads=2)
        grow_graph(folder / "index.h5", folder / "seeds.h5", *grow, threads=2)
        assert bool(len(artefact.read(folder / "graph.h5", "graph")["pair"])) == some


def test_pairs_of_a_photo_in_which_more_is_masked_are_asked_anew(growing, monkeypatch):
    folder, grow = growing.folder, ([growing.folder / "features.h5"], growing.folder / "graph.h5", 100, 24, 8, 20)
    before = graph_of(growing, "few", "graph.h5")
    watermarks = artefact.read(folder / "watermarks.h5", "watermarks")
    photo = int(before["pair"][0, 0])
    watermarks["masked"][slice(*watermarks["offset"][photo : photo + 2])] = True
    with artefact.Reader(folder / "watermarks.h5", "watermarks") as reader:
        params = reader.params
    artefact.write(folder / "watermarks.h5", "watermarks", watermarks, params)
    build_index(folder / "few.h5", [folder / "words.h5"], folder / "watermarks.h5", growing.vocabulary, folder / "index.h5")
    grow_graph(folder / "index.h5", folder / "seeds.h5", *grow, threads=2)
    after = artefact.read(folder / "graph.h5", "graph")["pair"]
    assert photo in before["pair"] and photo not in after
    kept = before["pair"][(before["pair"] != photo).all(1)]
    assert {tuple(pair) for pair in kept.tolist()} <= {tuple(pair) for pair in after.tolist()}


def test_matches_of_a_kept_pair_are_those_of_the_photos(growing):
    graph_of(growing, "few", "graph.h5")
    shutil.copy(growing.folder / "graph.h5", growing.folder / "again.h5")
    grown, again = graph_of(growing, "all", "graph.h5"), graph_of(growing, "all", "fresh.h5")
    rows = {tuple(pair): row for row, pair in enumerate(again["pair"].tolist())}
    compared = 0
    for row, pair in enumerate(grown["pair"].tolist()):
        if tuple(pair) in rows and np.isin(pair, growing.few).all():
            other = rows[tuple(pair)]
            match = [set(map(tuple, g["match"][slice(*g["match_offset"][r : r + 2])].tolist())) for g, r in ((grown, row), (again, other))]
            assert len(match[0] & match[1]) > 0.9 * len(match[1])
            compared += 1
    assert compared > 20
