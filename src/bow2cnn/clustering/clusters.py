"""Clusters: connected components of the graph after the pairs that join different places are cut.

A few verified pairs of any collection are wrong, and a larger collection has more of them. So no single pair joins two groups, however many
inliers it has. All pairs between two groups are judged together: two pairs are independent links if they have no photo in common. (A
collage, or a photo of a facade that another place has too, is only one photo.) Two groups are joined if they have more links than wrong
pairs would give anywhere in the collection.

A group is a set of photos that pairs have joined so far. A group that has a cluster's size in the end is a cluster.
"""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import networkx as nx
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import maximum_bipartite_matching
from scipy.stats import poisson

from bow2cnn.core import artefact
from bow2cnn.core.empty_stage import EmptyStageError
from bow2cnn.core.lineage import lineage, lineage_of
from bow2cnn.core.same_photos import photos_of

_MIN_LINKS = 3
_MAX_WRONG_MERGES = 0.001  # expected number of groups that are joined by mistake, in the whole collection
_MAX_WRONG_SHARE = 0.01  # upper bound of the share of verified pairs that are wrong; verification is better than that


class Cut(NamedTuple):
    """An edge that is cut.

    Attributes:
        a, b: its photos.
        inliers: of the pair.
        parts: number of photos on the side of a, and on the side of b.
        reason: why it is cut.
    """

    a: int
    b: int
    inliers: int
    parts: tuple[int, int]
    reason: str


class Links(NamedTuple):
    """The links between two groups: pairs without a common photo.

    Attributes:
        found: number of links.
        needed: number of links that joins the groups.
    """

    found: int
    needed: int


def cut_clusters(graph: str | Path, out: str | Path, min_photos: int, min_bridge_inliers: float, code: str = "") -> None:
    """Write the `clusters` artefact, largest cluster first.

    Edges that may join two places by mistake are cut and listed with their evidence: see `cut_weak`.

    Args:
        graph: path of the `graph` artefact.
        out: path of the artefact to write.
        min_photos: photos of the smallest cluster.
        min_bridge_inliers: see `cut_weak`.
        code: digest of the code, part of the lineage.

    Raises:
        EmptyStageError: no group has `min_photos` photos.
        ArtefactError: the graph cannot be used.
    """
    made_with = lineage("clusters", lineage_of(graph, "graph"), min_photos, min_bridge_inliers, code)
    arrays = artefact.read(graph, "graph", ["pair", "inliers", "unmoved", "queried"])
    network = nx.Graph()
    network.add_nodes_from(range(len(arrays["queried"])))
    for (a, b), inliers, unmoved in zip(*(arrays[name].tolist() for name in ("pair", "inliers", "unmoved")), strict=True):
        network.add_edge(a, b, inliers=inliers, unmoved=unmoved)
    cut, bridges = cut_weak(network, min_photos, min_bridge_inliers)
    members = [sorted(component) for component in nx.connected_components(network) if len(component) >= min_photos]
    if not members:
        raise EmptyStageError(_why_no_cluster(graph, network, len(arrays["pair"]), min_photos))
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
        {"min_photos": min_photos, "min_bridge_inliers": min_bridge_inliers, "lineage": made_with},
    )


def _why_no_cluster(graph, network, pairs, min_photos):
    what = f"clusters: {graph} has no group of {min_photos} photos (clustering.min_photos) that show the same thing"
    advice = "add photos that overlap, or lower clustering.min_inliers or clustering.min_similarity"
    if not pairs:
        return f"{what}: no two of the {len(network)} photos match; {advice}"
    largest = max(map(len, nx.connected_components(network)))
    return f"{what}: {pairs} pairs of the {len(network)} photos match, the largest group has {largest}; {advice}, or clustering.min_photos"


