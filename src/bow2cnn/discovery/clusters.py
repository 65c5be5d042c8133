"""Clusters: connected components of the graph once what joins different places is cut."""

from collections import defaultdict
from typing import NamedTuple

import networkx as nx
import numpy as np

from bow2cnn import artefact
from bow2cnn.nothing import NothingFound
from bow2cnn.photos import photos_of
from bow2cnn.reuse import lineage, lineage_of

_UNMOVED = 0.5  # of the inliers: more, and the photos may have nothing in common but a mark or a frame
_SINGLE = "pairs with so few, all of one photo, do not join two places"
_STILL = "they lie at the same places in both photos, as marks do"


class Cut(NamedTuple):
    """An edge that is cut: its photos, its inliers, the photos (on a's side, on b's side), and why."""

    a: int
    b: int
    inliers: int
    parts: tuple
    reason: str


def cut_clusters(graph, out, min_photos, bridge_inliers, code=""):
    """Write the `clusters` artefact, largest cluster first.

    Two places may be joined by mistake. Edges that do it are cut and listed with their evidence: see `cut_weak`.

    Args:
        graph: path.
        min_photos: photos of the smallest cluster.
        bridge_inliers: that moved, of a single pair that joins two clusters, at least.
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
    cut, bridges = cut_weak(network, min_photos, bridge_inliers)
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
            "bridge/pair": np.array(bridges, np.int32).reshape(-1, 2),
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


def cut_weak(network, min_photos, bridge_inliers):
    """Remove the edges that join two groups, each large enough for a cluster, without evidence enough that they are one place.

    Evidence is inliers that moved: matches at the same place in both photos may be a mark or a frame. One edge with `bridge_inliers` of
    these is enough, or two edges without a photo in common. Edges of a single photo (a collage, a facade that is like another) are not,
    nor are edges most of whose inliers did not move, however many. Whatever is too small for a cluster goes with what it is joined to
    most strongly.

    Args:
        network: graph with the edge attributes `inliers` and `unmoved`.

    Returns:
        list of `Cut`, and the edges (a, b) that join in twos what nothing stronger joins, where either side has a cluster's size without
        weak edges. Two buildings with a part that is the same have such edges too, so a 3D model should not be built across them.
    """
    found = {tuple(sorted(edge)): network.edges[edge] for edge in network.edges}
    moved = {edge: values["inliers"] * (1 - values["unmoved"]) for edge, values in found.items()}
    strongest_first = sorted(moved, key=lambda edge: (-moved[edge], -found[edge]["inliers"], edge))
    weak = [edge for edge in strongest_first if moved[edge] < bridge_inliers]
    still = [edge for edge in weak if found[edge]["unmoved"] > _UNMOVED]
    moving = [edge for edge in weak if found[edge]["unmoved"] <= _UNMOVED]
    groups = nx.utils.UnionFind(network)
    for edge in strongest_first[: len(moved) - len(weak)]:
        groups.union(*edge)
    sure = [photo for photo in network if groups.weights[groups[photo]] >= min_photos]
    _join_small(groups, moving, min_photos)
    part = {photo: groups[photo] for photo in network}
    _join_by_two(groups, moving)
    modelled = {part[photo] for photo in sure}
    bridges = sorted((a, b) for a, b in moving if part[a] != part[b] and groups[a] == groups[b] and modelled >= {part[a], part[b]})
    _join_small(groups, still, min_photos)
    cut = []
    for edges, reason in ((moving, _SINGLE), (still, _STILL)):
        apart = sorted(edge for edge in edges if groups[edge[0]] != groups[edge[1]])
        network.remove_edges_from(apart)
        cut += [Cut(*edge, found[edge]["inliers"], tuple(groups.weights[groups[end]] for end in edge), reason) for edge in apart]
    return cut, bridges


def _join_small(groups, edges, min_photos):
    for a, b in edges:
        if min(groups.weights[groups[a]], groups.weights[groups[b]]) < min_photos:
            groups.union(a, b)


def _join_by_two(groups, edges):
    """Join groups between which there are two edges without a photo in common, until there are no more such groups."""
    joined = True
    while joined:
        between, joined = defaultdict(list), False
        for edge in edges:
            ends = groups[edge[0]], groups[edge[1]]
            if ends[0] != ends[1]:
                between[frozenset(ends)].append(edge)
        for pair, joining in between.items():
            if not set.intersection(*map(set, joining)):  # edges between two groups are all of one photo, or two are of four
                groups.union(*pair)
                joined = True
