"""Clusters: connected components of the graph once weak bridges between them are cut."""

import networkx as nx
import numpy as np

from bow2cnn import artefact
from bow2cnn.nothing import NothingFound
from bow2cnn.photos import photos_of
from bow2cnn.reuse import lineage, lineage_of


def cut_clusters(graph, out, min_photos, bridge_inliers, code=""):
    """Write the `clusters` artefact, largest cluster first.

    An edge is weak when it has fewer than `bridge_inliers` inliers and its removal splits its component into two parts that could
    each be a cluster: two places that one mistaken pair has chained. Such edges are cut and listed with their evidence.

    Args:
        graph: path.
        min_photos: photos of the smallest cluster.
        code: digest of the code, part of the lineage.

    Raises:
        NothingFound: there is no cluster.
    """
    made_with = lineage("clusters", lineage_of(graph, "graph"), min_photos, bridge_inliers, code)
    arrays = artefact.read(graph, "graph", ["pair", "inliers", "queried"])
    network = nx.Graph()
    network.add_nodes_from(range(len(arrays["queried"])))
    network.add_weighted_edges_from(
        ((int(a), int(b), int(n)) for (a, b), n in zip(arrays["pair"], arrays["inliers"], strict=True)), weight="inliers"
    )
    cut = cut_weak_bridges(network, min_photos, bridge_inliers)
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
            "cut/pair": np.array([(a, b) for a, b, _, _ in cut], np.int32).reshape(-1, 2),
            "cut/inliers": np.array([n for _, _, n, _ in cut], np.int32),
            "cut/parts": np.array([parts for *_, parts in cut], np.int32).reshape(-1, 2),
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


def cut_weak_bridges(network, min_photos, bridge_inliers):
    """Remove weak bridges from a graph with edge attribute `inliers`; returns (a, b, inliers, (photos on a's side, on b's side))."""
    cut = []
    for a, b in sorted(tuple(sorted(edge)) for edge in nx.bridges(network)):
        inliers = network.edges[a, b]["inliers"]
        if inliers >= bridge_inliers:
            continue
        network.remove_edge(a, b)
        parts = tuple(len(nx.node_connected_component(network, end)) for end in (a, b))
        if min(parts) >= min_photos:
            cut.append((a, b, inliers, parts))
        else:
            network.add_edge(a, b, inliers=inliers)
    return cut
