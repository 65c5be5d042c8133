"""One photo: what its header says, and its pixels upright. Photos are untrusted and never modified."""

import math
import warnings

import numpy as np
from PIL import ExifTags, Image, ImageOps

# A photo that a phone or a scanner makes; anything else (vector formats, documents) is no photo.
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "MPO")
_FULL_FRAME_MM = 36.0  # width of the 35 mm film frame, which FocalLengthIn35mmFilm refers to
_TURNED = (5, 6, 7, 8)  # EXIF orientations that swap width and height


class PhotoError(ValueError):
    """A file that cannot be used as a photo; the message is the reason."""


def read_header(path, min_side, max_pixels):
    """Check a photo without decoding it.

    Args:
        path: the file.
        min_side: shorter sides are too small to hold features.
        max_pixels: larger photos are refused before they are decoded (decompression bombs).

    Returns:
        dict with `width`, `height` (upright), `focal` (pixels of the longer side, NaN when EXIF has none), `gps` (latitude,
        longitude in degrees, NaN when EXIF has none).

    Raises:
        PhotoError: the reason why this is no usable photo.
    """
    with _open(path) as image:
        width, height = image.size
        if width * height > max_pixels:
            raise PhotoError(f"too large ({width} x {height} pixels)")
        if min(width, height) < min_side:
            raise PhotoError(f"too small ({width} x {height} pixels)")
        try:
            exif = image.getexif()
        except Exception:  # a broken EXIF block does not make the pixels unusable
            exif = Image.Exif()
        if exif.get(ExifTags.Base.Orientation) in _TURNED:
            width, height = height, width
        return {"width": width, "height": height, "focal": _focal(exif, max(width, height)), "gps": _gps(exif)}


def read_rgb(path, max_side=None):
    """Decode a photo: uint8 [height, width, 3], upright as EXIF says, the longer side shrunk to at most `max_side`.

    Raises:
        PhotoError: the pixels cannot be decoded.
    """
    with _open(path) as image:
        try:
            if max_side is not None:
                image.draft("RGB", (max_side, max_side))  # JPEG only: decodes at 1/2, 1/4, 1/8 where that is enough
            image = ImageOps.exif_transpose(_to_rgb(image))
            if max_side is not None and max(image.size) > max_side:
                scale = max_side / max(image.size)
                size = [max(1, round(side * scale)) for side in image.size]
                image = image.resize(size, Image.Resampling.BOX if scale < 0.5 else Image.Resampling.LANCZOS)
            return np.asarray(image)
        except Exception as error:  # Pillow's decoders raise whatever the broken byte happens to hit
            raise PhotoError(f"cannot be decoded ({_first_line(error)})") from error


def _open(path):
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Image.open(path, formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise PhotoError("too large") from error
    except FileNotFoundError as error:
        raise PhotoError("vanished") from error
    except PermissionError as error:
        raise PhotoError("not readable") from error
    except Exception as error:
        raise PhotoError("not a photo") from error


def _to_rgb(image):
    """RGB of any mode; 16-bit is scaled to 8 bits (Pillow would clip it), transparency lies on white."""
    if image.mode.startswith(("I", "F")):
        values = np.asarray(image, np.float64)
        top = 65535.0 if values.max() > 255 else 255.0
        return Image.fromarray(np.uint8(np.clip(values / top, 0, 1) * 255)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    exif = image.info.get("exif")
    image = image.convert("RGB")
    if exif:
        image.info["exif"] = exif
    return image


def _focal(exif, longer_side):
    try:
        film = float(exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.FocalLengthIn35mmFilm, 0))
    except Exception:
        return math.nan
    return film / _FULL_FRAME_MM * longer_side if 5 <= film <= 2000 else math.nan


def _gps(exif):
    try:
        tags = exif.get_ifd(ExifTags.IFD.GPSInfo)
        north, east = (_degrees(tags[key], tags[key - 1]) for key in (ExifTags.GPS.GPSLatitude, ExifTags.GPS.GPSLongitude))
    except Exception:
        return (math.nan, math.nan)
    return (north, east) if abs(north) <= 90 and abs(east) <= 180 else (math.nan, math.nan)


def _degrees(parts, side):
    degrees, minutes, seconds = (float(part) for part in parts)
    return (degrees + minutes / 60 + seconds / 3600) * (-1 if side in ("S", "W") else 1)


def _first_line(error):
    return (str(error).splitlines() or [type(error).__name__])[0]
