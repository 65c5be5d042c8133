"""Databases of other programs: their content is checked, and no code in them is run."""

import pickle

import numpy as np
import pytest

from bow2cnn.benchmarks.truth import ALL
from bow2cnn.core import artefact
from bow2cnn.core.empty_stage import EmptyStageError
from bow2cnn.export.training_database import assign_classes, path_of
from bow2cnn.pairs.exclusions import NegativeRule
from bow2cnn.pairs.from_database import DatabaseError, import_database
from bow2cnn.pairs.pickles import PickleError, read_pickle

TRAIN = {"cids": ["a" * 6, "b" * 6, "c" * 6, "d" * 6], "cluster": [7, 7, 9, 9], "qidxs": [0, 2, 0], "pidxs": [1, 3, 1]}
VAL = {"cids": ["e" * 6, "f" * 6], "cluster": [7, 7], "qidxs": [1], "pidxs": [0]}


class Evil:
    def __reduce__(self):
        return print, ("it ran",)


def imported(folder, database, names, copies=()):
    """The pairs of a database; copies: (name, row of the photo that has its bytes)."""
    (folder / "d.pkl").write_bytes(pickle.dumps(database))
    arrays = {"name": names, "path": [f"/p/{name}" for name in names], "sha256": np.arange(32 * len(names), dtype=np.uint8).reshape(-1, 32)}
    arrays |= {"rejected/path": [name for name, _ in copies], "rejected/reason": [f"same bytes as /p/{names[row]}" for _, row in copies]}
    artefact.write(folder / "c.h5", "collection", arrays)
    return import_database(folder / "d.pkl", folder / "c.h5")


def pools(found):
    """Query -> photos of its pool."""
    return {query: pool["photo"].tolist() for query, pool in zip(found.query.tolist(), found.pools, strict=True)}


def test_pairs_are_those_of_the_database(tmp_path):
    """Rows are those of the collection; the same number on the two sides is two places; a photo that is not there costs its pairs."""
    names = ["x/other", "ee/ee/ee/eeeeee", "aa/aa/aa/aaaaaa", "ff/ff/ff/ffffff", "bbbbbb", "cccccc"]
    found = imported(tmp_path, {"train": TRAIN, "val": VAL}, names)
    assert pools(found) == {2: [4], 3: [1]}
    assert all(pool.keys() == {"photo"} for pool in found.pools), "a database has no evidence"
    assert found.validation.query.tolist() == [3] and found.validation.database.tolist() == [1, 2, 3, 4, 5]
    assert [rows.tolist() for rows in found.validation.protocols[ALL][0]] == [[1], [3]]
    rule = found.negatives
    assert rule.side.tolist() == [0, 2, 1, 2, 1, 1]
    group = rule.place.tolist()
    assert group[0] == -1 and group[1] == group[3] and group[2] == group[4] and len({group[1], group[2], group[5]}) == 3
    assert rule.cluster.tolist() == group and rule.weak.shape == rule.doubt.shape == (0, 2)


def test_a_name_that_two_photos_have_is_nobodys(tmp_path):
    found = imported(tmp_path, {"train": TRAIN, "val": VAL}, ["aaaaaa", "bbbbbb", "x/aaaaaa", "cccccc", "dddddd"])
    assert pools(found) == {3: [4]} and found.negatives.place[[0, 2]].tolist() == [-1, -1]


def test_clusters_that_a_pair_joins_are_one_place(tmp_path, caplog):
    """Case T7: an id per image, as some write it, and a pair across two clusters: no photo of a pair is a negative of the other."""
    names = [*TRAIN["cids"], *VAL["cids"]]
    single = {"train": TRAIN | {"cluster": [1, 2, 3, 4]}, "val": VAL | {"cluster": [5, 6]}}
    found = imported(tmp_path, single, names)
    assert found.negatives.place.tolist() == [0, 0, 1, 1, 2, 2] and found.query.tolist() == [0, 2, 5]
    assert "in train pairs join photos of different clusters, so there are 2 places fewer than clusters" in caplog.text
    across = {"train": TRAIN | {"qidxs": [0, 2], "pidxs": [2, 3]}, "val": VAL}
    found = imported(tmp_path, across, names)
    assert found.negatives.place.tolist() == [0, 0, 0, 0, 1, 1] and found.query.tolist() == [0, 2, 5]


