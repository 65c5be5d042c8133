"""One photo: what its header says, and its pixels upright. Photos are untrusted and never modified."""

import contextlib
import functools
import json
import math
import os
import stat
import warnings

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError
from PIL.TiffImagePlugin import TILELENGTH, TILEWIDTH

from bow2cnn.collection.orientation import UPRIGHT, is_sideways
from bow2cnn.text import first_line

# A photo that a phone or a scanner makes (to Pillow an MPO opens as a JPEG); anything else (vector formats, documents) is no photo.
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM")
_FULL_FRAME_MM = 36.0  # width of the 35 mm film frame, which FocalLengthIn35mmFilm refers to
_LARGEST_TILE = 2**24  # pixels; tiles of a TIFF may stand out over its edges, but by no more
_MOST_LAYERS = 8  # so often a photo's area may be covered by tiles: a TIFF may have one layer per channel
_MOST_SCANS = 200  # a progressive JPEG has about ten, and each is a walk over all pixels
_STRIP = 256  # rows of a photo of more than 8 bits that are scaled at once
# What brings a photo of an EXIF orientation upright.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class PhotoError(ValueError):
    """A file that cannot be used as a photo; the message is the reason."""


def read_header(path, min_side, max_pixels):
    """Check a photo without decoding it.

    Args:
        path: the file.
        min_side: shorter sides are too small to hold features.
        max_pixels: larger photos are refused before they are decoded (decompression bombs).

    Returns:
        dict with `width`, `height` (upright), `orientation` (EXIF's, 1 to 8: how the pixels lie in the file), `focal` (pixels of the
        longer side, NaN when EXIF has none), `gps` (latitude, longitude in degrees, NaN when EXIF has none).

    Raises:
        PhotoError: the reason why this is no usable photo.
    """
    with _open(path) as image:
        width, height = image.size
        if width * height > max_pixels:
            raise PhotoError(f"too large ({width} x {height} pixels)")
        if min(width, height) < min_side:
            raise PhotoError(f"too small ({width} x {height} pixels)")
        if image.format in ("JPEG", "MPO") and (scans := _count_scans(path)) > _MOST_SCANS:
            raise PhotoError(f"damaged ({scans} scans)")
        exif = _exif(image)
        if is_sideways(_turn(image)):
            width, height = height, width
        focal = _focal(exif, max(width, height))
        return {"width": width, "height": height, "orientation": _orientation(image), "focal": focal, "gps": _gps(exif)}


def read_rgb(path, max_side=None):
    """Decode a photo: uint8 [height, width, 3], upright as EXIF says, the longer side shrunk to at most `max_side`.

    Raises:
        PhotoError: the pixels cannot be decoded.
    """
    with _open(path) as image:
        try:
            # JPEG only: decodes at 1/2, 1/4, 1/8 where that is enough. The last column and row may then stand out over the photo.
            drafted = None if max_side is None else image.draft("RGB", (max_side, max_side))
            turn = _turn(image)
            image = _to_rgb(image)
            box = (0, 0, *image.size) if drafted is None else drafted[1]
            if max_side is not None and max(box) > max_side:
                scale = max_side / max(box)
                size = [max(1, round(side * scale)) for side in box[2:]]
                image = image.resize(size, Image.Resampling.BOX if scale < 0.5 else Image.Resampling.LANCZOS, box)
            if turn in _UPRIGHT:
                image = image.transpose(_UPRIGHT[turn])
            return np.asarray(image)
        except Exception as error:  # Pillow's decoders raise whatever the broken byte happens to hit
            raise PhotoError(f"cannot be decoded ({first_line(error)})") from error


def is_plain(path, formats):
    """Whether a photo's file is of one of these of Pillow's formats and has 8 bits a channel.

    Raises:
        PhotoError: it cannot be read.
    """
    with _open(path) as image:
        return image.format in formats and not _is_deep(image)


