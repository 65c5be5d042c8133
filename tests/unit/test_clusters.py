"""Clusters: weak bridges between two places are cut and listed, everything else stays together."""

from itertools import combinations

import networkx as nx
import numpy as np
import pytest

from bow2cnn import artefact
from bow2cnn.discovery.clusters import cut_clusters, cut_weak
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
    found, members = clustered(tmp_path, clique(range(6)) + clique(range(6, 11)) + [(2, 8, 20), (3, 9, 20)], 11)
    assert members == [list(range(11))] and found["bridge/pair"].tolist() == [[2, 8], [3, 9]]


def test_weak_pairs_inside_a_group_are_no_bridges(tmp_path):
    """Nor those of a group that has no strong ones: its model is built of what there is."""
    edges = clique(range(6), 20) + clique(range(6, 11)) + [(2, 8, 20), (3, 9, 20)]
    found, members = clustered(tmp_path, edges, 11)
    assert members == [list(range(11))] and len(found["bridge/pair"]) == 0
    edges = clique(range(6), 20) + clique(range(6, 11)) + [(2, 8, 40), (3, 9, 20), (4, 11, 20)]
    found, members = clustered(tmp_path, edges, 12)
    assert members == [list(range(12))] and len(found["bridge/pair"]) == 0


def test_a_part_too_small_for_a_cluster_stays(tmp_path):
    found, members = clustered(tmp_path, clique(range(6)) + clique(range(6, 9)) + [(2, 8, 20)], 9)
    assert members == [list(range(9))] and len(found["cut/pair"]) == 0


def test_a_chain_of_places_is_cut_at_every_link(tmp_path):
    edges = clique(range(5)) + clique(range(5, 10)) + clique(range(10, 15)) + [(0, 5, 25), (9, 14, 25)]
    found, members = clustered(tmp_path, edges, 15)
    assert members == [list(range(start, start + 5)) for start in (0, 5, 10)]
    assert found["cut/pair"].tolist() == [[0, 5], [9, 14]]


def test_pairs_of_a_single_photo_do_not_join_two_places(tmp_path):
    """A collage, or a facade like those of another place, has many; a second photo that does not depend on it is needed."""
    edges = clique(range(6)) + clique(range(6, 11)) + [(2, 6, 20), (2, 7, 25), (2, 8, 30)]
    found, members = clustered(tmp_path, edges, 11)
    assert members == [list(range(6)), list(range(6, 11))]
    assert found["cut/pair"].tolist() == [[2, 6], [2, 7], [2, 8]] and found["cut/inliers"].tolist() == [20, 25, 30]
    assert found["cut/reason"] == ["pairs with so few, all of one photo, do not join two places"] * 3
    assert clustered(tmp_path, [*edges, (3, 6, 20)], 11)[1] == [list(range(11))]


def test_a_photo_between_two_places_stays_with_the_stronger(tmp_path):
    edges = clique(range(6)) + clique(range(6, 11)) + [(2, 11, 20), (3, 11, 22), (8, 11, 24)]
    found, members = clustered(tmp_path, edges, 12)
    assert members == [list(range(6)), list(range(6, 12))] and found["cut/pair"].tolist() == [[2, 11], [3, 11]]


def test_marks_do_not_join_two_places(tmp_path):
    """However strong they are, and how many; but they stay inside a cluster, and where they join a few photos to it."""
    places = clique(range(6)) + clique(range(6, 11)) + clique([11, 12])
    marks = [(0, 6, 200), (1, 7, 300), (2, 3, 90), (4, 11, 80), (9, 12, 85)]
    found, members = clustered(tmp_path, [edge for edge in places if edge[:2] != (2, 3)] + marks, 13, unmoved={mark[:2] for mark in marks})
    assert members == [list(range(6, 13)), list(range(6))]
    assert found["cut/pair"].tolist() == [[0, 6], [1, 7], [4, 11]] and found["cut/inliers"].tolist() == [200, 300, 80]
    assert found["cut/parts"].tolist() == [[6, 7]] * 3
    assert found["cut/reason"] == ["they lie at the same places in both photos, as marks do"] * 3
    assert clustered(tmp_path, places + marks, 13)[1] == [list(range(13))]


@pytest.mark.parametrize("seed", range(20))
def test_what_is_cut_and_what_stays_has_its_evidence(seed):
    """On random graphs: no edge is cut that is enough, and two groups of a cluster's size that are apart have less than is needed."""
    rng = np.random.default_rng(seed)
    network = nx.gnm_random_graph(60, 75, seed=seed)
    for edge in network.edges:
        network.edges[edge].update(inliers=int(rng.integers(15, 90)), unmoved=float(rng.choice([0, 0.3, 0.8, 1])))
    before = nx.Graph(network)
    cut, bridges = cut_weak(network, 4, 40)
    assert set(map(frozenset, before.edges)) - set(map(frozenset, network.edges)) == {frozenset(edge[:2]) for edge in cut}
    group = {photo: members for members in map(frozenset, nx.connected_components(network)) for photo in members}
    assert all(network.has_edge(*edge) for edge in bridges)
    network.remove_edges_from(bridges)
    assert all(len(members) >= 4 for members in nx.connected_components(network) if any(members & set(edge) for edge in bridges))
    joined = {}
    for edge in cut:
        values = before.edges[edge.a, edge.b]
        assert values["inliers"] == edge.inliers and edge.inliers * (1 - values["unmoved"]) < 40
        assert edge.parts == (len(group[edge.a]), len(group[edge.b])) and min(edge.parts) >= 4
        if values["unmoved"] <= 0.5:
            joined.setdefault(frozenset((group[edge.a], group[edge.b])), []).append({edge.a, edge.b})
    for edges in joined.values():
        assert all(one & other for one, other in combinations(edges, 2))


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


def test_rendered_landmarks_are_the_clusters(grown):
    found = artefact.read(grown.clusters, "clusters")
    groups = {cluster: set(grown.landmark[found["cluster"] == cluster].tolist()) for cluster in (-1, 0, 1)}
    assert groups[-1] == {-1} and sorted(map(sorted, (groups[0], groups[1]))) == [[0], [1]]
