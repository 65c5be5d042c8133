"""COLMAP models of a user: their content is imported, and other files are refused with a reason."""

import shutil

import numpy as np
import pycolmap
import pytest

from bow2cnn.core import artefact
from bow2cnn.core.empty_stage import EmptyStageError
from bow2cnn.reconstruction.folders import model_files
from bow2cnn.reconstruction.import_models import read_models
from bow2cnn.reconstruction.photo_names import Found, KnownNames


@pytest.fixture
def own(modelled, tmp_path):
    """Folder `colmap` with copies of our models, one of them as text, one level deeper."""
    first, *others = sorted(path for path in modelled.colmap.iterdir())
    (tmp_path / "colmap/0000/text").mkdir(parents=True)
    pycolmap.Reconstruction(str(first)).write_text(str(tmp_path / "colmap/0000/text"))
    for path in others:
        shutil.copytree(path, tmp_path / "colmap" / path.name)
    return tmp_path


def read(modelled, folder, min_photos=4):
    read_models(folder / "colmap", modelled.collection, folder / "models.h5", min_photos)
    return artefact.read(folder / "models.h5", "models")


def test_our_own_models_come_back(modelled, own):
    """From binary files and text, whatever COLMAP wrote about them: photos, cameras, points, and who sees them."""
    found, expected = read(modelled, own), artefact.read(modelled.models, "models")
    for name in ("photo_offset", "photo", "model", "observation/point", "observation/feature", "sha256", "point_offset"):
        np.testing.assert_array_equal(found[name], expected[name], name)
    for name in ("focal", "k1", "rotation", "translation", "point", "error"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-5, atol=1e-5, err_msg=name)
    assert len(found["rejected/reason"]) == 0 and len(expected["cluster"]) == 2


def test_image_names_are_paths_below_the_photo_folder(modelled, own):
    """As COLMAP has them that ran on the folder; photos that are not there are left out."""
    place = next(path for path in sorted((own / "colmap").iterdir()) if path.name != "0000")
    shutil.rmtree(own / "colmap/0000")
    model, gone = pycolmap.Reconstruction(str(place)), None
    name_of = {bytes(sha256).hex()[:12]: name for sha256, name in zip(modelled.photos["sha256"], modelled.photos["name"], strict=True)}
    for number in model.reg_image_ids():
        image = model.images[number]
        image.name = name_of[image.name.split("/")[0]]
        if gone is None:
            gone, image.name = image.name, "elsewhere.jpg"
    model.write(str(place))
    found = read(modelled, own)
    names = {modelled.photos["name"][row] for row in found["photo"]}
    assert len(names) == model.num_reg_images() - 1 and gone not in names
    assert {modelled.landmark[row] for row in found["photo"]} in ({0}, {1})


def test_a_model_whose_photos_name_points_that_are_not_there_is_rejected(modelled, own):
    broken = own / "colmap/0000/text"
    lines = (broken / "points3D.txt").read_text().splitlines()
    (broken / "points3D.txt").write_text("\n".join(lines[:-20]))
    found = read(modelled, own)
    assert len(found["cluster"]) == 1 and len(found["rejected/reason"]) == 1
    assert found["rejected/reason"][0].startswith(f"{broken}: ")


def test_focal_lengths_are_of_the_photos_and_not_of_what_colmap_saw(modelled, own):
    shutil.rmtree(own / "colmap/0000")
    before = read(modelled, own)
    place = next((own / "colmap").iterdir())
    model = pycolmap.Reconstruction(str(place))
    for camera in model.cameras.values():
        camera.rescale(0.5)
    model.write(str(place))
    np.testing.assert_allclose(read(modelled, own)["focal"], before["focal"], rtol=0.01)


def test_what_is_no_model_is_rejected_and_the_others_stay(modelled, own):
    (own / "colmap/broken").mkdir()
    for name in ("cameras.bin", "images.bin", "points3D.bin"):
        (own / "colmap/broken" / name).write_bytes(b"\x01")
    found = read(modelled, own)
    assert len(found["cluster"]) == 2 and len(found["rejected/reason"]) == 1
    assert f"{own}/colmap/broken: " in found["rejected/reason"][0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: shutil.rmtree(folder / "colmap/0000"), "only 9 photos of the collection"),
        (
            lambda folder: [path.unlink() for path in folder.glob("colmap/**/points3D.*")],
            "holds no COLMAP model (cameras, images and",
        ),
    ],
)
def test_no_model_is_one_clear_line(modelled, own, change, message):
    change(own)
    with pytest.raises(EmptyStageError) as caught:
        read(modelled, own, min_photos=30)
    assert message in str(caught.value) and str(own / "colmap") in str(caught.value) and "\n" not in str(caught.value)


def test_photos_of_others_are_one_clear_line(modelled, own):
    shutil.rmtree(own / "colmap/0000")
    for place in (own / "colmap").iterdir():
        model = pycolmap.Reconstruction(str(place))
        for image in model.images.values():
            image.name = f"other/{image.name}"
        model.write(str(place))
    with pytest.raises(EmptyStageError, match=r"only 0 photos of the coll.*no photo is called other/.*image names have to be paths below"):
        read(modelled, own)


