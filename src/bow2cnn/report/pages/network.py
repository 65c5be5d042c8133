"""The match graph of a cluster as a picture: photos are dots, verified pairs are lines."""

from collections.abc import Sequence

import networkx as nx
import numpy as np

_WIDTH, _HEIGHT, _BORDER = 900, 560, 14  # pixels
_MOST = 300  # photos in the picture at most: those with most pairs


def draw_network(pairs: np.ndarray, inliers: np.ndarray, names: Sequence[str], inside: set[int]) -> dict:
    """Lay out the verified pairs of a cluster.

    Args:
        pairs: photos of each pair, int [m, 2].
        inliers: of each pair, int [m].
        names: of the photos, by row of the collection.
        inside: the photos that the page is about; the others are drawn paler.

    Returns:
        dict with `width` and `height` (pixels), `lines` (x1, y1, x2, y2, opacity), `dots` (x, y, radius, inside, title) and `left_out`, the
        number of photos that are not shown.
    """
    graph = nx.Graph()
    for (a, b), count in zip(pairs.tolist(), inliers.tolist(), strict=True):
        graph.add_edge(a, b, weight=float(np.log(count)), inliers=count)
    busiest = sorted(graph, key=lambda photo: (-graph.degree(photo), photo))
    graph = graph.subgraph(busiest[:_MOST])
    place = _places(graph)
    lines = [
        (*place[a], *place[b], round(0.12 + 0.6 * min(graph.edges[a, b]["inliers"] / 150, 1), 2))
        for a, b in sorted(map(sorted, graph.edges))
    ]
    dots = [
        (*place[photo], round(3 + graph.degree(photo) ** 0.5, 1), photo in inside, _title(graph, photo, names)) for photo in sorted(graph)
    ]
    return {"width": _WIDTH, "height": _HEIGHT, "lines": lines, "dots": dots, "left_out": max(len(busiest) - _MOST, 0)}


def _places(graph):
    """Photo to (x, y) in pixels."""
    ordered = nx.Graph()
    ordered.add_nodes_from(sorted(graph))
    ordered.add_weighted_edges_from((a, b, graph.edges[a, b]["weight"]) for a, b in sorted(map(sorted, graph.edges)))
    found = nx.spring_layout(ordered, iterations=120, seed=0, k=1.4 / max(len(ordered), 1) ** 0.5)
    xy = np.array([found[photo] for photo in ordered]).reshape(-1, 2)
    low, extent = xy.min(0, initial=0), np.maximum(np.ptp(xy, axis=0) if len(xy) else np.ones(2), 1e-9)
    xy = _BORDER + (xy - low) / extent * (_WIDTH - 2 * _BORDER, _HEIGHT - 2 * _BORDER)
    return dict(zip(ordered, np.round(xy, 1).tolist(), strict=True))


def _title(graph, photo, names):
    return f"{names[photo]}: {graph.degree(photo)} pairs"
