"""Reconstruction: the true cameras come back, every failure is reported, models are packed and joined without loss."""

import shutil
import subprocess
import tempfile

import numpy as np
import pycolmap
import pytest

from bow2cnn.clustering.clusters import cut_clusters
from bow2cnn.core import artefact
from bow2cnn.core.atomic_files import WriteError
from bow2cnn.core.empty_stage import EmptyStageError
from bow2cnn.features.store import FeatureStore
from bow2cnn.geometry.epipolar import scale_fundamental
from bow2cnn.photos.decode import read_rgb
from bow2cnn.reconstruction import model_cache, reconstruct, reuse_earlier_models
from bow2cnn.reconstruction.colmap import extend_model, map_cluster, to_arrays, write_model
from bow2cnn.reconstruction.gather_models import gather_models
from bow2cnn.reconstruction.model_cache import ModelCache, Source
from bow2cnn.reconstruction.models import find_duplicates, implausible, pack_models, unpack_models
from bow2cnn.reconstruction.reconstruct import _Inputs, balance, reconstruct_shard
from bow2cnn.reconstruction.reuse_earlier_models import build_models
from bow2cnn_demo.truth import aligned_errors

SIZE, FOCAL = (640, 480), 600.0


def centres(model):
    return -np.einsum("nji,nj->ni", model["rotation"], model["translation"])


def scene(seed, cameras=8, count=150, noise=0.3, known=True):
    """Cameras on an arc around a cloud of points: photos and pairs as `map_cluster` takes them, true centres [n, 3]."""
    rng = np.random.default_rng(seed)
    points = rng.uniform(-1, 1, (count, 3))
    photos, poses = [], []
    for i, angle in enumerate(np.linspace(-0.6, 0.6, cameras)):
        c, s = np.cos(angle), np.sin(angle)
        rotation = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
        translation = np.array([0, rng.uniform(-0.2, 0.2), 5.0])
        xyz = points @ rotation.T + translation
        xy = FOCAL * xyz[:, :2] / xyz[:, 2:] + np.array(SIZE) / 2 + rng.normal(0, noise, (count, 2))
        focal = FOCAL if known else np.nan
        views = {"name": f"{i}.jpg", "width": SIZE[0], "height": SIZE[1], "focal": focal}
        photos.append({**views, "xy": xy.astype(np.float32), "scale": np.ones(2, np.float32)})
        poses.append((rotation, translation))
    k = np.linalg.inv(np.array([[FOCAL, 0, SIZE[0] / 2], [0, FOCAL, SIZE[1] / 2], [0, 0, 1]]))
    match = np.repeat(np.arange(count, dtype=np.int32)[:, None], 2, 1)
    pairs = []
    for a in range(cameras):
        for b in range(a + 1, min(a + 4, cameras)):
            rotation = poses[b][0] @ poses[a][0].T
            x, y, z = poses[b][1] - rotation @ poses[a][1]
            pairs.append((a, b, k.T @ np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]) @ rotation @ k, match))
    return photos, pairs, np.array([-r.T @ t for r, t in poses])


def model_of(photos, points=60, cluster=0, seed=0, seen=None):
    """A made-up model as `colmap.to_arrays` gives it; `seen`: number of points that each photo sees."""
    rng = np.random.default_rng([seed, cluster])
    n = len(photos)
    counts = seen or rng.integers(0, points, n)
    return {
        "photo": np.array(photos, np.int32),
        "focal": rng.random(n) * 900,
        "k1": rng.random(n),
        "rotation": rng.random((n, 3, 3)),
        "translation": rng.random((n, 3)),
        "point": rng.random((points, 3)).astype(np.float32),
        "color": rng.integers(0, 256, (points, 3), dtype=np.uint8),
        "observations": [(np.sort(rng.choice(points, c, False)), rng.integers(0, 999, c).astype(np.int32)) for c in counts],
        "cluster": cluster,
        "error": float(np.float32(rng.random())),
    }


def gathered(tmp_path, shards, photos):
    artefact.write(tmp_path / "collection.h5", "collection", {"width": np.zeros(photos, np.int32)})
    paths = [tmp_path / f"{i}.h5" for i in range(len(shards))]
    for path, (models, rejected) in zip(paths, shards, strict=True):
        artefact.write(path, "models", {**pack_models(models, rejected), "kept": []})
    gather_models(paths, tmp_path / "collection.h5", tmp_path / "models.h5", tmp_path / "state")
    return artefact.read(tmp_path / "models.h5", "models")


