"""Which cluster a photo is in, by which verified pairs, or why it is in none."""

from typing import NamedTuple

import networkx as nx
import numpy as np

_STRONGEST = 3  # pairs named where there is no chain to name


class Link(NamedTuple):
    """A verified pair: photos, their inliers, and the row of the pair in the graph."""

    first: int
    second: int
    inliers: int
    edge: int


def explain_cluster(files, row):
    """Lines about a photo's cluster, and the `Link`s that tell the most of it: a chain to the photo with most pairs, or its strongest."""
    if files.given:
        return [f"cluster: none was looked for, because {files.why_no_clusters}"], []
    if files.graph is None:
        return ["cluster: not known yet; run the stage `clustering`"], []
    verified = _verified(files)
    own = _strongest(verified, row)
    if files.clusters is None:
        return [f"cluster: not known yet; {len(own)} photos match it"], own[:_STRONGEST]
    cluster = int(files.clusters["cluster"][row])
    told = [_told_cut(files, number) for number in np.flatnonzero((files.clusters["cut/pair"] == row).any(1)).tolist()]
    if cluster < 0:
        reason, links = _why_none(files, verified, own, row)
        return [reason, *_told(files, links), *told], links
    joined = _inside(files, verified, cluster)
    hub = max(sorted(joined), key=joined.degree)
    head = f"cluster: {cluster}, {len(joined)} photos"
    if row == hub:
        links = _strongest(joined, row)[:_STRONGEST]
        return [f"{head}; no other of them has as many verified pairs ({joined.degree(row)}):", *_told(files, links), *told], links
    chain = nx.shortest_path(joined, row, hub, weight=lambda a, b, edge: 1 + 1 / edge["inliers"])
    links = [_link(joined, *pair) for pair in zip(chain[:-1], chain[1:], strict=True)]
    steps = "a verified pair joins" if len(links) == 1 else f"{len(links)} verified pairs join"
    return [f"{head}; {steps} it to the one with most of them ({joined.degree(hub)}):", *_told(files, links), *told], links


def _verified(files):
    """The graph of all verified pairs."""
    graph = nx.Graph()
    graph.add_nodes_from(range(len(files.graph["queried"])))
    for edge, ((a, b), inliers) in enumerate(zip(files.graph["pair"].tolist(), files.graph["inliers"].tolist(), strict=True)):
        graph.add_edge(a, b, inliers=inliers, edge=edge)
    return graph


def _inside(files, verified, cluster):
    """The pairs that hold a cluster together."""
    joined = verified.subgraph(np.flatnonzero(files.clusters["cluster"] == cluster).tolist()).copy()
    joined.remove_edges_from(files.clusters["cut/pair"].tolist())
    return joined


def _link(graph, a, b):
    return Link(a, b, graph.edges[a, b]["inliers"], graph.edges[a, b]["edge"])


def _strongest(graph, row):
    return sorted((_link(graph, row, other) for other in graph[row]), key=lambda link: (-link.inliers, link.second))


def _why_none(files, verified, own, row):
    """Why a photo is in no cluster."""
    if own:
        uncut = verified.copy()
        uncut.remove_edges_from(files.clusters["cut/pair"].tolist())
        group = len(nx.node_connected_component(uncut, row))
        return f"cluster: none; the {group} photos that verified pairs join are fewer than clustering.min_photos ({files.min_photos}):", own
    refused = int((files.graph["refused"] == row).any(1).sum())
    looked = f"geometry refused the {refused} that looked like it" if refused else "none was enough like it to be looked at by all features"
    return f"cluster: none; no photo matches it, {looked}", []


def _told_cut(files, number):
    """A line for a pair that was cut."""
    pair, inliers, parts, reason = (files.clusters[f"cut/{name}"][number] for name in ("pair", "inliers", "parts", "reason"))
    names = " - ".join(files.photos["name"][photo] for photo in pair)
    groups = f"groups of {parts[0]} and {parts[1]} photos"
    return f"  cut, but in doubt: {names}: {inliers} inliers joined {groups}, but {reason}"


def _told(files, links):
    """A line for every link."""
    names = files.photos["name"]
    return [f"  {names[link.first]} - {names[link.second]}: {link.inliers} inliers{_origin(files, link)}" for link in links]


def _origin(files, link):
    """How the pair was found."""
    if files.seeds is None:
        return ""
    seed = np.isin(files.seeds["pair"], [link.first, link.second]).all(1).any()
    return ", a seed of min-hash" if seed else ", found by a query"
