"""Clusters: weak bridges between two places are cut and listed, everything else stays together."""

from itertools import combinations

import networkx as nx
import numpy as np
import pytest

from bow2cnn.clustering.clusters import _cut_at_single_photos, cut_clusters, cut_weak
from bow2cnn.core import artefact
from bow2cnn.core.empty_stage import EmptyStageError


def clique(photos, inliers=100):
    return [(a, b, inliers) for a, b in combinations(photos, 2)]


def clustered(tmp_path, edges, photos, min_photos=4, min_bridge_inliers=40, unmoved=()):
    """The clusters' arrays, and the members of every cluster; `unmoved` are the edges whose matches are all static."""
    static = np.array([(a, b) in unmoved for a, b, _ in edges], np.float32)
    pair = np.array([(a, b) for a, b, _ in edges], np.int32).reshape(-1, 2)
    inliers = np.array([n for *_, n in edges], np.int32)
    artefact.write(tmp_path / "graph.h5", "graph", {"pair": pair, "inliers": inliers, "unmoved": static, "queried": np.zeros(photos, bool)})
    cut_clusters(tmp_path / "graph.h5", tmp_path / "clusters.h5", min_photos, min_bridge_inliers)
    found = artefact.read(tmp_path / "clusters.h5", "clusters")
    members = [found["photo"][a:b].tolist() for a, b in zip(found["offset"][:-1], found["offset"][1:], strict=True)]
    for photo, cluster in enumerate(found["cluster"].tolist()):
        assert photo in members[cluster] if cluster >= 0 else not any(photo in own for own in members)
    return found, members


LINKS = [(0, 6, 20), (1, 7, 20), (2, 8, 20), (3, 9, 20), (4, 10, 20)]  # between range(6) and range(6, 11)


def test_a_single_pair_is_cut_with_its_evidence_however_strong(tmp_path):
    edges = clique(range(6)) + clique(range(6, 11)) + [(2, 8, 300)]
    found, members = clustered(tmp_path, edges, 12)
    assert members == [list(range(6)), list(range(6, 11))]
    assert found["cut/pair"].tolist() == [[2, 8]]
    assert found["cut/inliers"].tolist() == [300] and found["cut/parts"].tolist() == [[6, 5]]
    assert found["cut/reason"] == ["the two groups have 1 of 4 pairs without a common photo that would join them"]


def test_pairs_without_a_common_photo_join_two_groups(tmp_path):
    places = clique(range(6)) + clique(range(6, 11))
    found, members = clustered(tmp_path, places + LINKS[:4], 11)
    assert members == [list(range(11))] and len(found["cut/pair"]) == 0
    assert found["bridge/pair"].tolist() == [list(link[:2]) for link in LINKS[:4]], "too weak to build a model across"
    assert len(clustered(tmp_path, places + LINKS[:3], 11)[1]) == 2
    strong = [(a, b, 40) for a, b, _ in LINKS[:4]]
    assert len(clustered(tmp_path, places + strong, 11)[0]["bridge/pair"]) == 0


def test_weak_pairs_inside_a_group_are_no_bridges(tmp_path):
    """Neither are the weak pairs of a group without strong pairs: its model is built with them."""
    edges = clique(range(6), 20) + clique(range(6, 11)) + LINKS[:4]
    found, members = clustered(tmp_path, edges, 11)
    assert members == [list(range(11))] and len(found["bridge/pair"]) == 0


def test_a_part_too_small_for_a_cluster_stays(tmp_path):
    found, members = clustered(tmp_path, clique(range(6)) + clique(range(6, 9)) + [(2, 8, 20)], 9)
    assert members == [list(range(9))] and len(found["cut/pair"]) == 0