@pytest.mark.parametrize("mapper", ["incremental", "global"])
@pytest.mark.parametrize("known", [True, False])
def test_the_cameras_of_a_synthetic_scene_come_back(known, mapper):
    photos, pairs, truth = scene(0, known=known)
    (model,) = map_cluster(photos, pairs, 5, 0, mapper)
    arrays = to_arrays(model, photos)
    assert arrays["photo"].tolist() == list(range(8))
    assert np.median(aligned_errors(centres(arrays), truth)) < 0.02
    np.testing.assert_allclose(arrays["focal"], FOCAL, rtol=0.03 if known else 0.15)
    assert arrays["error"] < 1 and len(arrays["point"]) >= 140


def test_points_project_to_the_features_that_see_them():
    photos, pairs, _ = scene(1)
    (model,) = map_cluster(photos, pairs, 5, seed=0)
    arrays = to_arrays(model, photos)
    for i, (points, features) in enumerate(arrays["observations"]):
        xyz = arrays["point"][points] @ arrays["rotation"][i].T + arrays["translation"][i]
        flat = xyz[:, :2] / xyz[:, 2:]
        distorted = flat * (1 + arrays["k1"][i] * (flat**2).sum(1, keepdims=True))
        error = np.linalg.norm(arrays["focal"][i] * distorted + np.array(SIZE) / 2 - photos[i]["xy"][features], axis=1)
        assert len(points) > 100 and np.median(error) < 1 and error.max() < 6


@pytest.mark.parametrize("mapper", ["incremental", "global"])
def test_separate_scenes_in_one_cluster_are_separate_models_largest_first(mapper):
    few, pairs_few, _ = scene(2, cameras=5)
    many, pairs_many, _ = scene(3, cameras=8)
    photos = [{**photo, "name": f"{i}.jpg"} for i, photo in enumerate(few + many)]
    pairs = pairs_few + [(a + 5, b + 5, fundamental, match) for a, b, fundamental, match in pairs_many]
    models = [to_arrays(model, photos) for model in map_cluster(photos, pairs, 4, 0, mapper)]
    assert [model["photo"].tolist() for model in models] == [list(range(5, 13)), list(range(5))]
    assert len(map_cluster(photos, pairs, 6, 0, mapper)) == 1


def test_photos_that_give_no_model_are_mapped_again_with_less_that_speaks_for_them():
    """Fewer points are seen than COLMAP by itself wants for a pose."""
    photos, pairs, truth = scene(0, count=28)
    assert map_cluster(photos, pairs, 5, 0) == []
    (model,) = build_models([], photos, pairs, 5, 0)
    arrays = to_arrays(model, photos)
    assert arrays["photo"].tolist() == list(range(8))
    assert np.max(aligned_errors(centres(arrays), truth)) < 0.1


def test_what_a_model_leaves_over_is_mapped_again():
    photos, pairs = [], []
    for seed, count in ((0, 150), (1, 28)):
        more, between, _ = scene(seed, count=count)
        pairs += [(a + len(photos), b + len(photos), fundamental, match) for a, b, fundamental, match in between]
        photos += [{**photo, "name": f"{seed}/{photo['name']}"} for photo in more]
    found = [to_arrays(model, photos)["photo"].tolist() for model in build_models([], photos, pairs, 5, 0)]
    assert found == [list(range(8)), list(range(8, 16))]


@pytest.mark.parametrize(("error", "ends"), [(ValueError("no"), False), (WriteError("full"), True)])
def test_models_stay_when_what_they_leave_over_cannot_be_mapped(monkeypatch, error, ends):
    photos, pairs, _ = scene(0)
    photos += [{**photo, "name": f"alone/{photo['name']}"} for photo in photos]

    def failing(photos, pairs, min_photos, seed, mapper, lenient):
        if lenient:
            raise error
        return map_cluster(photos, pairs, min_photos, seed, mapper, lenient)

    monkeypatch.setattr(reuse_earlier_models, "map_cluster", failing)
    if ends:
        with pytest.raises(WriteError):
            build_models([], photos, pairs, 5, 0)
    else:
        assert [model.num_reg_images() for model in build_models([], photos, pairs, 5, 0)] == [8]


def part(photos, pairs, kept):
    """Some photos in another order, and the pairs among them."""
    place = {number: position for position, number in enumerate(kept)}
    inside = [(a, b, fundamental, match) for a, b, fundamental, match in pairs if a in place and b in place]
    turned = [(a, b, f, m) if place[a] < place[b] else (b, a, f.T, m[:, ::-1]) for a, b, f, m in inside]
    return [photos[number] for number in kept], [(place[a], place[b], f, m) for a, b, f, m in turned]


