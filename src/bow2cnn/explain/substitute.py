"""What a run has in place of clusters that it found itself."""

from bow2cnn.run.run import Run

MODELS = "3D models"


def substitute_for_clusters(run: Run) -> str | None:
    """`MODELS` that the user has, or the source of the pairs, such as "database"; None if the run has clusters or has not got that far."""
    if "graph" in run:
        return None
    return MODELS if "models" in run else next(iter(run.sources), None)


def why_no_clusters(run: Run) -> str:
    """Why the run with a substitute looked for no clusters."""
    substitute = substitute_for_clusters(run)
    began = {MODELS: "3D models", "database": "pairs"}.get(substitute or "")
    return f"the run began with {began}" if began else f"the run takes its pairs from {substitute}"