def test_what_an_import_leaves_out_is_counted(tmp_path, caplog):
    """Case T7, and P9: a copy is the photo too, under its own name."""
    database = {"train": TRAIN | {"qidxs": [0, 0, 2], "pidxs": [1, 2, 3]}, "val": VAL}
    copies = [("/p/cccccc", 0), ("/p/ffffff", 4)]
    found = imported(tmp_path, database, ["aaaaaa", "eeeeee", "x/bbbbbb", "y/bbbbbb", "dddddd"], copies)
    assert pools(found) == {0: [4]}
    assert found.params["left_out"] == [
        (1, "photos have a name that several photos of the collection have, such as bbbbbb"),
        (1, "photos for validation have the bytes of photos for training, such as ffffff"),
        (2, "pairs have lost a photo, such as aaaaaa"),
        (1, "pairs are of one photo, such as aaaaaa"),
    ]
    assert all(f"pairs: {count} {reason}" in caplog.text for count, reason in found.params["left_out"])
    found = imported(tmp_path, {"train": TRAIN, "val": VAL}, ["aaaaaa", "bbbbbb"])
    assert found.params["left_out"][0] == (4, "photos are not in the collection, such as cccccc")


def test_lists_may_be_arrays(tmp_path):
    arrays = {side: {name: np.array(values) for name, values in lists.items()} for side, lists in (("train", TRAIN), ("val", VAL))}
    assert len(imported(tmp_path, arrays, ["aaaaaa", "bbbbbb"]).query) == 1


@pytest.mark.parametrize(
    ("train", "val", "reason"),
    [
        ([], VAL, "is not a database of cnnimageretrieval"),
        ({"cids": []}, VAL, "is not a database of cnnimageretrieval"),
        (TRAIN | {"cluster": [1]}, VAL, "lists of train have different lengths"),
        (TRAIN, VAL | {"qidxs": [2]}, "a pair of val has the number of a photo that is not in `cids`"),
        (TRAIN, VAL | {"pidxs": [-1]}, "a pair of val has the number of a photo that is not in `cids`"),
        (TRAIN | {"qidxs": ["x", 2, 0]}, VAL, "lists of train hold values that are not names or whole numbers"),
        (TRAIN | {"pidxs": [0.5, 3, 1]}, VAL, "lists of train hold values that are not names or whole numbers"),
        (TRAIN | {"cluster": [None, 7, 9, 9]}, VAL, "lists of train hold values that are not names or whole numbers"),
        (TRAIN, VAL | {"cids": [["e"], "f"]}, "lists of val hold values that are not names or whole numbers"),
        (TRAIN, VAL | {"cids": None}, "lists of val hold values that are not names or whole numbers"),
        (TRAIN, VAL | {"cids": ["aaaaaa", "ffffff"]}, "some photos are both for training and for validation"),
        (Evil(), VAL, "holds builtins.print, which is not a list, a text, a number or an array"),
    ],
)
def test_what_is_no_database_is_one_line(tmp_path, capsys, train, val, reason):
    with pytest.raises(DatabaseError, match=reason) as caught:
        imported(tmp_path, {"train": train, "val": val}, ["aaaaaa"])
    assert str(caught.value).startswith(f"{tmp_path}/d.pkl: ") and "\n" not in str(caught.value)
    assert "it ran" not in capsys.readouterr().out


def test_photos_that_are_not_there_are_one_line(tmp_path):
    with pytest.raises(EmptyStageError, match=r"no pair of .* has both of its photos in the collection; name the folder"):
        imported(tmp_path, {"train": TRAIN, "val": VAL}, ["aaaaaa", "cccccc"])


ARRAYS = [
    np.arange(6, dtype=np.int64), np.arange(3, dtype=">i2"), np.arange(6.0).reshape(2, 3), np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    np.array(["a", "longer"]), np.array([b"xy", b"z"]), np.array([True, False]), np.zeros(0, np.uint8), np.float32(2.5), np.int64(-7),
]  # fmt: skip


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_and_numbers_come_as_lists_and_plain_numbers(tmp_path, protocol):
    (tmp_path / "d.pkl").write_bytes(pickle.dumps(ARRAYS, protocol))
    assert read_pickle(tmp_path / "d.pkl") == [array.tolist() for array in ARRAYS]


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
    with pytest.raises(PickleError, match=r"^holds an array of '(O8|V\d)', which is not a type of numbers or texts$"):
        read_pickle(tmp_path / "d.pkl")


