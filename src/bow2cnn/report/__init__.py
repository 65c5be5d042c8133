"""The report: one page about everything a run found, learned and dropped."""
