"""Databases of others: what is in one is checked, and nothing in it is run."""

import pickle

import numpy as np
import pytest

from bow2cnn import artefact
from bow2cnn.exchange.pickles import PickleError, read_plain
from bow2cnn.exchange.retrieval_sfm import DatabaseError, assign_classes, import_database, path_of
from bow2cnn.nothing import NothingFound

TRAIN = {"cids": ["a" * 6, "b" * 6, "c" * 6, "d" * 6], "cluster": [7, 7, 9, 9], "qidxs": [0, 2, 0], "pidxs": [1, 3, 1]}
VAL = {"cids": ["e" * 6, "f" * 6], "cluster": [7, 7], "qidxs": [1], "pidxs": [0]}


class Evil:
    def __reduce__(self):
        return print, ("it ran",)


def imported(folder, database, names):
    (folder / "d.pkl").write_bytes(pickle.dumps(database))
    artefact.write(folder / "c.h5", "collection", {"name": names, "sha256": np.arange(32 * len(names), dtype=np.uint8).reshape(-1, 32)})
    import_database(folder / "d.pkl", folder / "c.h5", folder / "p.h5")
    return artefact.read(folder / "p.h5", "pairs")


def test_pairs_are_those_of_the_database(tmp_path):
    """Rows are those of the collection; the same number on the two sides is two places; a photo that is not there costs its pairs."""
    names = ["x/stranger", "ee/ee/ee/eeeeee", "aa/aa/aa/aaaaaa", "ff/ff/ff/ffffff", "bbbbbb", "cccccc"]
    found = imported(tmp_path, {"train": TRAIN, "val": VAL}, names)
    assert found["query"].tolist() == [2, 3] and found["pool/photo"].tolist() == [4, 1] == found["positive"].tolist()
    assert found["pool_offset"].tolist() == [0, 1, 2] == found["positive_offset"].tolist()
    assert found["side"].tolist() == [0, 2, 1, 2, 1, 1]
    group = found["group"].tolist()
    assert group[0] == -1 and group[1] == group[3] and group[2] == group[4] and len({group[1], group[2], group[5]}) == 3
    assert found["cluster"].tolist() == group and found["weak"].shape == found["doubt"].shape == (0, 2)
    assert (found["pool/overlap"] == 1).all() and (found["pool/scale"] == 1).all()


def test_a_name_that_two_photos_have_is_nobodys(tmp_path):
    found = imported(tmp_path, {"train": TRAIN, "val": VAL}, ["aaaaaa", "bbbbbb", "x/aaaaaa", "cccccc", "dddddd"])
    assert found["query"].tolist() == [3] and found["pool/photo"].tolist() == [4] and found["group"][[0, 2]].tolist() == [-1, -1]


def test_lists_may_be_arrays(tmp_path):
    arrays = {side: {name: np.array(values) for name, values in lists.items()} for side, lists in (("train", TRAIN), ("val", VAL))}
    assert len(imported(tmp_path, arrays, ["aaaaaa", "bbbbbb"])["query"]) == 1


@pytest.mark.parametrize(
    ("train", "val", "reason"),
    [
        ([], VAL, "is no database of cnnimageretrieval"),
        ({"cids": []}, VAL, "is no database of cnnimageretrieval"),
        (TRAIN | {"cluster": [1]}, VAL, "lists of train have different lengths"),
        (TRAIN, VAL | {"qidxs": [2]}, "a pair of val names a photo that is not there"),
        (TRAIN, VAL | {"pidxs": [-1]}, "a pair of val names a photo that is not there"),
        (TRAIN | {"qidxs": ["x", 2, 0]}, VAL, "lists of train hold something else than names and whole numbers"),
        (TRAIN | {"pidxs": [0.5, 3, 1]}, VAL, "lists of train hold something else than names and whole numbers"),
        (TRAIN | {"cluster": [None, 7, 9, 9]}, VAL, "lists of train hold something else than names and whole numbers"),
        (TRAIN, VAL | {"cids": [["e"], "f"]}, "lists of val hold something else than names and whole numbers"),
        (TRAIN, VAL | {"cids": None}, "lists of val hold something else than names and whole numbers"),
        (TRAIN, VAL | {"cids": ["aaaaaa", "ffffff"]}, "photos for training are photos for validation too"),
        (Evil(), VAL, "holds builtins.print, which is no list, text, number or array"),
    ],
)
def test_what_is_no_database_is_one_line(tmp_path, capsys, train, val, reason):
    with pytest.raises(DatabaseError, match=reason) as caught:
        imported(tmp_path, {"train": train, "val": val}, ["aaaaaa"])
    assert str(caught.value).startswith(f"{tmp_path}/d.pkl: ") and "\n" not in str(caught.value)
    assert "it ran" not in capsys.readouterr().out and not (tmp_path / "p.h5").exists()


def test_photos_that_are_not_there_are_one_line(tmp_path):
    with pytest.raises(NothingFound, match=r"no pair of .* is among the photos; `photos` in the config has to name its folder"):
        imported(tmp_path, {"train": TRAIN, "val": VAL}, ["aaaaaa", "cccccc"])


