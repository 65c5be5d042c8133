"""Which sizes of photos are used."""

_MOST_TIMES = 20  # longest ratio of the sides: a longer strip would be searched at a height of a few pixels


def size_fault(width: int, height: int, min_side: int, max_pixels: int) -> str | None:
    """The reason for which a photo of this size is rejected; None if it is used.

    Args:
        width, height: in pixels.
        min_side: smallest shorter side in pixels.
        max_pixels: largest width times height.
    """
    size = f"({width} x {height} pixels)"
    if width * height > max_pixels:
        return f"too large {size}"
    if min(width, height) < min_side:
        return f"too small {size}"
    return f"too narrow {size}" if max(width, height) > _MOST_TIMES * min(width, height) else None