def test_a_model_grows_by_the_photos_that_come(tmp_path):
    photos, pairs, truth = scene(0, known=False)
    (before,) = map_cluster(*part(photos, pairs, [4, 2, 6, 3, 5]), 3, seed=0)
    write_model(before, tmp_path / "0")
    arrays, again = (to_arrays(extend_model(tmp_path / "0", photos, pairs, seed=0), photos) for _ in range(2))
    assert arrays["photo"].tolist() == list(range(8)) and np.array_equal(arrays["point"], again["point"])
    assert np.median(aligned_errors(centres(arrays), truth)) < 0.02 and arrays["error"] < 1
    np.testing.assert_allclose(arrays["focal"], FOCAL, rtol=0.15)
    for (points, features), photo in zip(arrays["observations"], photos, strict=True):
        assert len(points) > 100 and features.max() < len(photo["xy"])


def enlarged(photos, pairs, scales):
    """Files of other sizes with the features of the old size."""
    larger = [
        {
            **photo,
            **{side: round(photo[side] * factor) for side, factor in zip(("width", "height"), scale, strict=True)},
            "focal": photo["focal"] * scale[0],
            "xy": photo["xy"] * np.float32(scale),
            "scale": np.float32(scale),
        }
        for photo, scale in zip(photos, scales, strict=True)
    ]
    return larger, [(a, b, scale_fundamental(fundamental, scales[a], scales[b]), match) for a, b, fundamental, match in pairs]


@pytest.mark.parametrize("mapper", ["incremental", "global"])
def test_models_of_large_files_are_those_of_small_ones_in_pixels_of_the_files(mapper, tmp_path):
    """Noise of two pixels where photos were searched is within COLMAP's tolerances, but four times as much would not be."""
    photos, pairs, truth = scene(0, noise=2.0, known=mapper == "global")
    (small,) = map_cluster(photos, pairs, 5, 0, mapper)
    scales = [(4.0, 4.0)] * 4 + [(2.0, 2.0), (4.0, 3.998), (1.0, 1.0), (0.5, 0.5)]
    larger, pairs_larger = enlarged(photos, pairs, scales)
    (model,) = map_cluster(larger, pairs_larger, 5, 0, mapper)
    expected, found = to_arrays(small, photos), to_arrays(model, larger)
    assert found["photo"].tolist() == expected["photo"].tolist() == list(range(8))
    assert abs(len(found["point"]) - len(expected["point"])) <= 3
    np.testing.assert_allclose(found["focal"], expected["focal"] * [scale[0] for scale in scales], rtol=0.01)
    np.testing.assert_allclose(found["error"], expected["error"], rtol=0.02)
    assert np.abs(aligned_errors(centres(found), truth) - aligned_errors(centres(expected), truth)).max() < 0.01
    write_model(model, tmp_path / "0")
    read = pycolmap.Reconstruction(str(tmp_path / "0"))
    for photo in larger:
        image = read.find_image_with_name(photo["name"])
        camera = read.cameras[image.camera_id]
        assert (camera.width, camera.height) == (photo["width"], photo["height"])
        np.testing.assert_allclose(
            (camera.principal_point_x, camera.principal_point_y), (photo["width"] / 2, photo["height"] / 2), rtol=1e-6
        )
        np.testing.assert_allclose([point.xy for point in image.points2D], photo["xy"], rtol=1e-5)


def test_a_model_of_large_files_grows_as_that_of_small_ones(tmp_path):
    photos, pairs, truth = scene(0, noise=2.0, known=False)
    larger, pairs_larger = enlarged(photos, pairs, [(4.0, 4.0)] * 8)
    found = []
    for number, (views, between) in enumerate(((photos, pairs), (larger, pairs_larger))):
        (before,) = map_cluster(*part(views, between, [4, 2, 6, 3, 5]), 3, seed=0)
        write_model(before, tmp_path / str(number))
        found.append(to_arrays(extend_model(tmp_path / str(number), views, between, seed=0), views))
    small, large = found
    assert small["photo"].tolist() == large["photo"].tolist() == list(range(8))
    assert len(large["point"]) >= 0.98 * len(small["point"])
    np.testing.assert_allclose(large["focal"], 4 * small["focal"], rtol=0.02)
    assert np.median(aligned_errors(centres(large), truth)) < 0.03 and abs(large["error"] - small["error"]) < 0.05


