"""Which cluster a photo is in, by which verified pairs, or why it is in none."""

from typing import NamedTuple

import networkx as nx
import numpy as np

from bow2cnn.explain.substitute import substitute_for_clusters, why_no_clusters
from bow2cnn.run.run import Run

_STRONGEST = 3  # pairs that are named if no chain leads to another photo


class Link(NamedTuple):
    """A verified pair: photos, their inliers, and the row of the pair in the graph."""

    first: int
    second: int
    inliers: int
    edge: int


def explain_cluster(run: Run, row: int) -> tuple[list[str], list[Link]]:
    """Lines about a photo's cluster, and the pairs that say most about it: a chain to the photo with most pairs, or its strongest pairs."""
    if substitute_for_clusters(run):
        return [f"cluster: none was looked for, because {why_no_clusters(run)}"], []
    if "graph" not in run:
        return ["cluster: not known yet; run the stage `clustering`"], []
    verified = _verified(run)
    own = _strongest(verified, row)
    if "clusters" not in run:
        return [f"cluster: not known yet; {len(own)} photos match it"], own[:_STRONGEST]
    cluster = int(run.clusters["cluster"][row])
    cuts = [_cut_line(run, number) for number in np.flatnonzero((run.clusters["cut/pair"] == row).any(1)).tolist()]
    if cluster < 0:
        reason, links = _why_none(run, verified, own, row)
        return [reason, *_link_lines(run, links), *cuts], links
    joined = _inside(run, verified, cluster)
    hub = max(sorted(joined), key=joined.degree)
    head = f"cluster: {cluster}, {len(joined)} photos"
    if row == hub:
        links = _strongest(joined, row)[:_STRONGEST]
        most = f"no other photo of it has as many verified pairs ({joined.degree(row)}); the strongest:"
        return [f"{head}; {most}", *_link_lines(run, links), *cuts], links
    chain = nx.shortest_path(joined, row, hub, weight=lambda a, b, edge: 1 + 1 / edge["inliers"])
    links = [_link(joined, *pair) for pair in zip(chain[:-1], chain[1:], strict=True)]
    steps = "a verified pair joins" if len(links) == 1 else f"{len(links)} verified pairs join"
    return [f"{head}; {steps} it to the photo with most pairs ({joined.degree(hub)}):", *_link_lines(run, links), *cuts], links


def _verified(run):
    """The graph of all verified pairs."""
    graph = nx.Graph()
    graph.add_nodes_from(range(len(run.graph["queried"])))
    for edge, ((a, b), inliers) in enumerate(zip(run.graph["pair"].tolist(), run.graph["inliers"].tolist(), strict=True)):
        graph.add_edge(a, b, inliers=inliers, edge=edge)
    return graph


def _inside(run, verified, cluster):
    """The pairs that hold a cluster together."""
    joined = verified.subgraph(np.flatnonzero(run.clusters["cluster"] == cluster).tolist()).copy()
    joined.remove_edges_from(run.clusters["cut/pair"].tolist())
    return joined


def _link(graph, a, b):
    return Link(a, b, graph.edges[a, b]["inliers"], graph.edges[a, b]["edge"])


def _strongest(graph, row):
    return sorted((_link(graph, row, other) for other in graph[row]), key=lambda link: (-link.inliers, link.second))


def _why_none(run, verified, own, row):
    """Why a photo is in no cluster."""
    if own:
        uncut = verified.copy()
        uncut.remove_edges_from(run.clusters["cut/pair"].tolist())
        group, least = len(nx.node_connected_component(uncut, row)), run.clusters.params["min_photos"]
        return f"cluster: none; verified pairs make a group of {group} photos with it, fewer than clustering.min_photos ({least}):", own
    refused = int((run.graph["refused"] == row).any(1).sum())
    looked = f"geometry refused {refused} that looked like it" if refused else "none looked enough like it to compare all their features"
    return f"cluster: none; no photo matches it: {looked}", []


def _cut_line(run, number):
    """A line for a pair that was cut."""
    pair, inliers, parts, reason = (run.clusters[f"cut/{name}"][number] for name in ("pair", "inliers", "parts", "reason"))
    names = " - ".join(run.photos["name"][photo] for photo in pair)
    groups = f"groups of {parts[0]} and {parts[1]} photos"
    return f"  cut, because it is in doubt: {names}: {inliers} inliers joined {groups}, but {reason}"


def _link_lines(run, links):
    names = run.photos["name"]
    return [f"  {names[link.first]} - {names[link.second]}: {link.inliers} inliers{_origin(run, link)}" for link in links]


def _origin(run, link):
    """How the pair was found."""
    if "seeds" not in run:
        return ""
    seed = np.isin(run.seeds["pair"], [link.first, link.second]).all(1).any()
    return ", a seed of min-hash" if seed else ", found by a query"
