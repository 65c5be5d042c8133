"""Exports for COLMAP and hloc, and models of COLMAP's: photos of all of EXIF's orientations lie where other programs look for them."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pycolmap
import pytest
from PIL import Image

from bow2cnn.cli import main
from bow2cnn.collection.scan import scan
from bow2cnn.core import artefact
from bow2cnn.export.colmap_folders import export_colmap
from bow2cnn.export.hloc import export_hloc
from bow2cnn.export.names import names_for_others
from bow2cnn.photos.decode import read_header, read_rgb
from bow2cnn.photos.orientation import is_mirrored, is_sideways, place_in_file, size_in_file
from bow2cnn.reconstruction.colmap import name_in_colmap, write_model
from bow2cnn.reconstruction.import_models import read_models
from bow2cnn.run.run import Run
from bow2cnn_demo.photo import exif

ORIENTATIONS = range(1, 9)
# How a picture that EXIF turns is stored: what undoes Pillow's turning.
STORE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
WIDTH, HEIGHT, FOCAL = 160, 120, 150.0
FORMATS = ("JPEG", "PNG", "TIFF")


def save(image, path, orientation, form="JPEG"):
    """A photo whose file has an orientation, and which is this image when it is seen upright."""
    stored = image.transpose(STORE[orientation]) if orientation in STORE else image
    stored.save(path, form, exif=exif(None, orientation), **({"quality": 98, "subsampling": 0} if form == "JPEG" else {}))


def spot(x, y):
    """An image that is black but for a bright spot with its middle there."""
    columns, rows = np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5)
    value = 255 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 18)
    return Image.fromarray(np.repeat(value[..., None], 3, 2).astype(np.uint8))


def middle(gray):
    """Where the bright spot of a grey image is, float64 [2]."""
    gray = gray.astype(np.float64) * (gray > 30)
    rows, columns = np.indices(gray.shape) + 0.5
    return np.array([(columns * gray).sum(), (rows * gray).sum()]) / gray.sum()


def as_it_lies(path):
    """The pixels of a file as COLMAP reads them, uint8 [h, w]."""
    return pycolmap.Bitmap.read(path, False).to_array()


@pytest.fixture
def run(tmp_path):
    """The results of a run on eight photos of a point, one of every orientation, that have a model; the point is feature 3 of each."""
    (tmp_path / "photos").mkdir()
    rng = np.random.default_rng(0)
    target = np.array([0.3, -0.2, 0.1])
    poses, spots = [], []
    for number in range(len(ORIENTATIONS)):
        angle = 0.1 * (number - 4)
        rotation = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
        xyz = rotation @ target + [0, 0, 4]
        spots.append(FOCAL * xyz[:2] / xyz[2] + [WIDTH / 2, HEIGHT / 2])
        poses.append(pycolmap.Rigid3d(pycolmap.Rotation3d(rotation), [0, 0, 4.0]))
        save(spot(*spots[-1]), tmp_path / f"photos/{number + 1}.jpg", number + 1)
    results = tmp_path / "run"
    scan([tmp_path / "photos"], results / "collection", 1, 64, 10**7)
    photos = artefact.read(results / "collection/collection.h5", "collection")
    row_of = {name: row for row, name in enumerate(photos["name"])}
    numbers = [int(Path(name).stem) - 1 for name in photos["name"]]
    keypoint = rng.uniform(10, 110, (8, 5, 6)).astype(np.float32)
    keypoint[:, 3, :2] = [spots[number] for number in numbers]
    features = {"offset": artefact.offsets([5] * 8), "keypoint": keypoint.reshape(-1, 6), "descriptor": np.ones((40, 128), np.uint8)}
    features |= {"sha256": photos["sha256"], "scale": np.full((8, 2), [2.0, 2.5], np.float32)}
    artefact.write(results / "features/shard-000.h5", "features", features)
    graph = {"pair": np.array([[0, 1]], np.int32), "match_offset": artefact.offsets([1]), "match": np.array([[3, 3]], np.int32)}
    artefact.write(results / "clustering/graph.h5", "graph", {**graph, "sha256": photos["sha256"]})
    model = pycolmap.Reconstruction()
    point = model.add_point3D(target, pycolmap.Track(), np.zeros(3, np.uint8))
    for row, number in enumerate(numbers):
        camera = pycolmap.Camera.create_from_model_name(row + 1, "SIMPLE_RADIAL", FOCAL, WIDTH, HEIGHT)
        model.add_camera_with_trivial_rig(camera)
        image = pycolmap.Image(name_in_colmap(photos["sha256"][row], photos["name"][row]), keypoint[row, :, :2], camera_id=row + 1)
        image.image_id = row + 1
        model.add_image_with_trivial_frame(image, poses[number])
        model.add_observation(point, pycolmap.TrackElement(row + 1, 3))
    (results / "reconstruction/colmap-00").mkdir(parents=True)
    write_model(model, results / "reconstruction/colmap-00/0000-0")
    return SimpleNamespace(results=results, photos=photos, row_of=row_of, poses=poses, spots=spots, target=target)


def test_the_spot_is_where_it_is_meant_to_be(run):
    """The photos of these tests: upright to us, and as EXIF says for others."""
    for orientation, (x, y) in zip(ORIENTATIONS, run.spots, strict=True):
        path = run.photos["path"][run.row_of[f"{orientation}.jpg"]]
        assert np.abs(middle(read_rgb(path)[..., 0]) - [x, y]).max() < 0.2
        assert read_header(path, 1, 10**6)["orientation"] == orientation


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("form", FORMATS)
def test_places_in_a_file_are_as_colmap_reads_it(tmp_path, form, orientation):
    save(spot(30, 50), tmp_path / "photo", orientation, form)
    found = as_it_lies(tmp_path / "photo")
    assert found.shape[::-1] == size_in_file((WIDTH, HEIGHT), orientation)
    np.testing.assert_allclose(middle(found), place_in_file(np.array([30.0, 50.0]), (WIDTH, HEIGHT), orientation), atol=0.2)


def test_the_export_for_hloc_is_in_pixels_of_the_files(run, tmp_path):
    export_hloc(Run.open(run.results), tmp_path / "hloc")
    with h5py.File(tmp_path / "hloc/features.h5") as file:
        for orientation in ORIENTATIONS:
            group, path = file[f"{orientation}.jpg"], run.photos["path"][run.row_of[f"{orientation}.jpg"]]
            found = as_it_lies(path)
            assert group["image_size"][()].tolist() == list(found.shape[::-1])
            np.testing.assert_allclose(group["keypoints"][3] + 0.5, middle(found), atol=0.2)
            assert group["keypoints"].dtype == np.float32 and group["keypoints"].attrs["uncertainty"] == 2.25


def test_colmap_undistorts_the_photos_of_our_models(run, tmp_path):
    """Under their own names, by their own files; mirrored ones are copies. The point is seen where every photo shows it."""
    assert export_colmap(Run.open(run.results), tmp_path / "out") == (1, 8, 4, [])
    model = pycolmap.Reconstruction(str(tmp_path / "out/sparse/0000-0"))
    names = {image.name for image in model.images.values()}
    assert names == {f"{orientation}.jpg" for orientation in ORIENTATIONS}
    for image in model.images.values():
        orientation = int(Path(image.name).stem)
        placed = tmp_path / "out/images" / image.name
        assert placed.is_symlink() != is_mirrored(orientation)
        found = as_it_lies(placed)
        assert (image.camera.width, image.camera.height) == found.shape[::-1]
        np.testing.assert_allclose(image.points2D[3].xy, middle(found), atol=0.2)
        np.testing.assert_allclose(image.project_point(run.target), middle(found), atol=0.2)
        np.testing.assert_allclose(image.projection_center(), run.poses[orientation - 1].inverse().translation, atol=1e-9)
    pycolmap.undistort_images(tmp_path / "dense", tmp_path / "out/sparse/0000-0", tmp_path / "out/images")
    made = pycolmap.Reconstruction(str(tmp_path / "dense/sparse"))
    assert made.num_reg_images() == 8
    for image in made.images.values():
        found = as_it_lies(tmp_path / "dense/images" / image.name)
        np.testing.assert_allclose(image.project_point(run.target), middle(found), atol=0.5)


def test_the_folder_of_the_photos_does_where_none_is_mirrored(run, tmp_path):
    export_colmap(Run.open(run.results), tmp_path / "out")
    names = [f"{orientation}.jpg" for orientation in ORIENTATIONS if not is_mirrored(orientation)]
    folder = Path(run.photos["path"][0]).parent
    pycolmap.undistort_images(tmp_path / "dense", tmp_path / "out/sparse/0000-0", folder, image_names=names)
    for name in names:
        assert (tmp_path / "dense/images" / name).exists()


def test_exports_are_not_mixed_and_photos_that_are_gone_are_told(run, tmp_path, capsys):
    gone = Path(run.photos["path"][run.row_of["6.jpg"]])
    gone.unlink()

    def command():
        with pytest.raises(SystemExit) as ended:
            main(["export", "colmap", str(run.results), str(tmp_path / "out")])
        return ended.value.code

    assert command() == 0
    said = capsys.readouterr()
    lines = ["1 models, 7 photos, 4 of them as upright copies", "1 photos of the models are left out"]
    assert said.out.splitlines() == [f"{tmp_path}/out: {line}" for line in lines]
    assert f"left out: {gone}: vanished\n" in said.err
    assert command() == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"error: {tmp_path}/out/sparse/0000-0: cannot be written (File exists)")


@pytest.mark.parametrize("upright", [False, True])
def test_models_of_the_user_have_upright_photos(run, tmp_path, upright):
    """COLMAP takes the files as they lie (mirrored ones give no models there), or the user gave it upright copies, at half their size."""
    model = pycolmap.Reconstruction(str(run.results / "reconstruction/colmap-00/0000-0"))
    export_colmap(Run.open(run.results), tmp_path / "out")
    lying = pycolmap.Reconstruction(str(tmp_path / "out/sparse/0000-0"))
    for number, image in model.images.items():
        image.name = lying.images[number].name
    given = model if upright else lying
    for camera in given.cameras.values():
        camera.rescale(0.5)
    shutil.rmtree(tmp_path / "out/sparse")
    (tmp_path / "given").mkdir()
    write_model(given, tmp_path / "given/0")
    arrays = read(run, tmp_path / "given", tmp_path)
    names = [run.photos["name"][row] for row in arrays["photo"]]
    assert sorted(names) == sorted(run.row_of)
    for name, focal, rotation, translation in zip(names, *(arrays[key] for key in ("focal", "rotation", "translation")), strict=True):
        orientation = int(Path(name).stem)
        assert focal == pytest.approx(FOCAL)
        if is_sideways(orientation) or not upright:  # upright files of the others do not tell themselves from those as they lie
            np.testing.assert_allclose(rotation, run.poses[orientation - 1].rotation.matrix(), atol=1e-9)
            np.testing.assert_allclose(translation, run.poses[orientation - 1].translation, atol=1e-9)


@pytest.mark.parametrize(
    ("names", "left_out", "pairs"),
    [
        ({0: "a b.jpg"}, ["a b.jpg: has a blank or a control character, where hloc would split a line of its list of pairs"], []),
        ({2: "a/b.jpg", 3: "a-b.jpg"}, ["a-b.jpg: hloc would confuse it with a/b.jpg"], [(0, 1)]),
        (
            {5: "x\u3000y.jpg"},
            ["x\\u3000y.jpg: has a blank or a control character, where hloc would split a line of its list of pairs"],
            [(0, 1)],
        ),
    ],
)
def test_photos_with_names_that_hloc_would_misread_are_left_out(run, tmp_path, capsys, names, left_out, pairs):
    """Case P15: the others are exported, and it is said which are not."""
    rename(run, names)
    with pytest.raises(SystemExit) as ended:
        main(["export", "hloc", str(run.results), str(tmp_path / "hloc")])
    said = capsys.readouterr()
    assert ended.value.code == 0
    assert said.out.splitlines() == [
        f"{tmp_path}/hloc: 7 photos, {len(pairs)} verified pairs",
        f"{tmp_path}/hloc: 1 photos and their {1 - len(pairs)} verified pairs are left out",
    ]
    assert [line for line in said.err.splitlines() if line.startswith("left out")] == [f"left out: {line}" for line in left_out]
    assert len((tmp_path / "hloc/pairs.txt").read_text().splitlines()) == len(pairs)
    with h5py.File(tmp_path / "hloc/features.h5") as file:
        assert sum("keypoints" in name for name in visited(file)) == 7


def test_no_name_that_hloc_can_read_is_one_line(run, tmp_path, capsys):
    rename(run, {row: f"my photos/{row}.jpg" for row in range(8)})
    with pytest.raises(SystemExit) as ended:
        main(["export", "hloc", str(run.results), str(tmp_path / "hloc")])
    assert ended.value.code == 1 and not (tmp_path / "hloc").exists()
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: my photos/0.jpg: has a blank")


def test_photos_of_two_folders_with_one_name_have_their_whole_paths(tmp_path):
    photos = {"name": ["a.jpg", "a.jpg"], "path": ["../one/a.jpg", "/two/a.jpg"]}
    assert names_for_others(photos) == [str(Path.cwd().parent / "one/a.jpg")[1:], "two/a.jpg"]
    assert names_for_others({"name": ["a.jpg", "b.jpg"], "path": photos["path"]}) == ["a.jpg", "b.jpg"]


def rename(run, names):
    """Other names for rows of the run's collection."""
    path = run.results / "collection/collection.h5"
    with artefact.Reader(path, "collection") as reader:
        params = reader.params
    arrays = artefact.read(path, "collection")
    for row, name in names.items():
        arrays["name"][row] = name
    artefact.write(path, "collection", arrays, params)


def visited(file):
    found = []
    file.visit(found.append)
    return found


def read(run, folder, out):
    """What is read of models in a folder, however few points they have."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bow2cnn.reconstruction.import_models.implausible", lambda *_: "")
        read_models(folder, run.results / "collection/collection.h5", out / "models.h5", 2)
    return artefact.read(out / "models.h5", "models")
