"""The part of a photo that is asked for."""


def in_region(words, region):
    """The `Words` of a photo whose centres lie in (left, top, right, bottom), pixels of the photo; all of them where it is None."""
    if region is None:
        return words
    left, top, right, bottom = region
    x, y = words.keypoint[:, 0], words.keypoint[:, 1]
    return words.select((x >= left) & (x <= right) & (y >= top) & (y <= bottom))
