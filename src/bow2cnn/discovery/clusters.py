"""Clusters: connected components of the graph once what joins different places is cut."""

from typing import NamedTuple

import networkx as nx
import numpy as np

from bow2cnn import artefact
from bow2cnn.nothing import NothingFound
from bow2cnn.photos import photos_of
from bow2cnn.reuse import lineage, lineage_of

_UNMOVED = 0.5  # of the inliers: more, and the photos may have nothing in common but a mark or a frame


class Cut(NamedTuple):
    """An edge that is cut: its photos, its inliers, the photos (on a's side, on b's side), and why."""

    a: int
    b: int
    inliers: int
    parts: tuple
    reason: str


def cut_clusters(graph, out, min_photos, bridge_inliers, code=""):
    """Write the `clusters` artefact, largest cluster first.

    Two places may be joined by mistake. Edges that do it are cut and listed with their evidence: see `cut_unmoved` and `cut_weak_bridges`.

    Args:
        graph: path.
        min_photos: photos of the smallest cluster.
        bridge_inliers: of a single pair that joins two clusters, at least.
        code: digest of the code, part of the lineage.

    Raises:
        NothingFound: there is no cluster.
    """
    made_with = lineage("clusters", lineage_of(graph, "graph"), min_photos, bridge_inliers, code)
    arrays = artefact.read(graph, "graph", ["pair", "inliers", "unmoved", "queried"])
    network = nx.Graph()
    network.add_nodes_from(range(len(arrays["queried"])))
    for (a, b), inliers, unmoved in zip(*(arrays[name].tolist() for name in ("pair", "inliers", "unmoved")), strict=True):
        network.add_edge(a, b, inliers=inliers, unmoved=unmoved)
    cut = cut_unmoved(network, min_photos) + cut_weak_bridges(network, min_photos, bridge_inliers)
    members = [sorted(component) for component in nx.connected_components(network) if len(component) >= min_photos]
    if not members:
        raise NothingFound(_nothing(graph, network, len(arrays["pair"]), min_photos))
    members.sort(key=lambda photos: (-len(photos), photos[0]))
    cluster = np.full(len(arrays["queried"]), -1, np.int32)
    for number, photos in enumerate(members):
        cluster[photos] = number
    artefact.write(
        out,
        "clusters",
        {
            "offset": artefact.offsets([len(photos) for photos in members]),
            "photo": np.array([photo for photos in members for photo in photos], np.int32),
            "cluster": cluster,
            "cut/pair": np.array([(edge.a, edge.b) for edge in cut], np.int32).reshape(-1, 2),
            "cut/inliers": np.array([edge.inliers for edge in cut], np.int32),
            "cut/parts": np.array([edge.parts for edge in cut], np.int32).reshape(-1, 2),
            "cut/reason": [edge.reason for edge in cut],
            **photos_of(graph),
        },
        {"min_photos": min_photos, "bridge_inliers": bridge_inliers, "lineage": made_with},
    )


def _nothing(graph, network, pairs, min_photos):
    """Why there is no cluster."""
    what = f"clusters: {graph} has no group of {min_photos} photos (discovery.min_photos) that show the same thing"
    advice = "add photos that overlap, or lower discovery.min_inliers or discovery.min_similarity"
    if not pairs:
        return f"{what}: no two of the {len(network)} photos match; {advice}"
    largest = max(map(len, nx.connected_components(network)))
    return f"{what}: {pairs} pairs of the {len(network)} photos match, the largest group has {largest}; {advice}, or discovery.min_photos"


def cut_unmoved(network, min_photos):
    """Remove edges whose matches lie at the same place in both photos and which alone join two groups that could each be a cluster.

    Two photos of one place that do not move against each other are nearly the same, and others join them too.

    Args:
        network: graph with the edge attributes `inliers` and `unmoved`.

    Returns:
        list of `Cut`.
    """
    still = {edge for edge in network.edges if network.edges[edge]["unmoved"] > _UNMOVED}
    groups = nx.utils.UnionFind(network)
    for edge in network.edges - still:
        groups.union(*edge)
    cut = []
    for a, b in sorted((tuple(sorted(edge)) for edge in still), key=lambda edge: (-network.edges[edge]["inliers"], edge)):
        parts = groups.weights[groups[a]], groups.weights[groups[b]]
        if groups[a] != groups[b] and min(parts) >= min_photos:
            cut.append(Cut(a, b, network.edges[a, b]["inliers"], parts, "they lie at the same places in both photos, as marks do"))
            network.remove_edge(a, b)
        else:
            groups.union(a, b)
    return cut


def cut_weak_bridges(network, min_photos, bridge_inliers):
    """Remove edges of few inliers without which a component falls into two parts that could each be a cluster.

    Args:
        network: graph with the edge attribute `inliers`.

    Returns:
        list of `Cut`.
    """
    cut = []
    for a, b in sorted(tuple(sorted(edge)) for edge in nx.bridges(network)):
        attributes = dict(network.edges[a, b])
        if attributes["inliers"] >= bridge_inliers:
            continue
        network.remove_edge(a, b)
        parts = tuple(len(nx.node_connected_component(network, end)) for end in (a, b))
        if min(parts) >= min_photos:
            cut.append(Cut(a, b, attributes["inliers"], parts, "a single pair with so few does not join two places"))
        else:
            network.add_edge(a, b, **attributes)
    return cut
