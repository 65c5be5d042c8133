"""Whitening: closed forms on small matrices, and what it does to the ranking of synthetic places."""

import subprocess
import sys

import numpy as np
import pytest

from bow2cnn.core import artefact
from bow2cnn.descriptors import apply_whitening
from bow2cnn.evaluation.metrics import score_rankings
from bow2cnn.pairs.exclusions import NegativeRule
from bow2cnn.pairs.found import Found, write_pairs
from bow2cnn.pairs.validation_truth import build_validation
from bow2cnn.whitening import learned_and_pca
from bow2cnn.whitening.learn_whitening import learn_whitening

PHOTOS = 5  # of a place


def places(count, noise, seed):
    """Unit descriptors of `count` places of five photos each; `noise` [D] is its deviation by dimension."""
    generator = np.random.default_rng([seed, 0])
    found = np.repeat(generator.normal(size=(count, len(noise))), PHOTOS, 0)
    found = found + generator.normal(size=found.shape) * noise
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def mean_precision(descriptors):
    """mAP of every photo as a query for the rest of its place."""
    group = np.arange(len(descriptors)) // PHOTOS
    order = np.argsort(-(descriptors @ descriptors.T), axis=1, kind="stable")
    truth = [(np.flatnonzero(group == group[row]), [row]) for row in range(len(group))]
    return score_rankings(order, truth)["mAP"].mean()


def learn(folder, found, training, validation=8, missing=(), unmatched=False, **options):
    """Learn from the first `training` places, validate on the next `validation`, use the others as negatives only. With `unmatched`
    every pool has twice as many photos, the last ones without matched features.
    """
    group = np.arange(len(found)) // PHOTOS
    side = np.where(group < training, 1, np.where(group < training + validation, 2, 1))
    query = np.flatnonzero(group < training + validation)
    others = [np.setdiff1d(np.flatnonzero(group == group[row]), row) for row in query]
    rule, paths = NegativeRule(group, group, side), [folder / f"{name}.h5" for name in ("positives", "negatives", "validation")]
    artefact.write(folder / "photos.h5", "collection", {})
    pools = [{"photo": rows} for rows in others]
    if unmatched:
        doubled = [(rows, np.full(len(rows), rows[0])) for rows in others]
        pools = [{"photo": np.concatenate(both), "matched": np.repeat([True, False], len(both[0]))} for both in doubled]
    write_pairs(Found(query, pools, rule, build_validation(rule, query, others), {}), "models", folder / "photos.h5", *paths)
    gone = np.isin(np.arange(len(found)), missing)
    artefact.write(folder / "d.h5", "descriptors", {"descriptor": np.where(gone[:, None], 0, found), "missing": gone})
    learn_whitening(folder / "d.h5", *paths, folder / "w.h5", **options)
    return artefact.read(folder / "w.h5", "whitening")


def learned_from(found, rows, queries, positives):
    return learned_and_pca.learn(found, rows, queries, positives, ["learned"])["learned"]


ANISOTROPIC = np.linspace(0.2, 4.0, 32)
EVERY = np.arange(10**5)  # rows


def test_learned_whitening_is_its_formula():
    found = places(30, np.linspace(0.2, 2, 6), 0)
    queries, positives = found[0::PHOTOS], found[1::PHOTOS]
    family = learned_from(found, EVERY[:150], EVERY[0:150:PHOTOS], EVERY[1:150:PHOTOS])
    for shrinkage in (0.0, 0.3, 1.0):
        difference = queries.astype(float) - positives
        scatter = difference.T @ difference / len(difference)
        scatter = (1 - shrinkage) * scatter + shrinkage * np.trace(scatter) / 6 * np.eye(6)
        projection = family.projection(shrinkage).astype(float)
        # P C_S P^T is a multiple of the identity, and the descriptors vary along the axes, most along the first
        whitened = projection @ scatter @ projection.T
        np.testing.assert_allclose(whitened / whitened[0, 0], np.eye(6), atol=1e-5)
        after = projection @ np.cov(found.astype(float).T) @ projection.T
        spread = np.diag(after)
        np.testing.assert_allclose(after, np.diag(spread), atol=1e-5 * spread[0])
        assert (np.diff(spread) < 0).all()
    np.testing.assert_allclose(family.mean, found.mean(0), atol=1e-6)


def test_full_shrinkage_is_a_rotation():
    found = places(30, np.linspace(0.2, 2, 6), 0)
    projection = learned_from(found, EVERY[:150], EVERY[:149], EVERY[1:150]).projection(1.0)
    np.testing.assert_allclose(projection @ projection.T, np.eye(6), atol=1e-5)


def test_pca_whitens_the_covariance():
    found = places(30, np.linspace(0.2, 2, 6), 0)
    projection = learned_and_pca.learn(found, EVERY[:150], EVERY[:1], EVERY[1:2], ["pca"])["pca"].projection(0.0)
    spread = projection @ np.cov(found.T) @ projection.T
    np.testing.assert_allclose(spread / spread[0, 0], np.eye(6), atol=1e-4)


