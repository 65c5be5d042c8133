"""What `bench/growing_distractors.py` and `bench/small_objects.py` add to the package."""

import importlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bow2cnn.benchmarks.truth import Truth
from bow2cnn.network.input import IMAGENET

BENCH = Path(__file__).parents[2] / "bench"


@pytest.fixture
def bench(monkeypatch):
    """A function that imports a script by its name."""
    monkeypatch.syspath_prepend(BENCH)
    return importlib.import_module


def test_no_photo_beside_one_that_matches_a_benchmark_is_a_distractor(bench):
    marked = np.arange(8) == 2
    found = bench("growing_distractors").spread(marked, [np.array([1, 2]), np.array([1, 5]), np.array([3, 4]), np.zeros(0, int)])
    assert np.flatnonzero(found).tolist() == [1, 2] and np.flatnonzero(marked).tolist() == [2]
    assert not bench("growing_distractors").spread(np.zeros(8, bool), [np.array([1, 2])]).any()


def test_larger_shares_have_the_distractors_of_smaller_ones(bench):
    rows = np.arange(100, 140)
    none, some, half, everything = bench("growing_distractors").draw(rows, [0, 0.125, 0.5, 1], 0)
    assert (len(none), len(some), len(half)) == (0, 5, 20) and np.array_equal(everything, rows)
    assert set(some) < set(half) < set(rows) and np.all(np.diff(half) > 0)
    assert not np.array_equal(half, bench("growing_distractors").draw(rows, [0.5], 1)[0])


@pytest.mark.parametrize(
    ("points", "share", "region"),
    [
        ([[30, 20], [32, 22], [80, 45]], 0.25, [5, 7.5, 55, 32.5]),  # about the first, with the second
        ([[80, 45], [30, 20], [32, 22]], 0.0625, [17.5, 13.75, 42.5, 26.25]),
        ([[2, 3], [4, 4], [80, 45]], 0.25, [0, 0, 50, 25]),  # moved into the frame
        ([[99, 49]], 0.25, [50, 25, 100, 50]),
        ([], 0.25, [25, 12.5, 75, 37.5]),
        ([[30, 20]], 1, [0, 0, 100, 50]),
    ],
)
def test_the_window_has_most_matches(bench, points, share, region):
    window = bench("small_objects").window
    points = np.array(points, float).reshape(-1, 2)
    np.testing.assert_allclose(window([0, 0, 100, 50], points, share), region)
    moved = np.array([10, 20])
    np.testing.assert_allclose(window([10, 20, 110, 70], points + moved, share), np.add(region, [*moved, *moved]), atol=1e-9)


def test_a_region_may_fill_the_image(bench, tmp_path):
    path = tmp_path / "photo.png"
    pixels = np.random.default_rng(0).integers(0, 256, (120, 200, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    load, region = bench("networks").load_enlarged, (100, 60, 200, 120)
    assert np.array_equal(load(IMAGENET, path, 100, region), pixels[60:, 100:])
    assert load(IMAGENET, path, 50, region).shape == (30, 50, 3)
    assert IMAGENET.load(path, 50, region).shape == (15, 25, 3), "at the scale that it has in the photo"
    assert np.array_equal(load(IMAGENET, path, 1000, region), pixels[60:, 100:]), "no image is enlarged beyond its pixels"


def test_distractors_are_wrong_answers(bench):
    """The database has the rows 4, 7 and 2 of the benchmark; the numbers 3 and 4 are distractors, though 3 and 4 are rows too."""
    pool = object.__new__(bench("distractors").Pool)
    answers = [(np.array([4, 2]), np.array([7]))]
    pool.truth = Truth(np.array([0]), np.array([4, 7, 2]), {"all": answers}, np.zeros(1, int), np.full((1, 4), np.nan))
    pool.own = range(9)
    assert pool.scores([np.array([0, 1, 2, 3, 4])]) == {"all": 100.0}
    assert pool.scores([np.array([0, 4, 2])])["all"] == pytest.approx(100 * (1 + (1 / 2 + 2 / 3) / 2) / 2)
    assert pool.maps([np.array([3, 4])]) == "all 0.00"


def test_a_table_per_protocol(bench, capsys):
    bench("networks").print_tables("held-out", ["0", "7"], {"gem": [{"easy": 91.25, "hard": 40}, {"easy": 90, "hard": 31}]})
    lines = capsys.readouterr().out.split("\n\n")
    assert lines[0].strip().splitlines() == ["| held-out, easy | 0 | 7 |", "|---|---|---|", "| gem | 91.2 | 90.0 |"]
    assert "| held-out, hard | 0 | 7 |" in lines[1] and "| gem | 40.0 | 31.0 |" in lines[1]
