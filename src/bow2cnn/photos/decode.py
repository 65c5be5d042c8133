"""One photo: what its header says, and its pixels upright. Photos are untrusted and never modified."""

import contextlib
import functools
import json
import math
import os
import stat
import warnings

import cv2
import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from PIL.TiffImagePlugin import PHOTOMETRIC_INTERPRETATION, SAMPLEFORMAT, TILELENGTH, TILEWIDTH

from bow2cnn.core.printable import first_line
from bow2cnn.photos.formats import FORMATS, RAW, STRANGE_TIFF, is_raw, is_strange, what_else
from bow2cnn.photos.high_bit_depth import to_bytes
from bow2cnn.photos.jpeg import count_scans
from bow2cnn.photos.orientation import ORIENTATIONS, UPRIGHT, is_sideways

_FULL_FRAME_MM = 36.0  # width of the 35 mm film frame, which FocalLengthIn35mmFilm refers to
_LARGEST_TILE = 2**24  # pixels; tiles of a TIFF may stand out over its edges, but by no more
_MOST_LAYERS = 8  # so often a photo's area may be covered by tiles: a TIFF may have one layer per channel
_MOST_SCANS = 200  # a progressive JPEG has about ten, and each is a walk over all pixels
# Pillow warns of damaged metadata. Silenced once: a filter that a thread sets and takes back is that of all threads.
warnings.filterwarnings("ignore", module=r"PIL\.")
_MOST_TIMES = 20  # the shorter side may be in the longer one; a strip is searched a few pixels high
_OPAQUE = 255
_DARK = 128  # a photo of 16 bits that gets no brighter than this in 8 does not use them all


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
        if max(width, height) > _MOST_TIMES * min(width, height):
            raise PhotoError(f"too narrow ({width} x {height} pixels)")
        if image.format in ("JPEG", "MPO") and count_scans(path, _MOST_SCANS) > _MOST_SCANS:
            raise PhotoError(f"damaged (more than {_MOST_SCANS} scans)")
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
            deep_colour = _is_deep_colour(image)  # asked for EXIF, Pillow may load a PNG
            turn = _turn(image)
            image = _all_bits(image, path) if deep_colour else _to_rgb(image)
            box = (0, 0, *image.size) if drafted is None else drafted[1]
            if max_side is not None and max(box) > max_side:
                scale = max_side / max(box)
                size = [max(1, round(side * scale)) for side in box[2:]]
                image = image.resize(size, Image.Resampling.BOX if scale < 0.5 else Image.Resampling.LANCZOS, box)
            _turn_upright(image, turn)
            return np.asarray(image)
        except MemoryError:  # says nothing of the photo
            raise
        except Exception as error:  # Pillow's decoders raise whatever the broken byte happens to hit
            raise PhotoError(_refused(error) or f"cannot be decoded ({first_line(error)})") from error


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
            raise PhotoError(_refused(error)) from error
        try:
            image = stack.enter_context(Image.open(file, formats=FORMATS))
        except Image.DecompressionBombError as error:
            raise PhotoError("too large") from error
        except UnidentifiedImageError as error:
            raise PhotoError(what_else(file, path)) from error
        except MemoryError:  # says nothing of the photo
            raise
        except Exception as error:
            raise PhotoError(_refused(error) or f"damaged ({first_line(error)})") from error
        if is_raw(image, path):
            raise PhotoError(RAW)
        if is_strange(image):
            raise PhotoError(STRANGE_TIFF)
        _check_tiles(image)
        yield image


def _refused(error):
    """What the system said when it refused to read a file; None for any other error."""
    return f"not readable ({error.strerror})" if isinstance(error, OSError) and error.errno is not None else None


def _is_in(folders, path):
    """Whether a path leads into one of some folders (a JSON list; None: anywhere). Paths come from artefacts, which may be anybody's.

    Where the user has links followed (`BOW2CNN_FOLLOW_LINKS`), a link in one of the folders may lead out of it.
    """
    place = os.path.abspath if os.environ.get("BOW2CNN_FOLLOW_LINKS") else os.path.realpath
    return folders is None or place(path).startswith(_prefixes(folders, place))