ARRAYS = [
    np.arange(6, dtype=np.int64), np.arange(3, dtype=">i2"), np.arange(6.0).reshape(2, 3), np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    np.array(["a", "longer"]), np.array([b"xy", b"z"]), np.array([True, False]), np.zeros(0, np.uint8), np.float32(2.5), np.int64(-7),
]  # fmt: skip


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_and_numbers_come_as_lists_and_plain_numbers(tmp_path, protocol):
    (tmp_path / "d.pkl").write_bytes(pickle.dumps(ARRAYS, protocol))
    assert read_plain(tmp_path / "d.pkl") == [array.tolist() for array in ARRAYS]


class Forged:
    """An array of objects whose pointers are bytes of the file."""

    def __reduce__(self):
        return np.ndarray, ((1,), np.dtype("O"), b"ABCDEFGH")


class Fields:
    """A type whose fields hide objects."""

    def __reduce__(self):
        return np.dtype, ("V8", False, True), (3, "|", None, ("x",), {"x": (np.dtype("i8"), 0)}, 8, 1, 0)


@pytest.mark.parametrize("value", [Forged(), Fields(), np.array([{}], object), np.array([(1,)], "i4,")])
def test_types_of_objects_never_reach_numpy(tmp_path, value):
    (tmp_path / "d.pkl").write_bytes(pickle.dumps({"value": value}))
    with pytest.raises(PickleError, match=r"^holds an array of '(O8|V\d)', which are no numbers or texts$"):
        read_plain(tmp_path / "d.pkl")


def test_a_damaged_pickle_is_one_line(tmp_path):
    whole = pickle.dumps({"train": TRAIN, "val": VAL, "array": np.arange(50), "number": np.float32(3)})
    path = tmp_path / "d.pkl"
    path.write_bytes(whole)
    assert read_plain(path)["array"] == list(range(50)) and read_plain(path)["number"] == 3
    rng = np.random.default_rng(0)
    broken = 0
    for _ in range(300):
        content = bytearray(whole[: int(rng.integers(1, len(whole) + 1))])
        content[int(rng.integers(len(content)))] = int(rng.integers(256))
        path.write_bytes(content)
        try:
            read_plain(path)
        except PickleError as error:
            broken += 1
            assert "\n" not in str(error)
    assert broken > 150


def test_photos_lie_by_the_end_of_their_names():
    assert str(path_of("0123456789abcdef")) == "ef/cd/ab/0123456789abcdef"


def classes(places, caplog, outside=0, **changes):
    """Photo to class for places of three photos each, in clusters of their own, and photos outside; and what the log says."""
    caplog.clear()
    group = np.concatenate([np.repeat(np.arange(places), 3), places + np.arange(outside)])
    pairs = {"group": group, "cluster": np.where(group < places, group, -1), "weak": np.zeros((0, 2), int), "doubt": np.zeros((0, 2), int)}
    rows, found = assign_classes(pairs | {name: np.array(values) for name, values in changes.items()}, np.arange(len(group)), "train")
    return dict(zip(rows.tolist(), found.tolist(), strict=True)), caplog.text


def test_places_without_doubt_are_classes_of_their_own(caplog):
    found, log = classes(3, caplog, 2)
    assert found == {**{row: row // 3 for row in range(9)}, 9: 3, 10: 4} and not log


def test_places_in_doubt_are_one_class(caplog):
    """Also those of one cluster, which the pairs of the run make no negatives of each other either."""
    found, log = classes(6, caplog, doubt=[[16, 3], [8, 8]])
    assert [found[row] for row in range(0, 18, 3)] == [0, 1, 2, 3, 4, 1] and "in train 1 places that may show what another one shows" in log
    found, _ = classes(6, caplog, cluster=np.repeat([0, 1, 2, 2, 3, 4], 3))
    assert [found[row] for row in range(0, 18, 3)] == [0, 1, 2, 2, 4, 5]


def test_doubt_does_not_make_one_class_of_most_photos(caplog):
    """A chain of six places: pairs are joined until a class has half of all photos, and the log says what one number cannot."""
    found, log = classes(6, caplog, doubt=[[row, row + 3] for row in range(0, 15, 3)])
    assert [found[row] for row in range(0, 18, 3)] == [0, 0, 0, 3, 3, 3]
    assert "in train 4 places" in log and "1 pairs of places that may be the same have two classes" in log


def test_a_photo_outside_has_the_class_that_it_may_belong_to(caplog):
    """6 matches a photo of place 0, 7 the photo 8, 9 photos of both places, and 10 is joined to place 1 by a cut pair."""
    found, log = classes(2, caplog, 6, weak=[[6, 2], [7, 8], [9, 0], [9, 4]], doubt=[[5, 10]])
    assert found == {0: 0, 1: 0, 2: 0, 3: 1, 4: 1, 5: 1, 6: 0, 7: 3, 8: 3, 10: 1, 11: 7}
    assert "in train 0 places" in log and "1 photos that may belong to several classes are left out" in log
