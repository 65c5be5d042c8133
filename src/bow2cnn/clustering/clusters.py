"""Clusters: connected components of the graph once what joins different places is cut.

A few verified pairs of any collection are wrong, and with more photos there are more of them, so no single pair joins two groups, however
many inliers it has. What joins them is judged as a whole: the pairs between two groups count as independent links where they have no photo
in common (a collage, or a photo with a facade like that of another place, is one photo), and as many links are needed as wrong pairs would
hardly ever give anywhere in the collection.
"""

from collections import defaultdict
from collections.abc import Iterable
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

_FEWEST_LINKS = 3
_MISTAKES = 0.001  # groups joined by mistake in the whole collection, expected
_WRONG = 0.01  # share of the verified pairs that are wrong, at most: verification is better than that


class Cut(NamedTuple):
    """An edge that is cut: its photos, its inliers, the photos (on a's side, on b's side), and why."""

    a: int
    b: int
    inliers: int
    parts: tuple
    reason: str


class Links(NamedTuple):
    """What joins two groups: pairs without a photo in common, and how many of them are needed."""

    found: int
    needed: int


def cut_clusters(graph, out, min_photos, min_bridge_inliers, code=""):
    """Write the `clusters` artefact, largest cluster first.

    Edges that may join two places by mistake are cut and listed with their evidence: see `cut_weak`.

    Args:
        graph: path.
        min_photos: photos of the smallest cluster.
        min_bridge_inliers: see `cut_weak`.
        code: digest of the code, part of the lineage.

    Raises:
        EmptyStageError: there is no cluster.
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
        raise EmptyStageError(_nothing(graph, network, len(arrays["pair"]), min_photos))
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


def _nothing(graph, network, pairs, min_photos):
    """Why there is no cluster."""
    what = f"clusters: {graph} has no group of {min_photos} photos (clustering.min_photos) that show the same thing"
    advice = "add photos that overlap, or lower clustering.min_inliers or clustering.min_similarity"
    if not pairs:
        return f"{what}: no two of the {len(network)} photos match; {advice}"
    largest = max(map(len, nx.connected_components(network)))
    return f"{what}: {pairs} pairs of the {len(network)} photos match, the largest group has {largest}; {advice}, or clustering.min_photos"


def cut_weak(network: nx.Graph, min_photos: int, min_bridge_inliers: float) -> tuple[list[Cut], list[tuple[int, int]]]:
    """Remove the edges that join two groups, each large enough for a cluster, without links enough that they are one place.

    Groups grow edge by edge. First come those whose photos match most of the same others, which wrong pairs hardly ever do, however many
    inliers they have; then by the inliers that moved, because matches at the same place in both photos may be of a mark. What is too small
    for a cluster goes with what it is so joined to first. Groups of a cluster's size are joined by links (see `find_links`), first by those
    of `min_bridge_inliers` alone; and what a single photo alone joins is cut.

    Args:
        network: graph with the edge attributes `inliers` and `unmoved`.
        min_photos: photos of the smallest cluster.
        min_bridge_inliers: inliers that moved, of a pair across which a 3D model may be built in any case.

    Returns:
        list of `Cut`, and the edges (a, b) of fewer inliers that join groups which stronger ones do not join, where either has a cluster's
        size without such edges. Two buildings with a part that is the same have such edges too, so a 3D model should not be built across
        them.
    """
    found = {tuple(sorted(edge)): network.edges[edge] for edge in network.edges}
    moved = {edge: values["inliers"] * (1 - values["unmoved"]) for edge, values in found.items()}
    support = _count_common(network, list(moved))
    edges = sorted(moved, key=lambda edge: (-support[edge], -moved[edge], -found[edge]["inliers"], edge))
    strong = [edge for edge in edges if moved[edge] >= min_bridge_inliers]
    groups = nx.utils.UnionFind(network)
    _join_small(groups, edges, min_photos)
    _join_linked(groups, strong, min_photos)
    part = {photo: groups[photo] for photo in network}
    _join_linked(groups, edges, min_photos)
    modelled = _with_models(part, strong, min_photos)
    weak = [(a, b) for a, b in edges if moved[a, b] < min_bridge_inliers and groups[a] == groups[b]]
    bridges = sorted((a, b) for a, b in weak if part[a] != part[b] and modelled >= {part[a], part[b]})
    links, reasons = find_links(groups, edges, min_photos), {}
    for edge in [edge for edge in edges if groups[edge[0]] != groups[edge[1]]]:
        network.remove_edge(*edge)
        joining = links[_ends(groups, edge)]
        reasons[edge] = f"the two groups have {joining.found} of {joining.needed} pairs without a common photo that would join them"
    reasons |= dict.fromkeys(_cut_at_single_photos(network, moved, min_photos), "a single photo joins the two groups")
    size = {photo: len(members) for members in nx.connected_components(network) for photo in members}
    cut = [Cut(*edge, found[edge]["inliers"], tuple(size[end] for end in edge), reasons[edge]) for edge in sorted(reasons)]
    return cut, [edge for edge in bridges if network.has_edge(*edge)]


def find_links(groups: nx.utils.UnionFind, edges: Iterable[tuple[int, int]], min_photos: int) -> dict[tuple[int, int], Links]:
    """The `Links` between every two groups that an edge joins, by their names, the smaller first.

    Wrong pairs join any two photos, so between groups of a and b photos there are about W a b / S links by mistake, a Poisson number: W is
    the number of links between all groups that are not joined (but for the two, and no more than a hundredth of all edges), S the sum of
    a b over all pairs of groups. As many are needed as leave a thousandth of a mistake to be expected among all pairs of groups. At one
    rate of wrong pairs W grows with the photos and a b / S falls with their square: what is needed between groups of one size grows with
    the logarithm of the number of groups, and more is asked of large groups than of small ones.
    """
    edges = list(edges)
    between = defaultdict(list)
    for edge in edges:
        if groups[edge[0]] != groups[edge[1]]:
            between[_ends(groups, edge)].append(edge)
    found = {ends: _count_links(groups, joining, ends[0]) for ends, joining in between.items()}
    sizes = np.array([size for size in _sizes(groups) if size >= min_photos], np.float64)
    products = (sizes.sum() ** 2 - (sizes**2).sum()) / 2
    group_pairs = len(sizes) * (len(sizes) - 1) / 2
    total, most = sum(found.values()), _WRONG * len(edges)
    links = {}
    for (a, b), count in found.items():
        wrong = min(total - count + 1, most)
        expected = wrong * groups.weights[a] * groups.weights[b] / max(products, 1)
        links[a, b] = Links(count, links_needed(expected, group_pairs))
    return links


def links_needed(expected: float, group_pairs: float) -> int:
    """Links needed between two groups where so many are expected by mistake, among so many pairs of groups."""
    return max(_FEWEST_LINKS, int(poisson.isf(_MISTAKES / max(group_pairs, 1), expected)) + 1)


def _cut_at_single_photos(network, moved, min_photos):
    """Remove the edges of photos that alone join two groups of a cluster's size, and return them. While groups are small, a wrong pair may
    join photos of two places, to which the others of either then come.
    """
    cut, waiting = [], [set(component) for component in nx.connected_components(network) if len(component) > 2 * min_photos]
    while waiting:
        members = waiting.pop()
        joint = _find_joint(network.subgraph(members), min_photos)
        if joint is None:
            continue
        photo, branches = joint
        ties = [[tuple(sorted((photo, other))) for other in network[photo] if other in branch] for branch in branches]
        kept = max(range(len(branches)), key=lambda i: (len(ties[i]), sum(moved[edge] for edge in ties[i]), -min(branches[i])))
        for number, branch in enumerate(branches):
            if number != kept:
                network.remove_edges_from(ties[number])
                cut += ties[number]
                members = members - branch
                waiting.append(branch)
        waiting.append(members)
    return cut


def _find_joint(graph, min_photos):
    """The first photo of a connected graph without which two parts or more with `min_photos` photos each are apart, and these (sets);
    None where there is none.

    The sizes of all parts come from one walk through the tree of the graph's blocks and the photos that these share.
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