@contextlib.contextmanager
def _open(path):
    """The photo, opened by Pillow. Not by name: Pillow would map TIFFs into memory and garble those that EXIF turns."""
    with contextlib.ExitStack() as stack:
        if not _is_in(os.environ.get("BOW2CNN_PHOTOS"), path):
            raise PhotoError("outside the folders of the config")
        try:
            if not stat.S_ISREG(os.stat(path).st_mode):  # opening a pipe would wait for ever
                raise PhotoError("not a regular file")
            file = stack.enter_context(open(path, "rb"))
        except FileNotFoundError as error:
            raise PhotoError("vanished") from error
        except OSError as error:
            raise PhotoError(f"not readable ({error.strerror})") from error
        stack.enter_context(warnings.catch_warnings())  # of damaged metadata, whenever they are read
        warnings.simplefilter("ignore")
        try:
            image = stack.enter_context(Image.open(file, formats=FORMATS))
        except Image.DecompressionBombError as error:
            raise PhotoError("too large") from error
        except UnidentifiedImageError as error:
            raise PhotoError("not a photo") from error
        except MemoryError:  # says nothing of the photo
            raise
        except Exception as error:
            disk = isinstance(error, OSError) and error.errno is not None
            raise PhotoError(f"not readable ({error.strerror})" if disk else f"damaged ({first_line(error)})") from error
        _check_tiles(image)
        yield image


def _is_in(folders, path):
    """Whether a path leads into one of some folders (a JSON list; None: anywhere). Paths come from artefacts, which may be anybody's."""
    return folders is None or os.path.realpath(path).startswith(_prefixes(folders))


@functools.cache
def _prefixes(folders):
    return tuple(os.path.join(os.path.realpath(folder), "") for folder in json.loads(folders))


def _check_tiles(image):
    """A photo is decoded tile by tile, and the tiles may be far more, or larger, than the photo has room for."""
    covered = sum((right - left) * (bottom - top) for _, (left, top, right, bottom), *_ in image.tile)
    if covered > _MOST_LAYERS * image.width * image.height:
        raise PhotoError("damaged (more tiles than room)")
    if image.format == "TIFF":
        width, height = (image.tag_v2.get(tag, 1) for tag in (TILEWIDTH, TILELENGTH))
        if not isinstance(width, int) or not isinstance(height, int):
            raise PhotoError("damaged (tiles without a size)")
        if width * height > max(_LARGEST_TILE, image.width * image.height):
            raise PhotoError(f"too large (tiles of {width} x {height} pixels)")


def _count_scans(path):
    """Scans of a JPEG; their marker cannot occur inside coded pixels, and hardly does elsewhere."""
    count, last = 0, b""
    with open(path, "rb") as file:
        while block := file.read(2**20):
            count += (last + block).count(b"\xff\xda")
            last = block[-1:]
    return count


def _exif(image):
    try:
        return image.getexif()
    except Exception:  # a broken EXIF block does not make the pixels unusable
        return Image.Exif()


def _orientation(image):
    """EXIF's orientation of an opened photo's file, 1 to 8."""
    found = _exif(image).get(ExifTags.Base.Orientation, UPRIGHT)
    return found if found in _UPRIGHT else UPRIGHT


def _turn(image):
    """The orientation from which Pillow's pixels have to be turned. TIFFs are upright: Pillow turns them itself."""
    return UPRIGHT if image.format == "TIFF" else _orientation(image)


def _is_deep(image):
    """Whether an opened photo has more than 8 bits."""
    return image.mode.startswith(("I", "F"))


def _to_rgb(image):
    """RGB of any mode; 16-bit is scaled to 8 bits (Pillow would clip it), transparency lies on white."""
    if _is_deep(image):
        return Image.fromarray(_to_bytes(np.asarray(image))).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return image.convert("RGB")


def _to_bytes(values):
    """Grey values of any type as uint8, a strip at a time, because double precision takes eight times the memory."""
    top = 65535.0 if (values > 255).any() else 255.0
    scaled = np.empty(values.shape, np.uint8)
    for start in range(0, len(values), _STRIP):
        rows = slice(start, start + _STRIP)
        scaled[rows] = np.clip(np.nan_to_num(values[rows].astype(np.float64)) / top, 0, 1) * 255
    return scaled


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