def cut_weak(network: nx.Graph, min_photos: int, min_bridge_inliers: float) -> tuple[list[Cut], list[tuple[int, int]]]:
    """Remove the edges that join two groups of a cluster's size which have too few links to be one place.

    Groups grow edge by edge. Edges whose two photos have many neighbours in common come first, because a wrong pair hardly ever has any,
    however many inliers it has. Among these the edges with more parallax inliers come first: inliers at the same place in both photos may
    lie on a watermark. A group that is too small for a cluster joins the group to which its first edge leads. Groups of a cluster's size
    are joined by links (see `find_links`), at first only by links of strong edges. At last the edges of a photo are cut if this photo
    alone holds two groups together.

    Args:
        network: graph with the edge attributes `inliers` and `unmoved`, the share of inliers at the same place in both photos. The edges
            that are cut are removed from it.
        min_photos: photos of the smallest cluster.
        min_bridge_inliers: parallax inliers of a strong edge. A 3D model may always be built across a strong edge.

    Returns:
        The edges that were cut, sorted, and the bridges: weak edges (a, b) that join two groups which strong edges do not join, where each
        group would have a cluster's size by its strong edges. Two buildings with an identical part have such edges too, so no 3D model
        should be built across them.
    """
    attributes = {tuple(sorted(edge)): network.edges[edge] for edge in network.edges}
    parallax_inliers = {edge: values["inliers"] * (1 - values["unmoved"]) for edge, values in attributes.items()}
    common = _count_common_neighbours(network, list(parallax_inliers))
    edges = sorted(attributes, key=lambda edge: (-common[edge], -parallax_inliers[edge], -attributes[edge]["inliers"], edge))
    strong_edges = [edge for edge in edges if parallax_inliers[edge] >= min_bridge_inliers]
    groups = nx.utils.UnionFind(network)
    _join_small(groups, edges, min_photos)
    _join_linked(groups, strong_edges, min_photos)
    strong_group = {photo: groups[photo] for photo in network}
    _join_linked(groups, edges, min_photos)
    bridges = _find_bridges(groups, strong_group, edges, strong_edges, min_photos)
    links, reasons = find_links(groups, edges, min_photos), {}
    for edge in [edge for edge in edges if groups[edge[0]] != groups[edge[1]]]:
        network.remove_edge(*edge)
        found, needed = links[_ends(groups, edge)]
        reasons[edge] = f"the two groups have {found} of {needed} pairs without a common photo that would join them"
    reasons |= dict.fromkeys(_cut_at_single_photos(network, parallax_inliers, min_photos), "a single photo joins the two groups")
    size = {photo: len(members) for members in nx.connected_components(network) for photo in members}
    cut = [Cut(a, b, attributes[a, b]["inliers"], (size[a], size[b]), reasons[a, b]) for a, b in sorted(reasons)]
    return cut, [edge for edge in bridges if network.has_edge(*edge)]


def _find_bridges(groups, strong_group, edges, strong_edges, min_photos):
    """See `cut_weak`; `strong_group` is the group of every photo before weak edges joined any."""
    strong, large = set(strong_edges), _find_strong_groups(strong_group, strong_edges, min_photos)
    weak_edges = [edge for edge in edges if edge not in strong and groups[edge[0]] == groups[edge[1]]]
    candidates = ((a, b) for a, b in weak_edges if strong_group[a] != strong_group[b])
    return sorted((a, b) for a, b in candidates if strong_group[a] in large and strong_group[b] in large)


def find_links(groups: nx.utils.UnionFind, edges: Iterable[tuple[int, int]], min_photos: int) -> dict[tuple[int, int], Links]:
    """The links between every two groups that an edge joins.

    Wrong pairs join any two photos. So the number of links by mistake between groups of a and b photos is a Poisson number with the mean
    W a b / S. W is the number of links between all other groups that are not joined, plus one, and at most a hundredth of all edges. S is
    the sum of a b over all pairs of groups. The number that is needed leaves 0.001 expected mistakes among all pairs of groups. If the
    rate of wrong pairs is constant, W grows with the number of photos and a b / S falls with its square: the number that is needed between
    groups of one size grows with the logarithm of the number of groups. Large groups need more links than small ones.

    Args:
        groups: the group of every photo, with its size in `weights`.
        edges: pairs of photos.
        min_photos: smaller groups do not count for S.

    Returns:
        The names of two groups, the smaller name first, to their links.
    """
    edges = list(edges)
    candidate_merges = defaultdict(list)
    for edge in edges:
        if groups[edge[0]] != groups[edge[1]]:
            candidate_merges[_ends(groups, edge)].append(edge)
    found = {ends: _count_links(groups, joining, ends[0]) for ends, joining in candidate_merges.items()}
    sizes = np.array([size for size in _sizes(groups) if size >= min_photos], np.float64)
    products = (sizes.sum() ** 2 - (sizes**2).sum()) / 2
    group_pairs = len(sizes) * (len(sizes) - 1) / 2
    total, max_wrong = sum(found.values()), _MAX_WRONG_SHARE * len(edges)
    links = {}
    for (a, b), count in found.items():
        wrong = min(total - count + 1, max_wrong)
        expected = wrong * groups.weights[a] * groups.weights[b] / max(products, 1)
        links[a, b] = Links(count, links_needed(expected, group_pairs))
    return links


def links_needed(expected: float, group_pairs: float) -> int:
    """Number of links that joins two groups.

    Args:
        expected: expected number of wrong links between them.
        group_pairs: number of pairs of groups in the collection.
    """
    return max(_MIN_LINKS, int(poisson.isf(_MAX_WRONG_MERGES / max(group_pairs, 1), expected)) + 1)