def test_models_of_a_cluster_that_has_grown(tmp_path):
    """One grows, one is there to the end, one is new; two that become one are one."""
    few, pairs_few, _ = scene(2, cameras=5)
    many, pairs_many, _ = scene(3, cameras=8)
    photos = [{**photo, "name": f"{i}.jpg"} for i, photo in enumerate(few + many)]
    pairs = pairs_few + [(a + 5, b + 5, fundamental, match) for a, b, fundamental, match in pairs_many]
    halves = [[5, 6, 7, 8], [9, 10, 11, 12]]
    for number, half in enumerate(halves):
        (model,) = map_cluster(*part(photos, pairs, half), 3, seed=0)
        write_model(model, tmp_path / str(number))
    found = build_models([tmp_path / "0", tmp_path / "1"], photos, pairs, 4, seed=0)
    assert [to_arrays(model, photos)["photo"].tolist() for model in found] == [list(range(5, 13)), list(range(5))]
    alone = build_models([tmp_path / "0"], *part(photos, pairs, [*range(5), *halves[0]]), 4, seed=0)
    assert [model.num_reg_images() for model in alone] == [5, 4]
    (tmp_path / "0/images.bin").unlink()
    again = build_models([tmp_path / "0"], photos, pairs, 4, seed=0)
    assert [model.num_reg_images() for model in again] == [8, 5], "a model that cannot be read is mapped again"


def test_the_true_cameras_of_rendered_photos_come_back(modelled):
    arrays = artefact.read(modelled.models, "models")
    models, rejected = unpack_models(arrays)
    assert len(models) == 2 and not rejected
    for model in models:
        landmark = modelled.landmark[model["photo"][0]]
        assert sorted(model["photo"].tolist()) == np.flatnonzero(modelled.landmark == landmark).tolist()
        cameras = [modelled.records[photo].shot.camera for photo in model["photo"]]
        errors = aligned_errors(centres(model), np.array([camera.centre for camera in cameras]))
        assert np.median(errors) < 0.02 and errors.max() < 0.1
        assert np.median(np.abs(np.log(model["focal"] / [camera.focal for camera in cameras]))) < 0.05
        assert model["error"] < 1.0
    assert (arrays["model"] >= 0).tolist() == (modelled.landmark >= 0).tolist()


def test_points_have_the_colours_of_their_photos(modelled):
    """A point's colour is near that of the pixel where one of its photos sees it, and not near that of another."""
    models, _ = unpack_models(artefact.read(modelled.models, "models"))
    store = FeatureStore(modelled.features)
    for model in models:
        assert model["color"].shape == (len(model["point"]), 3)
        photo, (points, features) = model["photo"][0], model["observations"][0]
        rgb = read_rgb(modelled.photos["path"][photo]).astype(int)
        x, y = store.keypoints(photo)[features, :2].astype(int).T
        near = np.abs(rgb[y, x] - model["color"][points]).mean()
        other = np.abs(rgb[y, x] - np.roll(model["color"][points], 7, axis=0)).mean()
        assert near < 0.8 * other


def test_colmap_reads_the_models(modelled):
    models, _ = unpack_models(artefact.read(modelled.shard, "models"))
    folders = sorted(modelled.colmap.iterdir())
    assert [folder.name for folder in folders] == ["0000-0", "0001-0"]
    read = {int(folder.name[:4]): pycolmap.Reconstruction(folder) for folder in folders}
    for model in models:
        assert read[model["cluster"]].num_reg_images() == len(model["photo"])
        names = {image.name.split("/", 1)[1] for image in read[model["cluster"]].images.values()}
        assert names == {modelled.photos["name"][photo] for photo in model["photo"]}


def test_two_runs_and_any_number_of_shards_give_the_same_models(modelled, tmp_path):
    arguments = (modelled.clusters, modelled.graph, modelled.collection, modelled.features)
    reconstruct_shard(0, 1, *arguments, tmp_path / "again.h5", tmp_path / "colmap", tmp_path / "state", 4, seed=0)
    assert (tmp_path / "again.h5").read_bytes() == modelled.shard.read_bytes()
    for shard in range(3):
        reconstruct_shard(shard, 3, *arguments, tmp_path / f"{shard}.h5", tmp_path / f"colmap-{shard}", tmp_path / "other", 4, seed=0)
    gather_models([tmp_path / f"{shard}.h5" for shard in range(3)], modelled.collection, tmp_path / "models.h5", tmp_path / "other")
    assert (tmp_path / "models.h5").read_bytes() == modelled.models.read_bytes()