def test_a_damaged_pickle_is_one_line(tmp_path):
    whole = pickle.dumps({"train": TRAIN, "val": VAL, "array": np.arange(50), "number": np.float32(3)})
    path = tmp_path / "d.pkl"
    path.write_bytes(whole)
    assert read_pickle(path)["array"] == list(range(50)) and read_pickle(path)["number"] == 3
    rng = np.random.default_rng(0)
    broken = 0
    for _ in range(300):
        content = bytearray(whole[: int(rng.integers(1, len(whole) + 1))])
        content[int(rng.integers(len(content)))] = int(rng.integers(256))
        path.write_bytes(content)
        try:
            read_pickle(path)
        except PickleError as error:
            broken += 1
            assert "\n" not in str(error)
    assert broken > 150


def test_photos_lie_by_the_end_of_their_names():
    assert str(path_of("0123456789abcdef")) == "ef/cd/ab/0123456789abcdef"


def classes(places, caplog, outside=0, **changes):
    """Photo to class for places of three photos each, in clusters of their own, and `outside` background photos; and the log."""
    caplog.clear()
    group = np.concatenate([np.repeat(np.arange(places), 3), places + np.arange(outside)])
    pairs = {"place": group, "cluster": np.where(group < places, group, -1), "side": np.ones(len(group))}
    rows, found = assign_classes(NegativeRule(**(pairs | changes)), np.arange(len(group)), "train")
    return dict(zip(rows.tolist(), found.tolist(), strict=True)), caplog.text


def test_places_without_doubt_are_classes_of_their_own(caplog):
    found, log = classes(3, caplog, 2)
    assert found == {**{row: row // 3 for row in range(9)}, 9: 3, 10: 4} and not log


def test_places_in_doubt_are_one_class(caplog):
    """Also those of one cluster, which the pairs of the run make no negatives of each other either."""
    found, log = classes(6, caplog, doubt=[[16, 3], [8, 8]])
    assert [found[row] for row in range(0, 18, 3)] == [0, 1, 2, 3, 4, 1] and "train: 1 places may be the same as another one" in log
    found, _ = classes(6, caplog, cluster=np.repeat([0, 1, 2, 2, 3, 4], 3))
    assert [found[row] for row in range(0, 18, 3)] == [0, 1, 2, 2, 4, 5]


def test_doubt_does_not_make_one_class_of_most_photos(caplog):
    """A chain of six places: pairs are joined until a class has half of all photos; then one of the two places in doubt is left out."""
    found, log = classes(6, caplog, doubt=[[row, row + 3] for row in range(0, 15, 3)])
    assert [found.get(row) for row in range(0, 18, 3)] == [0, 0, 0, None, 3, 3]
    assert "train: 4 places" in log and "1 places with 3 photos may be the same as another one too, and are left out" in log


@pytest.mark.parametrize("seed", range(8))
def test_photos_of_other_classes_are_no_doubtful_negatives(seed, caplog):
    """Case T8: whatever is in doubt, the reference's rule picks no negative that ours forbids; and something is left."""
    rng = np.random.default_rng(seed)
    doubt, weak = rng.integers(0, 60, (int(rng.integers(1, 9)), 2)), rng.integers(0, 60, (6, 2))
    cluster = np.concatenate([np.repeat(rng.integers(0, 14, 14), 3), np.full(18, -1)])
    group = np.concatenate([np.repeat(np.arange(14), 3), 14 + np.arange(18)])
    weak[:, 0] = rng.integers(42, 60, 6)
    found, _ = classes(14, caplog, 18, cluster=cluster, place=group, doubt=doubt, weak=weak)
    rule = NegativeRule(group, cluster, np.ones(60), weak, doubt)
    rows = np.array(sorted(found))
    label = np.array([found[row] for row in rows.tolist()])
    assert len(np.unique(label[cluster[rows] >= 0])) >= 2
    for row in rows[cluster[rows] >= 0].tolist():
        assert not rule.related(row, rows[label != found[row]]).any()
    for outside, other in weak.tolist():  # with which geometry finds something in common
        assert outside not in found or other not in found or found[outside] == found[other]


def test_a_photo_outside_has_the_class_that_it_may_belong_to(caplog):
    """6 matches a photo of place 0, 7 the photo 8, 9 photos of both places, and 10 is joined to place 1 by a cut pair."""
    found, log = classes(2, caplog, 6, weak=[[6, 2], [7, 8], [9, 0], [9, 4]], doubt=[[5, 10]])
    assert found == {0: 0, 1: 0, 2: 0, 3: 1, 4: 1, 5: 1, 6: 0, 7: 3, 8: 3, 10: 1, 11: 7}
    assert "train: 0 places" in log and "1 photos that may belong to several classes are left out" in log
