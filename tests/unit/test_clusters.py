"""Clusters: weak bridges between two places are cut and listed, everything else stays together."""

from itertools import combinations

import networkx as nx
import numpy as np
import pytest

from bow2cnn import artefact
from bow2cnn.discovery.clusters import cut_clusters, cut_unmoved, cut_weak_bridges
from bow2cnn.nothing import NothingFound


def clique(photos, inliers=100):
    return [(a, b, inliers) for a, b in combinations(photos, 2)]


def clustered(tmp_path, edges, photos, min_photos=4, bridge_inliers=40, unmoved=()):
    """The clusters' arrays, and the members of every cluster; `unmoved` are the edges whose matches are."""
    still = np.array([(a, b) in unmoved for a, b, _ in edges], np.float32)
    pair = np.array([(a, b) for a, b, _ in edges], np.int32).reshape(-1, 2)
    inliers = np.array([n for *_, n in edges], np.int32)
    artefact.write(tmp_path / "graph.h5", "graph", {"pair": pair, "inliers": inliers, "unmoved": still, "queried": np.zeros(photos, bool)})
    cut_clusters(tmp_path / "graph.h5", tmp_path / "clusters.h5", min_photos, bridge_inliers)
    found = artefact.read(tmp_path / "clusters.h5", "clusters")
    members = [found["photo"][a:b].tolist() for a, b in zip(found["offset"][:-1], found["offset"][1:], strict=True)]
    for photo, cluster in enumerate(found["cluster"].tolist()):
        assert photo in members[cluster] if cluster >= 0 else not any(photo in own for own in members)
    return found, members


def test_a_weak_bridge_is_cut_with_its_evidence(tmp_path):
    edges = clique(range(6)) + clique(range(6, 11)) + [(2, 8, 39)]
    found, members = clustered(tmp_path, edges, 12)
    assert members == [list(range(6)), list(range(6, 11))]
    assert found["cut/pair"].tolist() == [[2, 8]]
    assert found["cut/inliers"].tolist() == [39] and found["cut/parts"].tolist() == [[6, 5]]


def test_a_strong_bridge_stays(tmp_path):
    found, members = clustered(tmp_path, clique(range(6)) + clique(range(6, 11)) + [(2, 8, 40)], 11)
    assert members == [list(range(11))] and len(found["cut/pair"]) == 0


def test_two_weak_pairs_hold_each_other(tmp_path):
    _, members = clustered(tmp_path, clique(range(6)) + clique(range(6, 11)) + [(2, 8, 20), (3, 9, 20)], 11)
    assert members == [list(range(11))]


def test_a_part_too_small_for_a_cluster_stays(tmp_path):
    found, members = clustered(tmp_path, clique(range(6)) + clique(range(6, 9)) + [(2, 8, 20)], 9)
    assert members == [list(range(9))] and len(found["cut/pair"]) == 0


def test_a_chain_of_places_is_cut_at_every_link(tmp_path):
    edges = clique(range(5)) + clique(range(5, 10)) + clique(range(10, 15)) + [(0, 5, 25), (9, 14, 25)]
    found, members = clustered(tmp_path, edges, 15)
    assert members == [list(range(start, start + 5)) for start in (0, 5, 10)]
    assert found["cut/pair"].tolist() == [[0, 5], [9, 14]]


def test_marks_do_not_join_two_places(tmp_path):
    """However strong they are, and how many; but they stay inside a cluster, and where they join a few photos to it."""
    places = clique(range(6)) + clique(range(6, 11)) + clique([11, 12])
    marks = [(0, 6, 200), (1, 7, 300), (2, 3, 90), (4, 11, 80), (9, 12, 85)]
    found, members = clustered(tmp_path, [edge for edge in places if edge[:2] != (2, 3)] + marks, 13, unmoved={mark[:2] for mark in marks})
    assert members == [list(range(6, 13)), list(range(6))]
    assert found["cut/pair"].tolist() == [[1, 7], [0, 6], [4, 11]] and found["cut/inliers"].tolist() == [300, 200, 80]
    assert found["cut/parts"].tolist() == [[6, 5], [6, 5], [6, 7]]
    assert found["cut/reason"] == ["they lie at the same places in both photos, as marks do"] * 3
    assert clustered(tmp_path, places + marks, 13)[1] == [list(range(13))]


