"""EXIF of a photo: orientation, focal length, position. Every part of it may be damaged."""

import math

from PIL import ExifTags, Image

from bow2cnn.photos.orientation import ORIENTATIONS, UPRIGHT

_FULL_FRAME_MM = 36.0  # width of the 35 mm film frame, which FocalLengthIn35mmFilm refers to


def read_exif(image: Image.Image) -> Image.Exif:
    """EXIF of an opened photo; empty if it is damaged."""
    try:
        return image.getexif()
    except Exception:  # the pixels are usable with a damaged EXIF block too
        return Image.Exif()


def orientation_of(image: Image.Image) -> int:
    """EXIF orientation of an opened photo, 1 to 8."""
    found = read_exif(image).get(ExifTags.Base.Orientation, UPRIGHT)
    return found if found in ORIENTATIONS else UPRIGHT


def focal_of(exif: Image.Exif, longer_side: int) -> float:
    """Focal length in pixels of a photo whose longer side is `longer_side` pixels long; NaN if EXIF has none that is plausible."""
    try:
        film = float(exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.FocalLengthIn35mmFilm, 0))
    except Exception:
        return math.nan
    return film / _FULL_FRAME_MM * longer_side if 5 <= film <= 2000 else math.nan


def gps_of(exif: Image.Exif) -> tuple[float, float]:
    """Latitude and longitude in degrees, NaN if EXIF has none."""
    try:
        tags = exif.get_ifd(ExifTags.IFD.GPSInfo)
        north, east = (_degrees(tags[key], tags[key - 1]) for key in (ExifTags.GPS.GPSLatitude, ExifTags.GPS.GPSLongitude))
    except Exception:
        return (math.nan, math.nan)
    written = abs(north) <= 90 and abs(east) <= 180 and (north, east) != (0, 0)  # cameras without a position write zeros
    return (north, east) if written else (math.nan, math.nan)


def _degrees(parts, side):
    degrees, minutes, seconds = (float(part) for part in parts)
    side = side.decode("latin1") if isinstance(side, bytes) else str(side)
    return (degrees + minutes / 60 + seconds / 3600) * (-1 if side.strip(" \0").upper().startswith(("S", "W")) else 1)
