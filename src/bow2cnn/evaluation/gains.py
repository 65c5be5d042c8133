"""Which of an experiment's gains are told first."""


def main_rows(rows):
    """Rows of `evaluation/gains.json` without whitening, easy and hard left out where there is a medium."""
    return [row for row in rows if not row["post"] and row["protocol"] in ("all", "medium")]