@pytest.mark.parametrize("seed", range(5))
def test_what_is_cut_joins_groups_that_moved_pairs_do_not(seed):
    """On random graphs: no group of the rest is cut apart, and no two groups of a cluster's size are left joined by marks alone."""
    rng = np.random.default_rng(seed)
    network = nx.gnm_random_graph(60, 55, seed=seed)
    for edge in network.edges:
        network.edges[edge].update(inliers=int(rng.integers(15, 90)), unmoved=float(rng.random()))
    moved = nx.Graph(network)
    moved.remove_edges_from([edge for edge in network.edges if network.edges[edge]["unmoved"] > 0.5])
    groups = {photo: number for number, group in enumerate(nx.connected_components(moved)) for photo in group}
    large = {number for number in groups.values() if list(groups.values()).count(number) >= 4}
    cut = cut_unmoved(network, 4)
    assert all(groups[edge.a] != groups[edge.b] and min(edge.parts) >= 4 for edge in cut)
    for component in nx.connected_components(network):
        assert len({groups[photo] for photo in component} & large) <= 1


def test_clusters_are_numbered_by_size_then_photo_and_small_ones_left_out(tmp_path):
    edges = clique([0, 1, 2, 3]) + clique([4, 5, 6, 7, 8]) + clique([9, 10, 11, 12]) + clique([13, 14, 15])
    _, members = clustered(tmp_path, edges, 17)
    assert members == [[4, 5, 6, 7, 8], [0, 1, 2, 3], [9, 10, 11, 12]]


def test_no_edges_no_clusters(tmp_path):
    with pytest.raises(NothingFound, match="no two of the 3 photos match; add photos that overlap"):
        clustered(tmp_path, [], 3)


def test_groups_too_small_are_no_clusters(tmp_path):
    with pytest.raises(NothingFound, match=r"4 pairs of the 7 photos match, the largest group has 3; .* or discovery\.min_photos"):
        clustered(tmp_path, [*clique([0, 1, 2]), *clique([3, 4])], 7)


@pytest.mark.parametrize("seed", range(5))
def test_what_remains_has_no_weak_bridge_left(seed):
    """On random graphs: every cut was a weak bridge between two parts of clusters' size, and no more such bridges are left."""
    rng = np.random.default_rng(seed)
    network = nx.Graph()
    for start in range(0, 40, 5):
        network.add_weighted_edges_from(clique(range(start, start + int(rng.integers(2, 6)))), weight="inliers")
    nodes = sorted(network)
    for _ in range(9):
        a, b = rng.choice(nodes, 2, replace=False).tolist()
        if not network.has_edge(a, b):
            network.add_edge(a, b, inliers=int(rng.integers(20, 60)))
    before = network.copy()
    cut = cut_weak_bridges(network, 4, 40)
    bridges = {tuple(sorted(edge)) for edge in nx.bridges(before)}
    assert {edge for edge in map(tuple, map(sorted, before.edges)) if not network.has_edge(*edge)} == {(a, b) for a, b, *_ in cut}
    for a, b, inliers, parts, _ in cut:
        assert (a, b) in bridges and inliers == before.edges[a, b]["inliers"] < 40 and min(parts) >= 4
    for a, b in list(nx.bridges(network)):
        inliers = network.edges[a, b]["inliers"]
        network.remove_edge(a, b)
        assert inliers >= 40 or min(len(nx.node_connected_component(network, end)) for end in (a, b)) < 4
        network.add_edge(a, b, inliers=inliers)


def test_rendered_landmarks_are_the_clusters(grown):
    found = artefact.read(grown.clusters, "clusters")
    groups = {cluster: set(grown.landmark[found["cluster"] == cluster].tolist()) for cluster in (-1, 0, 1)}
    assert groups[-1] == {-1} and sorted(map(sorted, (groups[0], groups[1]))) == [[0], [1]]