def _cut_at_single_photos(network, parallax_inliers, min_photos):
    """Remove the edges of single photos that hold two groups of a cluster's size together, and return these edges.

    While groups are small, a wrong pair may join photos of two places, and the other photos of both places follow.
    """
    cut, waiting = [], [set(component) for component in nx.connected_components(network) if len(component) > 2 * min_photos]
    while waiting:
        members = waiting.pop()
        joint = _find_joint(network.subgraph(members), min_photos)
        if joint is None:
            continue
        photo, branches = joint
        ties = [[tuple(sorted((photo, other))) for other in network[photo] if other in branch] for branch in branches]
        strength = [(len(edges), sum(parallax_inliers[edge] for edge in edges)) for edges in ties]
        kept = max(range(len(branches)), key=lambda i: (*strength[i], -min(branches[i])))
        for number, branch in enumerate(branches):
            if number != kept:
                network.remove_edges_from(ties[number])
                cut += ties[number]
                members = members - branch
                waiting.append(branch)
        waiting.append(members)
    return cut


def _find_joint(graph, min_photos):
    """The first photo of a connected graph whose removal leaves several parts of `min_photos` photos, and these parts (sets), or None.

    The sizes of all parts come from one walk through the tree of the graph's biconnected blocks and their common photos.
    """
    blocks = [set(block) for block in nx.biconnected_components(graph)]
    owners = defaultdict(list)
    for number, block in enumerate(blocks):
        for photo in block:
            owners[photo].append(number)
    shared = {photo for photo, own in owners.items() if len(own) > 1}
    if not shared:
        return None
    tree = nx.Graph((("photo", photo), ("block", number)) for photo in shared for number in owners[photo])
    weight = {node: 1 if node[0] == "photo" else len(blocks[node[1]] - shared) for node in tree}
    root = ("photo", min(shared))
    parent = {node: above for above, node in nx.dfs_edges(tree, root)}
    below = dict(weight)
    for node in reversed(list(nx.dfs_preorder_nodes(tree, root))):
        if node in parent:
            below[parent[node]] += below[node]
    for photo in sorted(shared):
        node = ("photo", photo)
        sizes = [len(graph) - below[node] if parent.get(node) == block else below[block] for block in tree[node]]
        if sum(size >= min_photos for size in sizes) > 1:
            parts = nx.connected_components(graph.subgraph(set(graph) - {photo}))
            return photo, sorted((set(part) for part in parts if len(part) >= min_photos), key=min)
    return None


def _find_strong_groups(strong_group, strong_edges, min_photos):
    """The groups in which strong edges alone join `min_photos` photos."""
    joined = nx.utils.UnionFind(strong_group)
    for a, b in strong_edges:
        if strong_group[a] == strong_group[b]:
            joined.union(a, b)
    return {strong_group[photo] for photo in strong_group if joined.weights[joined[photo]] >= min_photos}


def _count_common_neighbours(network, edges):
    """Edge to the number of photos that have an edge to both of its photos."""
    neighbours = nx.to_scipy_sparse_array(network, nodelist=range(len(network)), weight=None, dtype=np.int32, format="csr")
    common = (neighbours @ neighbours).multiply(neighbours).tocsr()
    return {(a, b): int(common[a, b]) for a, b in edges}


def _ends(groups, edge):
    """Names of the groups that an edge joins, the smaller first."""
    a, b = groups[edge[0]], groups[edge[1]]
    return (a, b) if a < b else (b, a)


def _sizes(groups):
    return [groups.weights[name] for name in {groups[photo] for photo in groups}]


def _count_links(groups, edges, first):
    """Largest number of edges between two groups of which no two have a common photo; `first` is the name of one group."""
    ends = np.array([edge if groups[edge[0]] == first else edge[::-1] for edge in edges])
    (left, a), (right, b) = (np.unique(side, return_inverse=True) for side in ends.T)
    network = coo_array((np.ones(len(ends), np.int8), (a, b)), shape=(len(left), len(right)))
    return int(np.count_nonzero(maximum_bipartite_matching(network.tocsr()) >= 0))


def _join_small(groups, edges, min_photos):
    for a, b in edges:
        if min(groups.weights[groups[a]], groups.weights[groups[b]]) < min_photos:
            groups.union(a, b)


def _join_linked(groups, edges, min_photos):
    """Join groups that have enough links, those with most links first, until no two groups have enough."""
    joined = {None}
    while joined:
        joined = set()
        links = find_links(groups, edges, min_photos)
        for ends in sorted(links, key=lambda ends: (-links[ends].found, ends)):
            if links[ends].found >= links[ends].needed and joined.isdisjoint(ends):
                groups.union(*ends)
                joined.update(ends)
