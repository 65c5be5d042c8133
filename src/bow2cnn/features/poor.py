"""Photos that give hardly any features, because they cannot be decoded or because there is nothing to see in them: they match nothing."""

from bow2cnn.photos.reasons import list_kinds

FEW = 20  # features; a verified pair has twelve and more inliers


def tell_poor(counts: list[int], errors: list[str]) -> list[str]:
    """Lines on such photos, none where all is well.

    Args:
        counts: features of every photo.
        errors: of every photo the reason why it cannot be used, or an empty string.
    """
    told, reasons = [], [error for error in errors if error]
    if reasons:
        told.append(f"{len(reasons)} of {len(errors)} photos cannot be used: {list_kinds(reasons)}")
    few = sum(count < FEW and not error for count, error in zip(counts, errors, strict=True))
    if few:
        told.append(f"{few} of {len(counts)} photos have fewer than {FEW} features and match nothing: nearly black, blank or blurred")
    return told