def test_a_failing_cluster_is_recorded_and_the_others_go_on(modelled, tmp_path, monkeypatch):
    real, seen = reuse_earlier_models.map_cluster, []

    def fail_first(photos, *arguments):
        seen.append(photos)
        if len(seen) == 1:
            raise RuntimeError("bundle adjustment\nblew up")
        return real(photos, *arguments)

    monkeypatch.setattr(reuse_earlier_models, "map_cluster", fail_first)
    arguments = (modelled.clusters, modelled.graph, modelled.collection, modelled.features)
    reconstruct_shard(0, 1, *arguments, tmp_path / "m.h5", tmp_path / "colmap", tmp_path / "state", 4, seed=0)
    models, rejected = unpack_models(artefact.read(tmp_path / "m.h5", "models"))
    assert len(models) == 1 and len(rejected) == 1
    assert rejected[0] == (1 - models[0]["cluster"], 9, "mapping failed: bundle adjustment")


@pytest.mark.parametrize(
    ("module", "name", "call", "reason"),
    [
        (model_cache, "read_model", 1, "COLMAP cannot read the models that it wrote"),
        (reconstruct, "to_arrays", 1, "out of shape"),
        (reconstruct, "_point_colors", 1, "out of shape"),
    ],
)
def test_whatever_fails_in_one_cluster_the_others_go_on(modelled, tmp_path, monkeypatch, module, name, call, reason):
    real, calls = getattr(module, name), []

    def fail(*arguments):
        calls.append(name)
        if len(calls) == call:
            raise ValueError("out of shape")
        return real(*arguments)

    monkeypatch.setattr(module, name, fail)
    arguments = (modelled.clusters, modelled.graph, modelled.collection, modelled.features)
    reconstruct_shard(0, 1, *arguments, tmp_path / "m.h5", tmp_path / "colmap", tmp_path / "state", 4, seed=0)
    models, rejected = unpack_models(artefact.read(tmp_path / "m.h5", "models"))
    assert len(models) == 1 and rejected == [(1 - models[0]["cluster"], 9, f"mapping failed: {reason}")]
    assert [folder.name for folder in (tmp_path / "colmap").iterdir()] == [f"{models[0]['cluster']:04d}-0"]


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), MemoryError()])
@pytest.mark.parametrize(("module", "name"), [
    (reuse_earlier_models, "map_cluster"), (model_cache, "read_model"), (model_cache, "_digest_of"),
])  # fmt: skip
def test_an_error_of_the_system_is_no_clusters_fault(modelled, tmp_path, monkeypatch, module, name, error):
    def fail(*_):
        raise error

    arguments = (modelled.clusters, modelled.graph, modelled.collection, modelled.features)
    if module is model_cache:
        shutil.copytree(modelled.models.parent / "state", tmp_path / "state")
    monkeypatch.setattr(module, name, fail)
    with pytest.raises(type(error)):
        reconstruct_shard(0, 1, *arguments, tmp_path / "m.h5", tmp_path / "colmap", tmp_path / "state", 4, seed=0)
    assert not (tmp_path / "m.h5").exists()


def test_of_overlapping_models_the_larger_is_kept(modelled, tmp_path, monkeypatch):
    real = reuse_earlier_models.map_cluster

    def map_twice(photos, pairs, min_photos, *more):
        return [*real(photos, pairs, min_photos, *more), *real(*part(photos, pairs, range(6)), min_photos, *more)]

    monkeypatch.setattr(reuse_earlier_models, "map_cluster", map_twice)
    arguments = (modelled.clusters, modelled.graph, modelled.collection, modelled.features)
    reconstruct_shard(0, 1, *arguments, tmp_path / "m.h5", tmp_path / "colmap", tmp_path / "state", 4, seed=0)
    models, rejected = unpack_models(artefact.read(tmp_path / "m.h5", "models"))
    assert [len(model["photo"]) for model in models] == [9, 9]
    assert sorted(rejected) == [(cluster, 6, "6 of its photos are in a larger model") for cluster in (0, 1)]
    assert sorted(folder.name for folder in (tmp_path / "colmap").iterdir()) == ["0000-0", "0001-0"]


@pytest.mark.parametrize(("shared", "kept"), [(0, True), (5, True), (6, False), (9, False)])
def test_an_overlapping_model_with_photos_enough_of_its_own_stays(shared, kept):
    assert (find_duplicates(range(9), set(range(shared)), 4) == "") == kept


