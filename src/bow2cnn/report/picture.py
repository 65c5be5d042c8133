"""A photo as the templates show it."""

from bow2cnn.pictures.thumbnails import ThumbnailCache
from bow2cnn.run.arrays import Arrays


def picture(photos: Arrays, thumbs: ThumbnailCache, row: int) -> dict[str, str]:
    """The thumbnail (`uri`) and the `name` of a photo.

    Args:
        photos: a collection, with `path` and `name`.
        thumbs: draws the photos.
        row: of the photo.
    """
    return {"uri": thumbs.photo(photos["path"][row]), "name": photos["name"][row]}
