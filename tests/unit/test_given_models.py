"""COLMAP models that a user has: what they hold arrives, what is none is refused with a reason."""

import shutil

import numpy as np
import pycolmap
import pytest

from bow2cnn import artefact
from bow2cnn.nothing import NothingFound
from bow2cnn.reconstruction.folders import model_files
from bow2cnn.reconstruction.given import read_models


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
    with pytest.raises(NothingFound) as caught:
        read(modelled, own, min_photos=30)
    assert message in str(caught.value) and str(own / "colmap") in str(caught.value) and "\n" not in str(caught.value)


def test_photos_of_others_are_one_clear_line(modelled, own):
    shutil.rmtree(own / "colmap/0000")
    for place in (own / "colmap").iterdir():
        model = pycolmap.Reconstruction(str(place))
        for image in model.images.values():
            image.name = f"other/{image.name}"
        model.write(str(place))
    with pytest.raises(NothingFound, match=r"only 0 photos of the collection.*image names have to be paths below a folder of `photos`"):
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