def test_fewer_dimensions_are_the_first_of_all():
    found = places(30, np.linspace(0.2, 2, 6), 0)
    family = learned_from(found, EVERY[:150], EVERY[0:150:PHOTOS], EVERY[1:150:PHOTOS])
    np.testing.assert_array_equal(family.projection(0.3, 2), family.projection(0.3)[:2])


def test_fewer_pairs_than_dimensions_give_finite_maps():
    found = places(30, np.ones(64), 0)
    family = learned_from(found, EVERY[:150], EVERY[:3], EVERY[1:4])
    for shrinkage in (0.0, 0.01, 1.0):
        assert np.isfinite(family.projection(shrinkage)).all()


@pytest.mark.parametrize("rows", [1, 7, 150, 10**6])
def test_blocks_change_nothing_but_the_rounding(tmp_path, monkeypatch, rows):
    found = places(30, ANISOTROPIC, 1)
    whole, few = found[EVERY[10:140]].astype(float), learn(tmp_path, found, 20)
    monkeypatch.setattr(apply_whitening, "_ROWS", rows)
    mean, spread = learned_and_pca.spread_of(found, EVERY[10:140])
    np.testing.assert_allclose(mean, whole.mean(0), rtol=1e-12)
    np.testing.assert_allclose(spread, (whole - whole.mean(0)).T @ (whole - whole.mean(0)), rtol=1e-9, atol=1e-12)
    found_now = learn(tmp_path, found, 20)
    np.testing.assert_allclose(found_now["projection"], few["projection"], atol=1e-5)
    np.testing.assert_allclose(found_now["tried/validation_map"], few["tried/validation_map"], atol=1e-4)


