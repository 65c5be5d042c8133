"""An answer in words: the table that the command line prints, and the captions of the sheet."""

import numpy as np

from bow2cnn.core.printable import printable


def lines_of(lookup, query, answer):
    """What was asked, the table of the hits, and what it comes to; every line printable.

    Args:
        lookup, query, answer: `Searcher`, the `Query` and the `Answer` to it.
    """
    table = [
        f"{rank:>4} {'*' if hit.verified else ' '} {hit.inliers:>7}  {hit.score:.4f}  {lookup.paths[hit.photo]}"
        for rank, hit in enumerate(answer.hits, 1)
    ]
    head = ["rank * inliers   score  photo (* verified)"] if table else []
    return [printable(line) for line in [_asked(lookup, query), *head, *table, verdict(lookup, query, answer)]]


def _asked(lookup, query):
    features = f"{query.features:,} features"
    if query.region is not None:
        region = " ".join(f"{value:g}" for value in query.region)
        features = f"region {region} with {len(np.unique(query.words.feature)):,} of its {features}"
    return f"{query.path}: {features}; {len(lookup):,} photos are searched"


def verdict(lookup, query, answer):
    """One line that says what was found, or that nothing was, and why."""
    least = lookup.settings["min_inliers"]
    if answer.verified:
        photos = "photo is" if answer.verified == 1 else "photos are"
        return f"{answer.verified} {photos} verified: {least} or more features agree in one geometry (inliers)"
    if answer.hits:
        return f"nothing verified: none of the {answer.checked} photos most alike has {least} inliers; the order is by words alone"
    if len(query.words):
        return "nothing found: no photo has a feature like one of the query's"
    return f"nothing found: the {'photo' if query.region is None else 'region'} has no local features"