PHOTOS = {
    "path": ["/p/one/a b.jpg", "/p/one/deep/c.jpg", "/p/two/c.jpg", "/p/two/deep/d.jpg", "/p/two/e (1).jpg", "/p/two/a b.jpg"],
    "name": ["a b.jpg", "deep/c.jpg", "c.jpg", "deep/d.jpg", "e (1).jpg", "a b.jpg"],
    "sha256": np.arange(192, dtype=np.uint8).reshape(6, 32),
    "rejected/path": ["/p/two/e.jpg", "/p/two/broken.jpg", "/p/one/copy.jpg"],
    "rejected/reason": ["same bytes as /p/two/e (1).jpg", "damaged", "same bytes as /p/two/c.jpg"],
}


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("deep/d.jpg", 3),
        (r"deep\d.jpg", 3),
        ("./deep/d.jpg", 3),
        ("d.jpg", 3),
        ("/p/one/deep/c.jpg", 1),
        ("c.jpg", 2),  # its whole path below its folder
        ("one/deep/c.jpg", 1),
        ("two/c.jpg", 2),
        ("/p/one/a b.jpg", 0),
        ("two/a b.jpg", 5),
        ("e (1).jpg", 4),
        ("e.jpg", 4),
        ("copy.jpg", 2),
        ("202122232425/deep/c.jpg", 1),
        ("a b.jpg", "several"),
        ("broken.jpg", None),
        ("ep/d.jpg", None),
        ("/deep/d.jpg", None),
        ("/other/deep/d.jpg", None),
        ("other/deep/d.jpg", None),
        ("C:/p/one/deep/c.jpg", None),
        ("", None),
        ("/", None),
    ],
)
def test_names_of_other_programs_are_found_where_they_mean_one_photo(name, row):
    """Cases P6, P8, P9: blanks, backslashes, no folder, whole paths, two folders with the same names, copies."""
    found = KnownNames(PHOTOS, ["/p/one", "/p/two"]).find(name)
    assert found == Found(row if isinstance(row, int) else -1, several=row == "several", ours=name.startswith("202122"))


def test_photos_of_models_that_are_not_taken_are_counted_by_reason(modelled, own, caplog):
    """Cases P6, P8: one name each is shown, in the log and in the artefact; two names of one photo are that photo once."""
    shutil.rmtree(own / "colmap/0000")
    place = next((own / "colmap").iterdir())
    model = pycolmap.Reconstruction(str(place))
    first, second, third, fourth = sorted(model.images)[:4]
    photos = artefact.read(modelled.collection, "collection")
    row = KnownNames(photos, []).find(model.images[first].name).row
    twin, double = "/else/twin.jpg", "/else/double/twin.jpg"
    other = KnownNames(photos, []).find(model.images[third].name).row
    photos["rejected/path"] += [twin, double]
    photos["rejected/reason"] += [f"same bytes as {photos['path'][row]}", f"same bytes as {photos['path'][other]}"]
    artefact.write(own / "collection.h5", "collection", photos, {"photos": [str(photos["path"][0])]})
    model.images[second].name, model.images[third].name, model.images[fourth].name = "/else/twin.jpg", "twin.jpg", "no\x1b.jpg"
    model.write(str(place))
    read_models(own / "colmap", own / "collection.h5", own / "models.h5", 2)
    with artefact.Reader(own / "models.h5", "models") as reader:
        assert reader.params["left_out"] == [
            [1, r"registered photos are not in the collection, such as no\x1b.jpg"],
            [1, "registered photos have names that several photos of the collection have, such as twin.jpg"],
            [1, f"registered photos have the bytes of another photo of their model, such as {model.images[first].name}"],
        ]
        assert all(f"models: {count} {reason}" in caplog.text for count, reason in reader.params["left_out"])
        assert len(reader["photo"]) == model.num_reg_images() - 3 and row in reader["photo"]


def test_cameras_without_a_focal_length_are_named(modelled, own):
    """Case P7."""
    shutil.rmtree(own / "colmap/0000")
    place = next((own / "colmap").iterdir())
    model = pycolmap.Reconstruction(str(place))
    for camera in model.cameras.values():
        camera.model, camera.params = pycolmap.CameraModelId.EQUIRECTANGULAR, [camera.width, camera.height]
    model.write(str(place))
    with pytest.raises(EmptyStageError, match=r"cameras of the model EQUIRECTANGULAR are not supported"):
        read(modelled, own)


def test_model_files_are_whole_models_of_one_kind(tmp_path):
    for name in ("a/cameras.bin", "a/images.bin", "b/cameras.bin", "b/images.txt", "b/points3D.bin", "c/d/cameras.txt", "c/d/images.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "c/d/points3D.txt").touch()
    (tmp_path / "c/d/frames.txt").touch()
    (tmp_path / "c/d/notes.txt").touch()
    found = [str(path.relative_to(tmp_path)) for path in model_files(tmp_path)]
    assert found == ["c/d/cameras.txt", "c/d/frames.txt", "c/d/images.txt", "c/d/points3D.txt"]