def test_a_chain_of_places_is_cut_at_every_link(tmp_path):
    edges = clique(range(5)) + clique(range(5, 10)) + clique(range(10, 15)) + [(0, 5, 25), (9, 14, 25)]
    found, members = clustered(tmp_path, edges, 15)
    assert members == [list(range(start, start + 5)) for start in (0, 5, 10)]
    assert found["cut/pair"].tolist() == [[0, 5], [9, 14]]


def test_pairs_of_a_single_photo_do_not_join_two_places(tmp_path):
    """A collage, or a facade like those of another place, has many, and they are one link."""
    edges = clique(range(6)) + clique(range(6, 11)) + [(2, other, 90) for other in range(6, 11)]
    found, members = clustered(tmp_path, edges, 11)
    assert members == [list(range(6)), list(range(6, 11))] and len(found["cut/pair"]) == 5
    assert found["cut/reason"][0].startswith("the two groups have 1 of 4 ")


def test_a_photo_between_two_places_stays_with_photos_that_match_each_other(tmp_path):
    """Where neither side's do, with the one that it matches most strongly."""
    places = clique(range(6)) + clique(range(6, 11))
    found, members = clustered(tmp_path, [*places, (2, 11, 20), (3, 11, 22), (8, 11, 240)], 12)
    assert members == [[*range(6), 11], list(range(6, 11))] and found["cut/pair"].tolist() == [[8, 11]]
    found, members = clustered(tmp_path, [*places, (2, 11, 20), (8, 11, 24)], 12)
    assert members == [list(range(6)), list(range(6, 12))] and found["cut/pair"].tolist() == [[2, 11]]


def test_the_frames_of_a_fixed_camera_are_one_cluster(tmp_path):
    """None of their matches has moved."""
    frames = clique(range(30), 900)
    _, members = clustered(tmp_path, frames, 30, unmoved={edge[:2] for edge in frames})
    assert members == [list(range(30))]