def test_models_of_unchanged_clusters_are_kept(modelled, tmp_path, monkeypatch):
    arguments = (modelled.clusters, modelled.graph, modelled.collection, modelled.features)
    mapped, real = [], reuse_earlier_models.map_cluster
    monkeypatch.setattr(reuse_earlier_models, "map_cluster", lambda *arguments: mapped.append(len(arguments[0])) or real(*arguments))

    def built(seed=0, code=""):
        mapped.clear()
        reconstruct_shard(0, 1, *arguments, tmp_path / "m.h5", tmp_path / "colmap", tmp_path / "state", 4, seed, code=code)
        return len(mapped), (tmp_path / "m.h5").read_bytes() == modelled.shard.read_bytes()

    assert built() == (2, True)
    files = {path.relative_to(tmp_path): path.read_bytes() for path in (tmp_path / "colmap").rglob("*.bin")}
    assert built() == (0, True), "and the artefact is the same"
    assert {path.relative_to(tmp_path): path.read_bytes() for path in (tmp_path / "colmap").rglob("*.bin")} == files
    damaged = next((tmp_path / "state").rglob("points3D.bin"))
    damaged.unlink()
    damaged.write_bytes(b"half")
    assert built() == (1, True), "a damaged model is built again"
    # A model that was opened and saved again: it is the same file under two names.
    edited = next((tmp_path / "colmap").rglob("points3D.bin"))
    with open(edited, "rb+") as file:
        file.seek(100)
        file.write(b"\0\1")
    assert built() == (1, True), "changes by users have no effect on later runs"
    assert built(code="edited")[0] == 2 and built(seed=1)[0] == 2
    assert len(list((tmp_path / "state").iterdir())) == 6
    gather_models([tmp_path / "m.h5"], modelled.collection, tmp_path / "models.h5", tmp_path / "state")
    assert len(list((tmp_path / "state").iterdir())) == 2, "models that this run did not use are deleted"
    assert built(seed=1)[0] == 0


def test_models_of_a_cluster_that_has_grown_are_extended(modelled, tmp_path, monkeypatch):
    whole = artefact.read(modelled.clusters, "clusters")
    first = whole["photo"][: whole["offset"][1]]
    mapped = []
    real = reuse_earlier_models.map_cluster
    monkeypatch.setattr(reuse_earlier_models, "map_cluster", lambda *arguments: mapped.append(len(arguments[0])) or real(*arguments))

    def built(photos, lineage, state="state"):
        """Photos of every mapping, and the models."""
        mapped.clear()
        offset = np.array([0, len(photos), len(photos) + len(whole["photo"]) - len(first)])
        changed = {**whole, "photo": np.concatenate([photos, whole["photo"][len(first) :]]), "offset": offset}
        artefact.write(tmp_path / "clusters.h5", "clusters", changed, {"lineage": lineage})
        arguments = (tmp_path / "clusters.h5", modelled.graph, modelled.collection, modelled.features)
        reconstruct_shard(0, 1, *arguments, tmp_path / "m.h5", tmp_path / "colmap", tmp_path / state, 4, seed=0)
        return sorted(mapped), unpack_models(artefact.read(tmp_path / "m.h5", "models"))[0]

    assert built(first[:-2], "then")[0] == [7, 9]
    nothing, models = built(first, "then")
    assert nothing == []
    (model,) = (model for model in models if model["cluster"] == 0)
    assert model["photo"].tolist() == first.tolist()
    cameras = [modelled.records[photo].shot.camera for photo in model["photo"]]
    assert np.median(aligned_errors(centres(model), np.array([camera.centre for camera in cameras]))) < 0.02
    extended = (tmp_path / "m.h5").read_bytes()
    assert built(first, "then")[0] == [] and (tmp_path / "m.h5").read_bytes() == extended, "and is kept like others"
    assert built(first[:-1], "then")[0] == [], "the earlier one, extended by one"
    for folder in (tmp_path / "state").iterdir():
        if len(pycolmap.Reconstruction(str(folder / "0")).images) == 7:
            next(folder.rglob("images.bin")).write_bytes(b"half")
    assert built(first[:-2], "then")[0] == [7], "without a photo its models are built again, and a damaged model is not extended"
    assert built(first[:-2], "then", "other")[0] == [7, 9] and built(first, "now", "other")[0] == [9], "clusters made in another way"


def test_an_error_without_a_message_is_recorded_too(modelled, tmp_path, monkeypatch):
    def fail(*_):
        raise RuntimeError

    monkeypatch.setattr(reuse_earlier_models, "map_cluster", fail)
    arguments = (modelled.clusters, modelled.graph, modelled.collection, modelled.features)
    reconstruct_shard(0, 1, *arguments, tmp_path / "m.h5", tmp_path / "colmap", tmp_path / "state", 4, seed=0)
    assert all("RuntimeError" in reason for *_, reason in unpack_models(artefact.read(tmp_path / "m.h5", "models"))[1])


