"""Artefacts of other photos are refused with the name of the file; every stage writes the digests of its photos."""

import shutil

import numpy as np
import pytest

from bow2cnn.clustering.growth import grow_graph
from bow2cnn.core import artefact
from bow2cnn.core.artefact import ArtefactError
from bow2cnn.core.same_photos import check_photos, photos_of
from bow2cnn.index.build import build_index
from bow2cnn.index.watermarks import find_watermarks
from bow2cnn.pairs.from_models import mine_pairs
from bow2cnn.reconstruction.reconstruct import reconstruct_shard
from bow2cnn.split.split_models import split_models


def put(path, kind, *photos):
    artefact.write(path, kind, {"sha256": np.repeat(np.array(photos, np.uint8)[:, None], 32, 1)})
    return path


@pytest.fixture
def all_photos(tmp_path):
    return put(tmp_path / "all.h5", "collection", 1, 2, 3, 4)


@pytest.mark.parametrize(
    ("shards", "strange"),
    [
        ([(1, 2), (3, 4)], None),
        ([(1, 2, 3, 4)], None),
        ([(1,), (), (2, 3, 4)], None),
        ([(1, 2), (1, 2)], 1),
        ([(3, 4), (3, 4)], 0),
        ([(1, 2), (3,)], 1),
        ([(1, 2), (3, 4, 5)], 1),
        ([(2, 1), (3, 4)], 0),
        ([(1, 2), ()], 1),
    ],
)
def test_shards_are_those_of_the_collection(all_photos, tmp_path, shards, strange):
    paths = [put(tmp_path / f"{number}.h5", "features", *photos) for number, photos in enumerate(shards)]
    if strange is None:
        return check_photos(all_photos, paths)
    with pytest.raises(ArtefactError) as caught:
        check_photos(all_photos, paths)
    assert (
        str(caught.value)
        == f"{paths[strange]}: describes other photos than {all_photos}; delete the files of other runs and start this run again"
    )


def test_what_does_not_say_its_photos_passes(all_photos, tmp_path):
    artefact.write(tmp_path / "split.h5", "split", {"side": np.zeros(2)})
    assert photos_of(tmp_path / "split.h5") == {}
    check_photos(all_photos, tmp_path / "split.h5", all_photos)
    check_photos(tmp_path / "split.h5", all_photos)
    with pytest.raises(ArtefactError):
        check_photos(all_photos, tmp_path / "split.h5", put(tmp_path / "g.h5", "graph", 1, 2, 3))


def test_every_stage_writes_the_digests_of_its_photos(modelled):
    everything = modelled.photos["sha256"]
    for path in (modelled.watermarks, modelled.index, modelled.seeds, modelled.graph, modelled.clusters, modelled.shard, modelled.models):
        np.testing.assert_array_equal(photos_of(path)["sha256"], everything, str(path))
    for paths in (modelled.features, modelled.words):
        np.testing.assert_array_equal(np.concatenate([photos_of(path)["sha256"] for path in paths]), everything)


@pytest.mark.parametrize("kind", ["words", "features", "watermarks", "seeds", "graph", "clusters"])
def test_a_stage_refuses_what_is_of_other_photos(grown, tmp_path, kind):
    """A shard that was copied over another, an artefact of another run."""
    paths = {**vars(grown)}
    if kind in ("words", "features"):
        strange = tmp_path / "copy.h5"
        shutil.copy(paths[kind][1], strange)
        paths[kind] = [strange, paths[kind][1]]
    else:
        strange = paths[kind] = tmp_path / "foreign.h5"
        arrays = artefact.read(vars(grown)[kind], kind)
        artefact.write(strange, kind, {**arrays, "sha256": arrays["sha256"][::-1]})
    out = tmp_path / "out.h5"
    stages = {
        "words": lambda: find_watermarks(paths["collection"], paths["words"], out, 24, 8, 0),
        "watermarks": lambda: build_index(paths["collection"], paths["words"], paths["watermarks"], paths["vocabulary"], out),
        "seeds": lambda: grow_graph(paths["index"], paths["seeds"], paths["features"], out, 100, 24, 8, 20, 1),
        "graph": lambda: reconstruct_shard(
            0, 1, paths["clusters"], paths["graph"], paths["collection"], paths["features"], out, tmp_path / "c", tmp_path / "s", 4, 0
        ),
    }
    stages |= {"features": stages["seeds"], "clusters": stages["graph"]}
    with pytest.raises(ArtefactError, match=f"^{strange}: describes other photos than "):
        stages[kind]()
    assert not out.exists()


def test_a_split_says_whose_models_it_divides(modelled, tmp_path):
    split, foreign = tmp_path / "split.h5", tmp_path / "foreign.h5"
    split_models(modelled.models, {}, split, 0.2, 0, modelled.graph, modelled.clusters)
    np.testing.assert_array_equal(photos_of(split)["sha256"], modelled.photos["sha256"])
    artefact.write(foreign, "split", {**artefact.read(split, "split"), "sha256": modelled.photos["sha256"][::-1]})
    with pytest.raises(ArtefactError, match=f"^{foreign}: describes other photos than "):
        mine_pairs(
            modelled.models, foreign, modelled.collection, 10, 100, 60, 1, 5, 100, 0.2, 100, 24, 0, 1,
            modelled.graph, modelled.clusters, modelled.index,
        )  # fmt: skip