def test_memory_does_not_grow_with_the_pairs(tmp_path):
    """All pairs of 400 photos are 159,600: with their descriptors in double precision 650 MB."""
    code = """
import numpy as np, resource
from bow2cnn.pairs.found import Found, write_pairs
from bow2cnn.pairs.exclusions import NegativeRule
from bow2cnn.pairs.validation_truth import build_validation
from bow2cnn.whitening import learned_and_pca
found = np.random.default_rng(0).random((400, 512), np.float32)
queries, positives = np.nonzero(~np.eye(400, dtype=bool))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
learned_and_pca.learn(found, np.arange(400), queries, positives)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 150_000  # kilobytes


def test_apply():
    moved = apply_whitening.apply(np.float32([[3, 4], [0, 0], [1, 0]]), np.float32([1, 0]), np.float32([[2, 0], [0, 1]]))
    np.testing.assert_allclose(moved, [[0.7071068, 0.7071068], [0, 0], [0, 0]])
    found = places(2, np.ones(4), 0)
    np.testing.assert_allclose(apply_whitening.apply(found, *apply_whitening.identity(4)), found, atol=1e-6)


def test_it_helps_where_pairs_abound(tmp_path):
    found, unseen = places(60, ANISOTROPIC, 1), places(40, ANISOTROPIC, 2)
    learned = learn(tmp_path, found, 40)
    after = mean_precision(apply_whitening.apply(unseen, learned["mean"], learned["projection"]))
    assert after > mean_precision(unseen) + 20 and learned["shrinkage"] < 0.5


def test_it_does_not_hurt_with_fewer_pairs_than_dimensions(tmp_path):
    isotropic = np.full(96, 1.5)
    found, unseen = places(30, isotropic, 3), places(40, isotropic, 4)
    learned = learn(tmp_path, found, 2, 15)
    before, after = mean_precision(unseen), mean_precision(apply_whitening.apply(unseen, learned["mean"], learned["projection"]))
    assert after > before - 3
    family = learned_from(found, EVERY[:10], EVERY[0:9], EVERY[1:10])
    assert mean_precision(apply_whitening.apply(unseen, family.mean, family.projection(0.0))) < before - 5  # what shrinking prevents
    tried = learned["tried/validation_map"]
    assert np.isnan(learned["tried/shrinkage"][0]) and tried.max() >= tried[0]


@pytest.mark.parametrize("kind", ["learned", "pca", "mixed", "auto"])
@pytest.mark.parametrize("dimensions", [0, 8])
def test_the_scores_tried_are_those_of_the_maps(tmp_path, kind, dimensions):
    found = places(60, ANISOTROPIC, 1)
    learned = learn(tmp_path, found, 40, 8, whitening=kind, dimensions=dimensions)
    shrinkages, scores = learned["tried/shrinkage"], learned["tried/validation_map"]
    kinds = ["learned", "pca", "mixed"] if kind == "auto" else [kind]
    assert np.isnan(shrinkages[0]) == (not dimensions) and len(shrinkages) == 9 * len(kinds) + (not dimensions)
    assert set(learned["tried/kind"]) - {""} == set(kinds)
    assert learned["projection"].shape == (dimensions or 32, 32)
    chosen = int(np.argmax(scores))
    assert learned["shrinkage"] == shrinkages[chosen] or (np.isnan(shrinkages[chosen]) and np.isnan(learned["shrinkage"]))
    # by brute force: the queries of places 40 to 47 against everything
    moved = apply_whitening.apply(found, learned["mean"], learned["projection"])
    group = np.arange(len(found)) // PHOTOS
    queries = np.flatnonzero((group >= 40) & (group < 48))
    order = np.argsort(-(moved[queries] @ moved.T), axis=1, kind="stable")
    truth = [(np.flatnonzero(group == group[row]), [row]) for row in queries]
    assert score_rankings(order, truth)["mAP"].mean() == pytest.approx(scores[chosen], abs=0.05)


def test_mixed_is_between_the_two_kinds():
    """Whitened by the sum of both scatter matrices, each divided by its trace."""
    found = places(30, np.linspace(0.2, 2, 6), 0)
    rows, queries, positives = EVERY[:150], EVERY[0:150:PHOTOS], EVERY[1:150:PHOTOS]
    projection = learned_and_pca.learn(found, rows, queries, positives, ["mixed"])["mixed"].projection(0.0).astype(float)
    difference = found[queries].astype(float) - found[positives]
    scatters = difference.T @ difference, np.cov(found.astype(float).T)
    whitened = projection @ sum(scatter / np.trace(scatter) for scatter in scatters) @ projection.T
    np.testing.assert_allclose(whitened / whitened[0, 0], np.eye(6), atol=1e-5)


def test_validation_chooses_among_all_kinds(tmp_path):
    """Each kind scores as it does alone, and the best of all is chosen."""
    found = places(60, ANISOTROPIC, 1)
    learned = learn(tmp_path, found, 40, whitening="auto")
    tried = list(zip(learned["tried/kind"], learned["tried/shrinkage"].tolist(), learned["tried/validation_map"].tolist(), strict=True))
    for kind in ("learned", "pca", "mixed"):
        alone = learn(tmp_path, found, 40, whitening=kind)
        scores = zip(alone["tried/shrinkage"][1:].tolist(), alone["tried/validation_map"][1:].tolist(), strict=True)
        assert [one[1:] for one in tried if one[0] == kind] == list(scores)
    kind, shrinkage, best = max(tried, key=lambda one: one[2])
    learn(tmp_path, found, 40, whitening="auto")
    with artefact.Reader(tmp_path / "w.h5", "whitening") as reader:
        assert reader.params["details"] == f"{kind}, shrunk by {shrinkage:.2g}" and best > tried[0][2]


def test_nothing_is_kept_where_nothing_is_better(tmp_path):
    corners = np.repeat(np.eye(16, dtype=np.float32), PHOTOS, 0)  # every photo of a place alike: nothing to gain
    learned = learn(tmp_path, corners, 6)
    assert np.isnan(learned["shrinkage"]) and learned["tried/validation_map"][0] == 100
    np.testing.assert_array_equal(learned["projection"], np.eye(16))
    assert not learned["mean"].any()


def test_without_validation_the_weakest_is_taken(tmp_path, caplog):
    caplog.set_level("INFO")
    found = places(20, ANISOTROPIC, 1)
    assert np.isnan(learn(tmp_path, found, 10, 0)["shrinkage"]) and "the weakest is taken: none" in caplog.text
    learned = learn(tmp_path, found, 10, 0, dimensions=4)
    assert learned["shrinkage"] == 1.0 and np.isnan(learned["tried/validation_map"]).all()
    assert "no validation queries to choose by" in caplog.text and "mAP" not in caplog.text


def test_what_was_without_is_told_of_the_network_alone(tmp_path, caplog):
    """Not of a rotation of which dimensions are cut off."""
    caplog.set_level("INFO")
    found = places(60, ANISOTROPIC, 1)
    whole = learn(tmp_path, found, 40)["tried/validation_map"][0]
    cut = learn(tmp_path, found, 40, dimensions=2)["tried/validation_map"]
    said = [record.getMessage() for record in caplog.records if "without" in record.getMessage()]
    assert len(said) == 2 and all(line.endswith(f"({whole:.2f} without)") for line in said) and abs(cut[0] - whole) > 1


def test_missing_photos_are_left_out(tmp_path):
    found = places(30, ANISOTROPIC, 1)
    learned = learn(tmp_path, found, 20, missing=[0, 7, 101])
    kept = np.setdiff1d(np.arange(150), [0, 7, 101])
    training = kept[(kept // PHOTOS < 20) | (kept // PHOTOS >= 28)]
    assert np.isfinite(learned["projection"]).all() and not np.isnan(learned["shrinkage"])
    np.testing.assert_allclose(learned["mean"], found[training].mean(0), atol=1e-6)


def test_only_matched_photos_are_pairs(tmp_path):
    found = places(30, ANISOTROPIC, 1)
    learned, other = learn(tmp_path, found, 20), learn(tmp_path, found, 20, unmatched=True)
    np.testing.assert_array_equal(learned["projection"], other["projection"])


def test_the_same_bytes_twice(tmp_path):
    found = places(30, ANISOTROPIC, 1)
    learn(tmp_path, found, 20)
    first = (tmp_path / "w.h5").read_bytes()
    learn(tmp_path, found, 20)
    assert first == (tmp_path / "w.h5").read_bytes()