def planted(wrong, seed=0, places=40, photos=50, views=0):
    """A graph of places, whose photos match the six photos after them, and `wrong` pairs of random photos. With `views`, the last half of
    the first place's photos is another view, which this number of links joins to the first half.
    """
    rng = np.random.default_rng(seed)
    network = nx.Graph()
    network.add_nodes_from(range(places * photos))
    for place in range(places):
        parts = [range(photos)] if place or not views else [range(photos // 2), range(photos // 2, photos)]
        for part in parts:
            for a, b in combinations(part, 2):
                if b - a <= 6:
                    network.add_edge(place * photos + a, place * photos + b, inliers=int(rng.integers(15, 200)), unmoved=0.0)
    network.add_edges_from(((i, photos // 2 + i) for i in range(views)), inliers=25, unmoved=0.0)
    before = network.number_of_edges()
    while network.number_of_edges() < before + wrong:
        a, b = map(int, rng.integers(0, places * photos, 2))
        if a // photos != b // photos:
            network.add_edge(a, b, inliers=int(rng.integers(15, 200)), unmoved=0.0)
    return network


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("wrong", [1, 10, 100])
def test_wrong_pairs_join_no_two_places(wrong, seed):
    """Up to nearly one in a hundred of 11,000 pairs is wrong, and as strong as any other. Another view stays with its place."""
    network = planted(wrong, seed, views=10)
    cut_weak(network, 5, 30)
    for members in nx.connected_components(network):
        assert len({photo // 50 for photo in members}) == 1
    assert nx.has_path(network, 0, 49)


@pytest.mark.parametrize("places", [10, 40, 160])
def test_what_is_needed_grows_slowly_with_the_collection(places):
    """At one rate of wrong pairs, one in two hundred."""
    network = planted(places * 279 // 200, places=places)
    cut, _ = cut_weak(network, 5, 30)
    needed = [int(edge.reason.split()[6]) for edge in cut]
    assert set(needed) <= {3, 4, 5}
    assert all(len({photo // 50 for photo in members}) == 1 for members in nx.connected_components(network))


@pytest.mark.parametrize("seed", range(20))
def test_what_is_cut_and_what_stays_has_its_evidence(seed):
    """On random graphs: cut edges join two groups of a cluster's size that have fewer links than are needed."""
    rng = np.random.default_rng(seed)
    network = nx.gnm_random_graph(60, 75, seed=seed)
    for edge in network.edges:
        network.edges[edge].update(inliers=int(rng.integers(15, 90)), unmoved=float(rng.choice([0, 0.3, 0.8, 1])))
    before = nx.Graph(network)
    cut, bridges = cut_weak(network, 4, 40)
    assert set(map(frozenset, before.edges)) - set(map(frozenset, network.edges)) == {frozenset(edge[:2]) for edge in cut}
    group = {photo: members for members in map(frozenset, nx.connected_components(network)) for photo in members}
    assert all(network.has_edge(*edge) for edge in bridges)
    joined = {}
    for edge in cut:
        values = before.edges[edge.a, edge.b]
        assert values["inliers"] == edge.inliers
        assert edge.parts == (len(group[edge.a]), len(group[edge.b])) and min(edge.parts) >= 4
        if edge.reason != "a single photo joins the two groups":
            joined.setdefault(frozenset((group[edge.a], group[edge.b])), []).append(edge)
    for edges in joined.values():
        links = len(nx.max_weight_matching(nx.Graph([edge[:2] for edge in edges]), maxcardinality=True))
        found, needed = (int(edges[0].reason.split()[place]) for place in (4, 6))
        assert links <= found < needed


@pytest.mark.parametrize("more", [0, 3, 4])
def test_a_single_photo_holds_no_two_places_together(more):
    """However many pairs it has with either; it stays where it has most. A group too small for a cluster stays with it."""
    network = nx.Graph()
    network.add_edges_from((a, b) for a, b, _ in clique(range(6)) + clique(range(6, 6 + 6)) + clique(range(12, 12 + more)))
    network.add_edges_from([(5, 6), (5, 7), (5, 8)] + [(5, 12 + other) for other in range(more)])
    parallax_inliers = {tuple(sorted(edge)): 20.0 for edge in network.edges}
    cut = _cut_at_single_photos(network, parallax_inliers, 4)
    expected = [(5, 6), (5, 7), (5, 8)] + ([(5, 12), (5, 13), (5, 14), (5, 15)] if more == 4 else [])
    assert sorted(cut) == expected and all(not network.has_edge(*edge) for edge in cut)
    assert nx.node_connected_component(network, 5) == {*range(6), *(range(12, 15) if more == 3 else ())}
    assert _cut_at_single_photos(network, parallax_inliers, 4) == []


def test_clusters_are_numbered_by_size_then_photo_and_small_ones_left_out(tmp_path):
    edges = clique([0, 1, 2, 3]) + clique([4, 5, 6, 7, 8]) + clique([9, 10, 11, 12]) + clique([13, 14, 15])
    _, members = clustered(tmp_path, edges, 17)
    assert members == [[4, 5, 6, 7, 8], [0, 1, 2, 3], [9, 10, 11, 12]]


def test_no_edges_no_clusters(tmp_path):
    with pytest.raises(EmptyStageError, match="no two of the 3 photos match; add photos that overlap"):
        clustered(tmp_path, [], 3)


def test_groups_too_small_are_no_clusters(tmp_path):
    with pytest.raises(EmptyStageError, match=r"4 pairs of the 7 photos match, the largest group has 3; .* or clustering\.min_photos"):
        clustered(tmp_path, [*clique([0, 1, 2]), *clique([3, 4])], 7)


def test_rendered_landmarks_are_the_clusters(grown):
    found = artefact.read(grown.clusters, "clusters")
    groups = {cluster: set(grown.landmark[found["cluster"] == cluster].tolist()) for cluster in (-1, 0, 1)}
    assert groups[-1] == {-1} and sorted(map(sorted, (groups[0], groups[1]))) == [[0], [1]]
