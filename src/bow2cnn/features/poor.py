"""Photos with hardly any features, because they cannot be decoded or show nothing: they match nothing."""

from bow2cnn.photos.reasons import list_kinds

FEW = 20  # features; a verified pair has at least twelve inliers


def describe_poor_photos(counts: list[int], errors: list[str]) -> list[str]:
    """Sentences on such photos for the log and the report; an empty list if there are none.

    Args:
        counts: number of features of each photo.
        errors: why each photo cannot be used, or an empty string.
    """
    lines, reasons = [], [error for error in errors if error]
    if reasons:
        lines.append(f"{len(reasons)} of {len(errors)} photos cannot be used: {list_kinds(reasons)}")
    few = sum(count < FEW and not error for count, error in zip(counts, errors, strict=True))
    if few:
        lines.append(f"{few} of {len(counts)} photos have fewer than {FEW} features and match nothing: nearly black, blank or blurred")
    return lines
