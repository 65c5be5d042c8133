"""The results of a run in the formats of other programs."""