def test_a_cluster_that_makes_no_model_is_recorded(modelled, tmp_path):
    """Matches that fit no 3D scene."""
    rng = np.random.default_rng(0)
    none = np.flatnonzero(modelled.landmark < 0)
    pairs = [(a, b) for a in none for b in none if a < b]
    graph = {
        "pair": np.array(pairs, np.int32),
        "inliers": np.full(len(pairs), 30, np.int32),
        "unmoved": np.zeros(len(pairs), np.float32),
        "fundamental": rng.random((len(pairs), 3, 3)),
        "match_offset": artefact.offsets([30] * len(pairs)),
        "match": np.tile(rng.permutation(30).astype(np.int32), (2, len(pairs))).T,
        "queried": np.ones(len(modelled.landmark), bool),
        "verified": np.zeros(len(modelled.landmark), np.int32),
    }
    artefact.write(tmp_path / "graph.h5", "graph", graph)
    cut_clusters(tmp_path / "graph.h5", tmp_path / "clusters.h5", 4, 40)
    arguments = (tmp_path / "clusters.h5", tmp_path / "graph.h5", modelled.collection, modelled.features)
    (tmp_path / "colmap").mkdir()
    (tmp_path / "colmap/old").touch()
    reconstruct_shard(0, 1, *arguments, tmp_path / "m.h5", tmp_path / "colmap", tmp_path / "state", 4, seed=0)
    models, rejected = unpack_models(artefact.read(tmp_path / "m.h5", "models"))
    assert not models and [(cluster, photos) for cluster, photos, _ in rejected] == [(0, 4)]
    assert "no model of 4 photos or more" in rejected[0][2]
    assert list((tmp_path / "colmap").iterdir()) == []


def test_a_camera_that_never_moved_is_the_reason_for_no_model(modelled, tmp_path):
    """A cluster of which almost all pairs have their inliers at the same places in both photos."""
    none = np.flatnonzero(modelled.landmark < 0)
    pairs = np.array([(a, b) for a in none for b in none if a < b], np.int32)
    graph = {"pair": pairs, "fundamental": np.zeros((len(pairs), 3, 3)), "match_offset": np.zeros(len(pairs) + 1, np.int64)}
    graph |= {"match": np.zeros((0, 2), np.int32), "unmoved": np.full(len(pairs), 0.95, np.float32)}
    clusters = {"offset": np.array([0, len(none)]), "photo": none.astype(np.int32), "bridge/pair": np.zeros((0, 2), np.int32)}
    artefact.write(tmp_path / "clusters.h5", "clusters", clusters)
    reasons = []
    for moved in (0.0, 0.9):
        graph["unmoved"][0] -= np.float32(moved)
        artefact.write(tmp_path / "graph.h5", "graph", graph)
        inputs = _Inputs(tmp_path / "clusters.h5", tmp_path / "graph.h5", modelled.collection, modelled.features)
        reasons.append(inputs.why_no_model(0, 3))
    assert reasons == ["no model: the camera did not move between its 4 photos", "no model of 3 photos or more could be built"]


def test_absurd_models_are_not_believed():
    model = {"point": np.zeros((50, 3)), "focal": np.array([500.0, 700, 650, 20])}
    side = np.full(4, 640)
    assert implausible(model, side) == ""
    assert implausible({**model, "point": np.zeros((49, 3))}, side) == "only 49 points"
    assert implausible({**model, "focal": np.array([500.0, 9000, 8000, 20])}, side).startswith("75% of the cameras")


@pytest.mark.parametrize("shards", [1, 2, 5, 9])
def test_clusters_are_dealt_out_evenly(shards):
    weights = np.random.default_rng(0).integers(1, 100, 40)
    hands = balance(weights, shards)
    assert len(hands) == shards and sorted(cluster for hand in hands for cluster in hand) == list(range(40))
    loads = [weights[hand].sum() for hand in hands]
    assert max(loads) - min(loads) <= weights.min() + np.sort(weights)[: 2 * shards].max()
    assert all((np.diff(weights[hand]) <= 0).all() for hand in hands)


def test_more_shards_than_clusters_leave_some_empty():
    assert balance(np.array([5, 9]), 3) == [[1], [0], []] and balance(np.zeros(0, int), 2) == [[], []]


