"""The part of a photo that is asked for."""


def in_region(words, region):
    """The `QuantisedFeatures` of a photo whose centres lie in a region (left, top, right, bottom; in pixels); None: all."""
    if region is None:
        return words
    left, top, right, bottom = region
    x, y = words.keypoint[:, 0], words.keypoint[:, 1]
    return words.select((x >= left) & (x <= right) & (y >= top) & (y <= bottom))