@functools.cache
def _prefixes(folders, place):
    return tuple(os.path.join(place(folder), "") for folder in json.loads(folders))


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


def _exif(image):
    try:
        return image.getexif()
    except Exception:  # a broken EXIF block does not make the pixels unusable
        return Image.Exif()


def _orientation(image):
    """EXIF's orientation of an opened photo's file, 1 to 8."""
    found = _exif(image).get(ExifTags.Base.Orientation, UPRIGHT)
    return found if found in ORIENTATIONS else UPRIGHT


def _turn(image):
    """The orientation from which Pillow's pixels have to be turned. TIFFs are upright: Pillow turns them itself."""
    return UPRIGHT if image.format == "TIFF" else _orientation(image)


def _turn_upright(image, orientation):
    """Turn decoded pixels in place. `exif_transpose` gets the orientation alone: it would fail on a damaged EXIF block."""
    image.info = {}
    image.getexif()[ExifTags.Base.Orientation] = orientation
    ImageOps.exif_transpose(image, in_place=True)


def _is_deep(image):
    """Whether an opened photo is grey with more than 8 bits."""
    return image.mode.startswith(("I", "F"))


def _is_deep_colour(image):
    """Whether an opened photo that is not loaded yet may have colours of 16 bits, of which Pillow takes the upper 8."""
    deep = any(";16" in str(tile[3]) for tile in image.tile)
    return not _is_deep(image) and (image.format in ("PPM", "JPEG2000") or (image.format in ("PNG", "TIFF") and deep))


def _all_bits(image, path):
    """RGB of a photo that may have colours of 16 bits. Where it does not use the upper ones (12 of 16), OpenCV reads the others; as Pillow
    it turns TIFFs, and nothing else. And those of JPEG 2000, of which Pillow rounds the brightest up to zero.
    """
    rgb = _to_rgb(image)
    if image.format != "JPEG2000" and max(top for _, top in rgb.getextrema()) >= _DARK:
        return rgb
    del rgb  # else there are three copies in memory
    values = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None or values.shape[:2] != image.size[::-1]:
        raise ValueError("16 bits a channel, of which only 8 can be read")
    return Image.fromarray(to_bytes(values[..., 2::-1])) if values.ndim == 3 and values.dtype != np.uint8 else _to_rgb(image)


def _to_rgb(image):
    """RGB of any mode; more bits are scaled to 8 (Pillow would clip them), transparency lies on white, unless nothing is opaque."""
    if _is_deep(image):
        return Image.fromarray(_grey(image)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        layer = image.convert("RGBA")
        if layer.getchannel("A").getextrema()[1] < _OPAQUE:  # 12 of 16 bits, or a channel that nobody filled
            return layer.convert("RGB")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return image.convert("RGB")


def _grey(image):
    """A deep grey photo as uint8 [h, w]. Pillow reads TIFFs of 32 bits as if they had a sign, and does not heed that zero may be white."""
    values = np.asarray(image)
    if image.format != "TIFF":
        return to_bytes(values)
    if image.mode == "I" and image.tag_v2.get(SAMPLEFORMAT, (1,))[0] == 1:
        values = values.view(np.uint32)
    return 255 - to_bytes(values) if image.tag_v2.get(PHOTOMETRIC_INTERPRETATION) == 0 else to_bytes(values)


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
    written = abs(north) <= 90 and abs(east) <= 180 and (north, east) != (0, 0)  # what cameras write that know no place
    return (north, east) if written else (math.nan, math.nan)


def _degrees(parts, side):
    degrees, minutes, seconds = (float(part) for part in parts)
    side = side.decode("latin1") if isinstance(side, bytes) else str(side)
    return (degrees + minutes / 60 + seconds / 3600) * (-1 if side.strip(" \0").upper().startswith(("S", "W")) else 1)
