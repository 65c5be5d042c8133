"""An answer in words: the table that the command line prints, and the title of the picture."""

from bow2cnn.core.printable import printable
from bow2cnn.search.query import Query
from bow2cnn.search.searcher import Answer, Searcher


def lines_of(searcher: Searcher, query: Query, answer: Answer) -> list[str]:
    """The query, a table of the hits, and the verdict; every line printable."""
    table = [
        f"{rank:>4} {'*' if hit.verified else ' '} {hit.inliers:>7}  {hit.score:.4f}  {searcher.run.photos['path'][hit.photo]}"
        for rank, hit in enumerate(answer.hits, 1)
    ]
    head = ["rank * inliers   score  photo (* verified)"] if table else []
    return [printable(line) for line in [_asked(searcher, query), *head, *table, verdict(searcher, query, answer)]]


def _asked(searcher, query):
    features = f"{query.all_features:,} features"
    if query.region is not None:
        region = " ".join(f"{value:g}" for value in query.region)
        features = f"region {region} with {len(query.features.keypoint):,} of its {features}"
    return f"{query.path}: {features}; {len(searcher):,} photos are searched"


def verdict(searcher: Searcher, query: Query, answer: Answer) -> str:
    """One line that says how many photos are verified, or why none is."""
    least = searcher.settings["min_inliers"]
    if answer.verified:
        photos = "photo is" if answer.verified == 1 else "photos are"
        return f"{answer.verified} {photos} verified: {least} or more places agree with the query in one geometry (inliers)"
    if answer.hits:
        return f"nothing verified: none of the {answer.checked} most similar photos has {least} inliers; the order is by words alone"
    if len(query.features.keypoint):
        return "nothing found: no photo has a feature that matches one of the query"
    return f"nothing found: the {'photo' if query.region is None else 'region'} has no local features"
