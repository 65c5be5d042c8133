"""Evaluation: rankings, their scores by the field's protocols, gains with intervals."""