def _with_models(part, strong, min_photos):
    """The parts that have a cluster's size of photos without weak edges."""
    groups = nx.utils.UnionFind(part)
    for a, b in strong:
        if part[a] == part[b]:
            groups.union(a, b)
    return {part[photo] for photo in part if groups.weights[groups[photo]] >= min_photos}


def _count_common(network, edges):
    """Of every edge the number of photos that both of its own are joined to."""
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
    """Number of edges between two groups that can be chosen so that no two have a photo in common."""
    ends = np.array([edge if groups[edge[0]] == first else edge[::-1] for edge in edges])
    (left, a), (right, b) = (np.unique(side, return_inverse=True) for side in ends.T)
    network = coo_array((np.ones(len(ends), np.int8), (a, b)), shape=(len(left), len(right)))
    return int(np.count_nonzero(maximum_bipartite_matching(network.tocsr()) >= 0))


def _join_small(groups, edges, min_photos):
    for a, b in edges:
        if min(groups.weights[groups[a]], groups.weights[groups[b]]) < min_photos:
            groups.union(a, b)


def _join_linked(groups, edges, min_photos):
    """Join groups between which there are links enough, those with most of them first, until there are no more such groups."""
    joined = {None}
    while joined:
        joined = set()
        links = find_links(groups, edges, min_photos)
        for ends in sorted(links, key=lambda ends: (-links[ends].found, ends)):
            if links[ends].found >= links[ends].needed and joined.isdisjoint(ends):
                groups.union(*ends)
                joined.update(ends)