def test_packing_loses_nothing():
    models = [model_of([4, 2, 9], cluster=3), model_of([1, 0], points=50, cluster=5), model_of([7], points=52, cluster=6, seen=[0])]
    rejected = [(1, 20, "only 3 points"), (2, 5, "no model")]
    packed = pack_models(models, rejected)
    back, dropped = unpack_models(packed)
    assert dropped == rejected and len(back) == 3
    for model, again in zip(models, back, strict=True):
        assert model.keys() == again.keys()
        for name in ("photo", "focal", "k1", "rotation", "translation", "point", "color", "cluster", "error"):
            np.testing.assert_array_equal(model[name], again[name])
        for seen, seen_again in zip(model["observations"], again["observations"], strict=True):
            np.testing.assert_array_equal(seen, seen_again)
    assert packed["observation/point"].max() < 162 and packed["photo_offset"].tolist() == [0, 3, 5, 6]


def test_no_models_can_be_packed(tmp_path):
    artefact.write(tmp_path / "m.h5", "models", pack_models([], []))
    assert unpack_models(artefact.read(tmp_path / "m.h5", "models")) == ([], [])


def test_gathered_models_are_sorted_by_size_then_cluster(tmp_path):
    shards = [([model_of([0, 1, 2], cluster=4), model_of([3, 4], cluster=2)], [(9, 5, "b")]), ([model_of([5, 6, 7, 8], cluster=7)], [])]
    shards.append(([model_of([9, 10, 11], cluster=1)], [(3, 5, "a")]))
    found = gathered(tmp_path, shards, 13)
    assert found["cluster"].tolist() == [7, 1, 4, 2]
    assert found["model"].tolist() == [2, 2, 2, 3, 3, 0, 0, 0, 0, 1, 1, 1, -1]
    assert found["rejected/cluster"].tolist() == [3, 9] and found["rejected/reason"] == ["a", "b"]


def test_without_a_model_the_reasons_are_counted(tmp_path):
    shards = [([], [(0, 5, "only 3 points"), (2, 4, "no model")]), ([], [(1, 5, "only 3 points")])]
    with pytest.raises(EmptyStageError, match=r"^models: no 3D model came of the clusters \(2 x only 3 points, 1 x no model\); add photos"):
        gathered(tmp_path, shards, 5)


def test_names_that_colmap_cannot_read_are_escaped(modelled, tmp_path):
    """A cluster must not lose its model to the name of one photo."""
    photos = artefact.read(modelled.collection, "collection")
    photos["name"] = [name if row % 2 else f"{row}\n\udcff é\u2028.jpg" for row, name in enumerate(photos["name"])]
    artefact.write(tmp_path / "collection.h5", "collection", photos)
    arguments = (modelled.clusters, modelled.graph, tmp_path / "collection.h5", modelled.features)
    reconstruct_shard(0, 1, *arguments, tmp_path / "m.h5", tmp_path / "colmap", tmp_path / "state", 4, seed=0)
    found, expected = (artefact.read(path, "models") for path in (tmp_path / "m.h5", modelled.shard))
    assert all(np.array_equal(found[name], expected[name]) for name in expected if name != "kept")
    names = [image.name for folder in (tmp_path / "colmap").iterdir() for image in pycolmap.Reconstruction(folder).images.values()]
    assert any(r"\n\udcff é\u2028" in name for name in names) and all(name.isprintable() for name in names)


def test_a_photo_of_two_models_belongs_to_the_one_that_sees_more_through_it(tmp_path):
    large = model_of([0, 1, 2], seen=[30, 10, 20])
    small = model_of([1, 2], seen=[25, 15])
    found = gathered(tmp_path, [([small, large], [])], 3)
    assert found["model"].tolist() == [0, 1, 0]
    assert found["photo"].tolist() == [0, 1, 2, 1, 2], "both models keep their views"


@pytest.mark.parametrize("room", ["16k", "64k"])
def test_a_full_disk_is_reported_and_not_blamed_on_the_cluster(modelled, tmp_path, room, monkeypatch):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={room}", "tmpfs", disk], capture_output=True, check=False).returncode:
        pytest.skip("NOT RUN: needs the right to mount a small disk")
    try:
        model = pycolmap.Reconstruction(str(next(modelled.colmap.iterdir())))
        with pytest.raises(WriteError, match="cannot be written"):
            ModelCache(disk / "kept").save(Source(["view"], [], "", ""), [model])
        monkeypatch.setattr(tempfile, "tempdir", str(disk))
        arguments = (modelled.clusters, modelled.graph, modelled.collection, modelled.features)
        with pytest.raises(WriteError, match="no room for COLMAP's database"):
            reconstruct_shard(0, 1, *arguments, tmp_path / "shard.h5", tmp_path / "colmap", tmp_path / "state", min_photos=4, seed=0)
        assert not (tmp_path / "shard.h5").exists()
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)  # COLMAP leaves a database open that it could not begin
