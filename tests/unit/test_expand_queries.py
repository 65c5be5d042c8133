"""Query expansion by descriptors."""

import numpy as np
import pytest

from bow2cnn.descriptors import expand_queries
from bow2cnn.descriptors.apply_steps import apply_steps, details_of, label_of, read_learned

DATABASE = np.float32([[0.6, 0.8], [0.8, 0.6], [-1, 0], [0, 0]])


def expand(queries, database, photos, alpha):
    return expand_queries.expanded(
        np.float32(queries), database, {"expansion_photos": np.asarray(photos), "expansion_alpha": np.asarray(alpha)}
    )


@pytest.mark.parametrize(
    ("photos", "alpha", "direction"),
    [
        (1, 1.0, [1.64, 0.48]),  # (1, 0) + 0.8 (0.8, 0.6)
        (2, 3.0, [1.5392, 0.48]),  # (1, 0) + 0.512 (0.8, 0.6) + 0.216 (0.6, 0.8)
        (4, 3.0, [1.5392, 0.48]),  # the opposite photo and the photo without a descriptor add nothing
        (2, 0.0, [2.4, 1.4]),  # average query expansion: (1, 0) + (0.8, 0.6) + (0.6, 0.8)
        (9, 1000.0, [1, 0]),
    ],
)
def test_a_query_moves_to_the_photos_that_it_finds(photos, alpha, direction):
    queries, database = expand([[1, 0]], DATABASE, photos, alpha)
    np.testing.assert_allclose(queries, [np.array(direction) / np.linalg.norm(direction)], atol=1e-6)
    assert queries.dtype == np.float32 and database is DATABASE


def test_the_first_of_equal_photos_expands():
    queries, _ = expand([[1, 0]], np.float32([[0.6, -0.8], [0.6, 0.8]]), 1, 1.0)
    assert queries[0, 1] < 0


@pytest.mark.parametrize("alpha", [0.0, 3.0])
def test_a_query_without_a_descriptor_stays_without(alpha):
    queries, _ = expand([[0, 0], [0, 1]], DATABASE, 2, alpha)
    assert not queries[0].any() and queries[1].any()
    assert expand(np.zeros((0, 2)), DATABASE, 2, alpha)[0].shape == (0, 2)
    assert expand([[0, 1]], np.zeros((3, 2), np.float32), 2, alpha)[0].tolist() == [[0, 1]], "nothing to expand by"


def test_every_query_is_expanded_by_itself(monkeypatch):
    rng = np.random.default_rng(0)
    queries, database = (part / np.linalg.norm(part, axis=1, keepdims=True) for part in (rng.normal(size=(n, 8)) for n in (7, 30)))
    queries, database = queries.astype(np.float32), database.astype(np.float32)
    before = queries.copy(), database.copy()
    together = expand(queries, database, 5, 3.0)[0]
    assert np.array_equal(together, expand(queries, database, 5, 3.0)[0])
    assert np.array_equal(before[0], queries) and np.array_equal(before[1], database), "the arguments are not changed"
    monkeypatch.setattr(expand_queries, "_AT_ONCE", 2)
    np.testing.assert_allclose(expand(queries, database, 5, 3.0)[0], together, atol=1e-6)
    for query, found in zip(queries, together, strict=True):
        best = np.argsort(-(database @ query))[:5]
        joined = query + sum(max(float(database[row] @ query), 0) ** 3 * database[row] for row in best)
        np.testing.assert_allclose(found, joined / np.linalg.norm(joined), atol=1e-6)


def test_the_step_gets_its_settings():
    learned = read_learned(["expanded"], {}, {"expansion_photos": 1, "expansion_alpha": 1.0})
    queries, _ = apply_steps(["expanded"], np.float32([[1, 0]]), DATABASE, learned)
    assert queries[0, 1] / queries[0, 0] == pytest.approx(0.48 / 1.64)
    assert label_of(["expanded"], learned) == "qe" and details_of(["expanded"], learned) == ""
